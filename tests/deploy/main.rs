//! `deploy`: the renders of the chart, the image, the kind cluster, and the workflows to copy. The scripts
//! run with stand-ins for the tools that they call.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking; clippy knows test functions, not their helpers"
)]

mod chart;
mod image;
mod kind;
mod profiles;
#[path = "../common/program.rs"]
mod program;
mod workflows;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

/// The program under test.
const ARC_ROCM: &str = env!("CARGO_BIN_EXE_arc-rocm");

/// The chart's image, of this version.
const IMAGE: &str = concat!("ghcr.io/arc-rocm/arc-rocm:", env!("CARGO_PKG_VERSION"));

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Files of a folder with this ending, as paths from the root.
fn files(folder: &str, ending: &str) -> Vec<String> {
    let entries = fs::read_dir(root().join(folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<String> = names
        .filter(|name| name.ends_with(ending))
        .map(|name| format!("{folder}/{name}"))
        .collect();
    files.sort();
    files
}

/// Writes a program for a test.
fn write_program(path: &Path, text: &str) {
    let source = tempfile::NamedTempFile::new().unwrap();
    fs::write(source.path(), text).unwrap();
    // Not written here: while another test's thread forks, its child would hold the open file for
    // a moment, and a file that is open for writing cannot be executed.
    let mut install = Command::new("install");
    let status = install.args(["-m", "0755", "--"]).args([source.path(), path]).status();
    assert!(status.unwrap().success());
}

/// What a program said, both ways.
fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

/// The blocks of a page that are marked so.
fn blocks(page: &str, mark: &str) -> Vec<String> {
    let open = format!("\n```{mark}\n");
    let text = read(page);
    text.split(open.as_str())
        .skip(1)
        .map(|rest| rest.split_once("\n```").unwrap().0.to_owned() + "\n")
        .collect()
}

/// A path of the repository that has to be there.
fn assert_is_there(path: &str, by: &str) {
    let path: PathBuf = root().join(path);
    assert!(path.exists(), "{by}: {} is not there", path.display());
}
