//! The webhook's image: its Dockerfile, and the script that packs a program with a stand-in for docker.

use std::{
    fs,
    process::{Command, Output},
};

use arc_rocm::scripts::image;

use crate::{ARC_ROCM, IMAGE, read, root, said, write_program};

#[test]
fn image_is_one_static_program_of_a_numeric_user() {
    let text = read("deploy/docker/Dockerfile");
    let toolchain = read("rust-toolchain.toml");
    let rust = text.lines().find_map(|line| line.strip_prefix("ARG RUST=")).unwrap();
    assert!(toolchain.contains(&format!("channel = \"{rust}\"")), "{rust}");
    let version = format!("ARG VERSION={}\n", env!("CARGO_PKG_VERSION"));
    assert!(text.contains(&version), "another version than the program's");
    let (_, last) = text.rsplit_once("\nFROM ").unwrap();
    assert!(last.starts_with("scratch\n"), "{last}");
    assert!(last.contains("\nUSER 65532:65532\n"), "{last}");
    assert!(last.contains("\nENTRYPOINT [\"/arc-rocm\"]\n"), "{last}");
    assert!(last.contains("\nCOPY --from=program /scripts /\n"), "{last}");
    assert!(text.contains(IMAGE), "another image than the chart's");
    // A frontend would have to be pulled.
    assert!(!text.contains("# syntax="));
    let ignored = read("deploy/docker/Dockerfile.dockerignore");
    for line in ignored.lines().filter(|line| !line.starts_with('#')) {
        let is_built = ["src", "Cargo.toml", "Cargo.lock", "tests", "benches", "examples"];
        assert!(!is_built.contains(&line), "the build needs {line}");
    }
}

/// Runs the script with a docker that notes its arguments and the files of its context.
fn build(arguments: &[&str]) -> (Output, String) {
    let folder = tempfile::tempdir().unwrap();
    write_program(
        &folder.path().join("docker"),
        "#!/bin/bash\necho \"$* BUILDKIT=$DOCKER_BUILDKIT\" >>\"$CALLS\"\n\
         case $1 in\n\
           build) (cd \"${*: -1}\" && find . -type f -printf '%m %p\\n' >>\"$CALLS\") ;;\n\
           image) echo 12345 ;;\n\
         esac\n",
    );
    let calls = folder.path().join("calls");
    let mut script = Command::new(root().join("deploy/docker/build"));
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    script.args(arguments).env("PATH", path).env("CALLS", &calls);
    let output = script.output().unwrap();
    (output, fs::read_to_string(calls).unwrap_or_default())
}

#[test]
fn image_script_packs_program_and_scripts() {
    let (output, calls) = build(&["registry.example/arc-rocm:1", ARC_ROCM, "/tmp/image.tar"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("registry.example/arc-rocm:1: 12345 bytes"), "{output:?}");
    let calls: Vec<&str> = calls.lines().collect();
    let [built, files @ .., _inspected, saved] = &calls[..] else { panic!("{calls:?}") };
    let version = format!("--build-arg VERSION={} ", env!("CARGO_PKG_VERSION"));
    for part in ["--build-arg PROGRAM=prebuilt ", &version, "BUILDKIT=1"] {
        assert!(built.contains(part), "{built}");
    }
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let mut files = files.to_vec();
    files.sort_unstable();
    let scripts = image::files().map(|(name, _)| format!("644 ./scripts/{name}"));
    let mut expected = [&scripts[..], &[format!("755 ./{arch}/arc-rocm")]].concat();
    expected.sort_unstable();
    assert_eq!(files, expected);
    assert!(saved.starts_with("save --output /tmp/image.tar registry.example/arc-rocm:1 "));
}

#[test]
fn image_script_prints_its_usage() {
    let (output, calls) = build(&["registry.example/arc-rocm:1"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("deploy/docker/build REF PROGRAM [ARCHIVE]"), "{output:?}");
    assert_eq!(calls, "");
}
