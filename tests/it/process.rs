//! The program as a process.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
};

use serde_json::Value;

use crate::client::Client;
use crate::server::{fixture, swap};

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
    pub log: Box<dyn Iterator<Item = Value> + Send>,
    pub address: SocketAddr,
    pub admin: SocketAddr,
}

fn serve(arguments: &[&str]) -> Serving {
    serve_in(&[], arguments)
}

/// The same with these variables in its environment.
pub fn serve_in(environment: &[(&str, &str)], arguments: &[&str]) -> Serving {
    let mut command = arc_rocm();
    command.envs(environment.iter().copied());
    serve_by(command, arguments)
}

/// The same by a command that becomes the program.
pub fn serve_by(mut command: Command, arguments: &[&str]) -> Serving {
    let mut child = command
        .args(["serve", "--bind", "127.0.0.1:0", "--admin-bind", "127.0.0.1:0"])
        .args(arguments)
        .stderr(Stdio::piped())
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
    let arguments = ["--shutdown-grace", "1h", "--ca-out", ca.to_str().unwrap()];
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
    // However long the above took, the grace was not over.
    signal(&child, "TERM");
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
fn bad_configuration_exits_with_2_and_a_reason() {
    let fails = |arguments: &[&str], wanted: &str| {
        let output = arc_rocm().args(arguments).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(wanted), "{stderr}");
    };
    fails(&["serve", "--tls-cert", "/nowhere/tls.crt"], "--tls-key");
    fails(
        &["serve", "--tls-cert", "/nowhere/tls.crt", "--tls-key", "/nowhere/tls.key"],
        "cannot read /nowhere/tls.crt: No such file",
    );
    fails(&["serve", "--tls-secret", "arc-rocm-tls"], "--webhook-configuration");
    let both = ["--tls-secret=a", "--tls-cert=b", "--tls-key=c", "--webhook-configuration=d"];
    fails(&[&["serve"], &both[..]].concat(), "cannot be used with");
    fails(&["serve", "--ca-lifetime", "0s"], "--ca-lifetime");
    fails(&["serve", "--bind", "nowhere"], "--bind");
    fails(&["serve", "--shutdown-grace", "soon"], "--shutdown-grace");
    fails(&["serve", "--poll", "0s"], "--poll");
    fails(&["serve", "--log-level", "arc_rocm=loud"], "--log-level");
    fails(&["serve", "--tls-host", "not a host\u{e9}"], "neither a DNS name nor an IP address");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    fails(&["serve", "--bind", &address], "cannot listen on 127.0.0.1:");
}

/// The file of profiles, in a folder of a test's own.
pub const FLEET: &str = "profiles/fleet.yaml";

/// A program that serves from a directory with one file of profiles, looked at often.
struct Fleet {
    directory: tempfile::TempDir,
    serving: Serving,
    ca: String,
}

impl Fleet {
    /// Serves what [`Fleet::write`] makes of this text.
    fn serve(text: &str) -> Self {
        let directory = Self::empty();
        swap(directory.path(), FLEET, text);
        Self::serve_in(directory)
    }

    fn empty() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("profiles")).unwrap();
        directory
    }

    fn serve_in(directory: tempfile::TempDir) -> Self {
        let path = |name| directory.path().join(name).display().to_string();
        let (profiles, ca) = (path("profiles"), path("ca.crt"));
        let arguments = ["--profiles", &profiles, "--poll", "20ms", "--ca-out", &ca];
        let serving = serve(&[&arguments[..], &["--shutdown-grace", "0s"]].concat());
        let ca = fs::read_to_string(&ca).unwrap();
        Self { directory, serving, ca }
    }

    fn profiles(&self) -> PathBuf {
        self.directory.path().join("profiles")
    }

    fn write(&self, text: &str) {
        swap(self.directory.path(), FLEET, text);
    }

    /// The patch for a runner; null if it is skipped.
    fn patch(&self) -> Value {
        let mut client = Client::connect(self.serving.address, &self.ca);
        let answer: Value = serde_json::from_str(&client.review(&fixture("plain")).body).unwrap();
        answer["response"]["patch"].clone()
    }

    /// Whether a runner gets so many GPUs.
    fn gives(&self, gpus: u32) -> bool {
        base64_of(&self.patch()).contains(&format!("--gpus={gpus}\""))
    }

    fn eventually_gives(&self, gpus: u32) {
        crate::server::eventually(&format!("{gpus} GPUs"), || self.gives(gpus));
    }

    /// The next warning: why the profiles were not replaced.
    fn rejected_for(&mut self) -> String {
        let line = self.serving.log.find(|line: &Value| line["level"] == "WARN").unwrap();
        assert_eq!(line["message"], "profiles not replaced, the old ones stay");
        let why = if line["error"].is_null() { &line["problem"] } else { &line["error"] };
        why.as_str().unwrap().to_owned()
    }

    fn ends_well(self) {
        signal(&self.serving.child, "TERM");
        assert_eq!(exit(self.serving.child).code(), Some(0));
    }
}

/// A profile for every runner, with so many GPUs.
pub fn fleet_of(gpus: &str) -> String {
    format!(
        "apiVersion: arc-rocm.dev/v1alpha1\nkind: RunnerProfile\nmetadata: {{name: fleet}}\n\
         spec: {{extends: rocm, match: {{}}, gpu: {{count: {gpus}}}}}\n"
    )
}

#[test]
fn profiles_reload_and_bad_ones_keep_the_last_good() {
    let mut fleet = Fleet::serve(&fleet_of("1"));
    assert!(fleet.gives(1));
    fleet.write(&fleet_of("4"));
    fleet.eventually_gives(4);
    fleet.write(&fleet_of("many"));
    let why = fleet.rejected_for();
    assert!(why.contains("fleet.yaml:4:"), "{why}");
    assert!(fleet.gives(4));
    fleet.write(&fleet_of("2"));
    fleet.eventually_gives(2);
    fleet.ends_well();
}

#[test]
fn first_profile_ends_the_builtin_for_others_with_a_log_line() {
    let mut fleet = Fleet::serve_in(Fleet::empty());
    assert!(fleet.gives(2), "the built-in profile");
    fleet.write(&fleet_of("4").replace("match: {}", "match: {scaleSets: [other]}"));
    let line = fleet.serving.log.find(|line: &Value| line["level"] == "WARN").unwrap();
    let message = line["message"].as_str().unwrap();
    let wanted = "there are profiles now: the built-in profile no longer applies to runners";
    assert!(message.starts_with(wanted), "{message}");
    assert_eq!(fleet.patch(), Value::Null);
    let metrics = Client::get(fleet.serving.admin, "/metrics").body;
    let skipped = r#"outcome="skipped",profile="",reason="no-profile"} 1"#;
    assert!(metrics.contains(skipped), "{metrics}");
    fleet.ends_well();
}

#[test]
fn empty_profiles_directory_keeps_the_last_good() {
    let mut fleet = Fleet::serve(&fleet_of("1"));
    assert!(fleet.gives(1));
    let path = fleet.profiles().display().to_string();
    fs::remove_file(fleet.profiles().join("fleet.yaml")).unwrap();
    assert_eq!(fleet.rejected_for(), format!("{path} has no profiles any more"));
    assert!(fleet.gives(1));
    fleet.write("# later\n");
    assert_eq!(fleet.rejected_for(), format!("{path}/fleet.yaml:1:1: no profile in it"));
    assert!(fleet.gives(1));
    let metrics = Client::get(fleet.serving.admin, "/metrics").body;
    assert!(metrics.contains(r#"profile_reloads_total{result="rejected"} 2"#), "{metrics}");
    fleet.write(&fleet_of("4"));
    fleet.eventually_gives(4);
    fleet.ends_well();
}

pub fn base64_of(text: &Value) -> String {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    String::from_utf8(BASE64_STANDARD.decode(text.as_str().unwrap()).unwrap()).unwrap()
}
