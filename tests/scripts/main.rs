//! Runs the embedded scripts for real, under every shell that may be `/bin/sh` in a pod.
//!
//! Needs dash, busybox, bash, setpriv and unshare; a missing one ends the tests.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test may panic; clippy.toml's exceptions end at the functions that tests call"
)]

#[path = "../common/program.rs"]
mod program;
#[macro_use]
mod world;

mod consumers;
mod devices;
mod dind;
mod environment;
mod hooks;
mod start;
mod text;
