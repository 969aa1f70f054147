//! The core on captured reviews and generated pods, without server and cluster.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unwrap_in_result,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "helper functions of tests may panic; Clippy exempts only functions marked as tests"
)]

mod arc;
mod compare;
mod generate;
mod goldens;
mod import;
mod invalid_pods;
mod linear;
mod names;
mod objects;
mod properties;
mod scripts_image;
mod start;
mod support;
mod validity;
