//! The webhook's image, as deploy/release/image packs it.

use std::{
    ffi::OsString,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use arc_rocm::scripts::image;
use serde_json::{Value, json};

use crate::{ARC_ROCM, IMAGE, root, said, write_program};

/// A small program in place of the static one, which says what the script asks of it.
pub(crate) fn write_stand_in(path: &Path, version: &str) {
    write_program(
        path,
        &format!(
            "#!/bin/sh\ncase $1 in --version) echo arc-rocm {version} ;; *) exec {ARC_ROCM} \"$@\" ;; esac\n"
        ),
    );
}

/// `PATH` with the Cargo and the rustc of these tests in it.
pub(crate) fn path_with_cargo(first: &Path) -> OsString {
    let cargo = Path::new(env!("CARGO")).parent().unwrap();
    std::env::join_paths([first, cargo, "/usr/bin".as_ref(), "/bin".as_ref()]).unwrap()
}

/// Runs the script with this umask.
fn pack(program: &Path, archive: &Path, umask: &str) -> Output {
    let mut script = Command::new("sh");
    script.args(["-c", "umask $0; exec \"$@\"", umask]).arg(root().join("deploy/release/image"));
    script.args([program, archive]).env("PATH", path_with_cargo(root()));
    script.output().unwrap()
}

/// Unpacks an archive into a folder.
fn unpack(archive: &Path, folder: &Path) {
    fs::create_dir(folder).unwrap();
    let status = Command::new("tar").arg("-xpf").arg(archive).arg("-C").arg(folder).status();
    assert!(status.unwrap().success());
}

/// Paths below a folder with their permissions.
fn listed(folder: &Path) -> Vec<(String, u32)> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(inner) = folders.pop() {
        for entry in fs::read_dir(folder.join(&inner)).unwrap() {
            let entry = entry.unwrap();
            let path = inner.join(entry.file_name());
            let metadata = entry.metadata().unwrap();
            found.push((path.to_str().unwrap().to_owned(), metadata.permissions().mode() & 0o7777));
            if metadata.is_dir() {
                folders.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn image_has_program_scripts_and_licences_of_a_numeric_user() {
    let folder = tempfile::tempdir().unwrap();
    let [program, archive, outer, inner] =
        ["program", "image.tar", "outer", "inner"].map(|name| folder.path().join(name));
    write_stand_in(&program, env!("CARGO_PKG_VERSION"));
    let output = pack(&program, &archive, "022");
    assert!(output.status.success(), "{}", said(&output));
    unpack(&archive, &outer);
    let read = |name: &str| -> Value {
        serde_json::from_slice(&fs::read(outer.join(name)).unwrap()).unwrap()
    };
    let manifest = read("manifest.json");
    assert_eq!(manifest[0]["RepoTags"], json!([IMAGE]));
    let config = read(manifest[0]["Config"].as_str().unwrap());
    assert_eq!(config["os"], "linux");
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    assert_eq!(config["architecture"], architecture);
    assert_eq!(config["config"]["User"], "65532:65532");
    assert_eq!(config["config"]["Entrypoint"], json!(["/arc-rocm"]));
    let labels = &config["config"]["Labels"];
    assert_eq!(labels["org.opencontainers.image.version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(labels["org.opencontainers.image.source"], env!("CARGO_PKG_REPOSITORY"));
    assert_eq!(labels["org.opencontainers.image.revision"].as_str().unwrap().len(), 40);

    assert_eq!(manifest[0]["Layers"].as_array().unwrap().len(), 1);
    unpack(&outer.join(manifest[0]["Layers"][0].as_str().unwrap()), &inner);
    let mut expected = vec![
        ("arc-rocm".to_owned(), 0o755),
        ("licenses".to_owned(), 0o755),
        ("licenses/LICENSE".to_owned(), 0o644),
        ("licenses/third-party.txt".to_owned(), 0o644),
    ];
    expected.extend(image::files().map(|(name, _)| (name.to_owned(), 0o644)));
    expected.sort();
    assert_eq!(listed(&inner), expected);
    let licences = fs::read_to_string(inner.join("licenses/third-party.txt")).unwrap();
    for package in ["tokio 1.", "aws-lc-sys 0.", "rust-std 1.", "glibc 2."] {
        assert!(licences.contains(&format!("\n{package}")), "{package}");
    }
    assert!(!licences.contains("\nproptest "), "tests are not in the program");
}

#[test]
fn image_of_the_same_program_has_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let archives =
        [("first", 0o700, "077"), ("second", 0o775, "002")].map(|(name, mode, umask)| {
            let inner = folder.path().join(name);
            fs::create_dir(&inner).unwrap();
            // Its time and its permissions are another's each time.
            let [program, archive] = ["program", "image.tar"].map(|file| inner.join(file));
            write_stand_in(&program, env!("CARGO_PKG_VERSION"));
            fs::set_permissions(&program, fs::Permissions::from_mode(mode)).unwrap();
            let output = pack(&program, &archive, umask);
            assert!(output.status.success(), "{}", said(&output));
            fs::read(archive).unwrap()
        });
    assert!(archives[0] == archives[1]);
}

#[test]
fn image_of_another_version_than_the_chart_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program");
    write_stand_in(&program, "99.0.0");
    let output = pack(&program, &folder.path().join("image.tar"), "022");
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("the program is 99.0.0"), "{output:?}");
}
