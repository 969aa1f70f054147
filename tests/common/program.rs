//! Programs of the machine that tests run.

use std::{env, io::Write as _, path::PathBuf, process};

/// The packages that have them all.
const INSTALL: &str = "apt-get install dash busybox bash shellcheck util-linux procps jq";

/// Where `name` is installed. Without it all tests end, with one line that says what to install: a
/// hundred panics would say no more.
pub(crate) fn program(name: &str) -> PathBuf {
    env::split_paths(&env::var_os("PATH").unwrap_or_default())
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|dir| dir.join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| {
            // Not by eprintln!, whose text the test harness keeps to itself.
            let line = format!("\n{name} is not installed. Install it: {INSTALL}\n");
            let _ = std::io::stderr().write_all(line.as_bytes());
            process::exit(1)
        })
}
