//! The program as a process.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
};

use serde_json::Value;

use crate::client::Client;
use crate::server::fixture;

fn arc_rocm() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_arc-rocm"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn certs(out: &Path, more: &[&str]) -> Output {
    arc_rocm().arg("certs").arg("--out").arg(out).args(more).output().unwrap()
}

pub fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    let kill = Command::new("sh").args(["-c", r#"kill -"$0" "$1""#, name, &id]).status();
    assert!(kill.unwrap().success());
}

/// A process that serves on any free port, and its log.
pub struct Serving {
    pub child: Child,
    pub log: Box<dyn Iterator<Item = Value>>,
    pub address: SocketAddr,
    pub admin: SocketAddr,
}

fn serve(arguments: &[&str]) -> Serving {
    serve_in(&[], arguments)
}

/// The same with these variables in its environment.
pub fn serve_in(environment: &[(&str, &str)], arguments: &[&str]) -> Serving {
    let mut child = arc_rocm()
        .envs(environment.iter().copied())
        .args(["serve", "--bind", "127.0.0.1:0", "--admin-bind", "127.0.0.1:0"])
        .args(arguments)
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut log = Box::new(lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()));
    let started: Value = log.find(|line: &Value| line["message"] == "serving").unwrap();
    let address = |name: &str| started[name].as_str().unwrap().parse().unwrap();
    let (address, admin) = (address("address"), address("admin"));
    Serving { child, log, address, admin }
}

pub fn exit(mut child: Child) -> ExitStatus {
    child.wait().unwrap()
}

#[test]
fn sigterm_drains_and_exits_with_0() {
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.crt");
    let arguments = ["--shutdown-grace", "300ms", "--ca-out", ca.to_str().unwrap()];
    let Serving { child, mut log, address, admin } = serve(&arguments);
    assert_eq!(ca.metadata().unwrap().permissions().mode() & 0o777, 0o644);
    let hint = log.find(|line| line["message"] == "try it").unwrap();
    assert!(hint["command"].as_str().unwrap().starts_with("curl --cacert "));

    let mut client = Client::connect(address, &fs::read_to_string(&ca).unwrap());
    assert_eq!(client.review(&fixture("plain")).status, 200);
    let line = log.find(|line| line["target"] == "arc_rocm::admission").unwrap();
    for field in ["uid", "namespace", "name", "outcome", "reason", "operations", "duration_us"] {
        assert!(!line[field].is_null(), "no {field} in {line}");
    }
    assert_eq!(line["uid"].as_str().map(str::len), Some(36));
    let metrics = Client::get(admin, "/metrics").body;
    assert!(metrics.contains(r#"not_after_timestamp_seconds{certificate="ca"}"#));

    signal(&child, "TERM");
    log.find(|line| line["message"] == "draining").unwrap();
    assert_eq!(Client::get(admin, "/readyz").status, 503);
    assert!(client.review(&fixture("plain")).closes());
    log.find(|line| line["message"] == "stopped").unwrap();
    assert_eq!(exit(child).code(), Some(0));
}

#[test]
fn a_second_signal_skips_the_grace() {
    let Serving { child, mut log, .. } = serve(&["--shutdown-grace", "1h"]);
    signal(&child, "INT");
    log.find(|line| line["message"] == "draining").unwrap();
    signal(&child, "TERM");
    assert_eq!(exit(child).code(), Some(0));
}

#[test]
fn certs_are_written_once_and_served() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("new/pki");
    assert_eq!(certs(&out, &["--host", "ci.example"]).status.code(), Some(0));
    let path = |name: &str| out.join(name).to_str().unwrap().to_owned();
    let mode = |name| fs::metadata(path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("tls.key"), mode("tls.crt"), mode("ca.crt")), (0o600, 0o644, 0o644));
    assert_eq!(fs::read_dir(&out).unwrap().count(), 3, "nothing else is left behind");

    let before = fs::read(path("tls.key")).unwrap();
    let again = certs(&out, &[]);
    assert_eq!(again.status.code(), Some(2));
    assert!(String::from_utf8(again.stderr).unwrap().contains("use --force to overwrite"));
    assert_eq!(fs::read(path("tls.key")).unwrap(), before);
    assert_eq!(certs(&out, &["--force"]).status.code(), Some(0));
    assert_ne!(fs::read(path("tls.key")).unwrap(), before);

    let arguments = ["--tls-cert", &path("tls.crt"), "--tls-key", &path("tls.key")];
    let Serving { child, log: _log, address, .. } = serve(&arguments);
    let ca = fs::read_to_string(path("ca.crt")).unwrap();
    assert_eq!(Client::connect(address, &ca).review(&fixture("plain")).status, 200);
    signal(&child, "TERM");
    signal(&child, "TERM");
    exit(child);
}

#[test]
fn a_bad_configuration_exits_with_2_and_says_what_is_wrong() {
    let fails = |arguments: &[&str], wanted: &str| {
        let output = arc_rocm().args(arguments).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(wanted), "{told}");
    };
    fails(&["serve", "--tls-cert", "/nowhere/tls.crt"], "--tls-key");
    fails(
        &["serve", "--tls-cert", "/nowhere/tls.crt", "--tls-key", "/nowhere/tls.key"],
        "cannot read /nowhere/tls.crt: No such file",
    );
    fails(&["serve", "--tls-secret", "arc-rocm-tls"], "--webhook-configuration");
    let both = ["--tls-secret=a", "--tls-cert=b", "--tls-key=c", "--webhook-configuration=d"];
    fails(&[&["serve"], &both[..]].concat(), "cannot be used with");
    fails(&["serve", "--ca-overlap", "0s"], "--ca-overlap");
    fails(&["serve", "--bind", "nowhere"], "--bind");
    fails(&["serve", "--shutdown-grace", "soon"], "--shutdown-grace");
    fails(&["serve", "--tls-poll", "0s"], "--tls-poll");
    fails(&["serve", "--log-level", "arc_rocm=loud"], "--log-level");
    fails(&["serve", "--tls-host", "not a host\u{e9}"], "neither a host name nor an IP address");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    fails(&["serve", "--bind", &address], "cannot listen on 127.0.0.1:");
}

#[test]
fn changed_profiles_are_picked_up_and_bad_ones_keep_the_last_good() {
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.crt");
    let profiles = directory.path().join("profiles");
    fs::create_dir(&profiles).unwrap();
    let write = |count: &str| {
        let text = format!(
            "apiVersion: arc-rocm.dev/v1alpha1\nkind: RunnerProfile\nmetadata: {{name: fleet}}\n\
             spec: {{extends: rocm, match: {{}}, gpu: {{count: {count}}}}}\n"
        );
        fs::write(profiles.join("fleet.yaml"), text).unwrap();
    };
    write("1");
    let arguments = [
        "--profiles",
        profiles.to_str().unwrap(),
        "--profiles-poll",
        "20ms",
        "--shutdown-grace",
        "0s",
        "--ca-out",
        ca.to_str().unwrap(),
    ];
    let mut serving = serve(&arguments);
    let ca = fs::read_to_string(&ca).unwrap();
    let gives = |gpus: u32| {
        let mut client = Client::connect(serving.address, &ca);
        let answer: Value = serde_json::from_str(&client.review(&fixture("plain")).body).unwrap();
        let patch = base64_of(&answer["response"]["patch"]);
        patch.contains(&format!("--gpus={gpus}\""))
    };
    assert!(gives(1));
    write("4");
    crate::server::eventually("four GPUs", || gives(4));
    write("many");
    let rejected = serving.log.find(|line: &Value| line["level"] == "WARN").unwrap();
    assert_eq!(rejected["message"], "profiles not replaced, the old ones stay");
    assert!(rejected["problem"].as_str().unwrap().contains("fleet.yaml:4:"), "{rejected}");
    assert!(gives(4));
    write("2");
    crate::server::eventually("two GPUs", || gives(2));
    signal(&serving.child, "TERM");
    assert_eq!(exit(serving.child).code(), Some(0));
}

#[test]
fn a_profiles_directory_that_becomes_empty_keeps_the_last_good() {
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.crt");
    let profiles = directory.path().join("profiles");
    fs::create_dir(&profiles).unwrap();
    let file = profiles.join("fleet.yaml");
    let write = |count: u32| {
        let text = format!(
            "apiVersion: arc-rocm.dev/v1alpha1\nkind: RunnerProfile\nmetadata: {{name: fleet}}\n\
             spec: {{extends: rocm, match: {{}}, gpu: {{count: {count}}}}}\n"
        );
        // As the kubelet does, so that no look finds half a file.
        fs::write(profiles.join("new"), text).unwrap();
        fs::rename(profiles.join("new"), &file).unwrap();
    };
    write(1);
    let path = profiles.to_str().unwrap();
    let Serving { child, mut log, address, admin } = serve(&[
        "--profiles",
        path,
        "--profiles-poll",
        "20ms",
        "--shutdown-grace",
        "0s",
        "--ca-out",
        ca.to_str().unwrap(),
    ]);
    let ca = fs::read_to_string(&ca).unwrap();
    let gives = |gpus: u32| {
        let mut client = Client::connect(address, &ca);
        let answer: Value = serde_json::from_str(&client.review(&fixture("plain")).body).unwrap();
        base64_of(&answer["response"]["patch"]).contains(&format!("--gpus={gpus}\""))
    };
    assert!(gives(1));
    let mut rejected_with = |wanted: String| {
        let told = log.find(|line: &Value| line["level"] == "WARN").unwrap();
        assert_eq!(told["message"], "profiles not replaced, the old ones stay");
        let why = if told["error"].is_null() { &told["problem"] } else { &told["error"] };
        assert_eq!(*why, wanted);
        assert!(gives(1));
    };
    fs::remove_file(&file).unwrap();
    rejected_with(format!("{path} has no profiles any more"));
    fs::write(profiles.join("new"), "# later\n").unwrap();
    fs::rename(profiles.join("new"), &file).unwrap();
    rejected_with(format!("{path}/fleet.yaml:1:1: no profile in it"));
    let metrics = Client::get(admin, "/metrics").body;
    assert!(metrics.contains(r#"profile_reloads_total{result="rejected"} 2"#), "{metrics}");
    write(4);
    crate::server::eventually("four GPUs", || gives(4));
    signal(&child, "TERM");
    assert_eq!(exit(child).code(), Some(0));
}

pub fn base64_of(text: &Value) -> String {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    String::from_utf8(BASE64_STANDARD.decode(text.as_str().unwrap()).unwrap()).unwrap()
}
