//! The pure core on real input: captured reviews, generated pods.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unwrap_in_result,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "helpers of tests fail like tests; Clippy knows only functions marked as tests"
)]

mod generate;
mod goldens;
mod invalid_pods;
mod linear;
mod names;
mod objects;
mod properties;
mod start;
mod support;
mod validity;
