//! Runs the two embedded scripts for real, under every shell that may be `/bin/sh` in a pod.
//!
//! Needs dash, busybox, bash, shellcheck, setpriv and unshare; a missing one fails the tests.

#[macro_use]
mod world;

mod consumers;
mod dind;
mod start;
mod text;
