//! The program under test, as a user runs it.

use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    path::Path,
    process::{Output, Stdio},
};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, process::Command};

use crate::settings::{Settings, root};

/// `arc-rocm serve`, to be given its flags: it logs to a file, and ends with its handle.
pub(crate) fn serve(settings: &Settings, log: &Path) -> anyhow::Result<Command> {
    let mut command = Command::new(&settings.program);
    command
        .arg("serve")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(log)?)
        .kill_on_drop(true);
    Ok(command)
}

/// The last lines of a log.
pub(crate) fn tail(log: &Path) -> io::Result<String> {
    let log = fs::read_to_string(log)?;
    let lines: Vec<&str> = log.lines().collect();
    Ok(lines.get(lines.len().saturating_sub(50)..).unwrap_or_default().join("\n"))
}

/// The flags for the pair that [`certs`] wrote to `folder`.
pub(crate) fn pair(folder: &Path) -> [OsString; 4] {
    let file = |name| folder.join(name).into_os_string();
    ["--tls-cert".into(), file("tls.crt"), "--tls-key".into(), file("tls.key")]
}

/// Runs a program with `input` to its end.
async fn output(command: &mut Command, input: &[u8]) -> io::Result<Output> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input).await?;
    }
    child.wait_with_output().await
}

/// What a program that must succeed prints.
async fn printed(
    command: &mut Command,
    input: &[u8],
    what: impl Fn() -> String,
) -> anyhow::Result<String> {
    let output = output(command, input).await.with_context(&what)?;
    if !output.status.success() {
        bail!("{}: {}\n{}", what(), output.status, String::from_utf8_lossy(&output.stderr));
    }
    String::from_utf8(output.stdout).with_context(what)
}

/// Runs `arc-rocm ARGUMENTS` with `input` and returns what it prints.
///
/// # Errors
///
/// Any exit code but 0, with what the program said.
pub(crate) async fn run(
    settings: &Settings,
    arguments: &[&str],
    input: &[u8],
) -> anyhow::Result<String> {
    let what = || format!("arc-rocm {}", arguments.join(" "));
    printed(Command::new(&settings.program).args(arguments), input, what).await
}

/// Runs `kubectl ARGUMENTS` with `input`: whether it succeeded, and what it printed.
pub(crate) async fn kubectl(
    settings: &Settings,
    arguments: &[&str],
    input: &str,
) -> anyhow::Result<(bool, String)> {
    let words = settings.kubectl.as_deref().context("Need::Kubectl is missing")?;
    let (program, first) = words.split_first().context("ARC_ROCM_KUBECTL is empty")?;
    let mut command = Command::new(program);
    let output = output(command.args(first).args(arguments), input.as_bytes()).await;
    let output = output.context("kubectl")?;
    let mut printed = String::from_utf8_lossy(&output.stdout).into_owned();
    printed += &String::from_utf8_lossy(&output.stderr);
    Ok((output.status.success(), printed))
}

/// Runs `arc-rocm ARGUMENTS`, which may find something: its exit code and the JSON that it prints.
///
/// # Errors
///
/// Anything printed but JSON, with what the program said.
pub(crate) async fn report(
    settings: &Settings,
    arguments: &[&str],
) -> anyhow::Result<(Option<i32>, Value)> {
    let what = || format!("arc-rocm {}", arguments.join(" "));
    let output = output(Command::new(&settings.program).args(arguments), &[]).await;
    let output = output.with_context(what)?;
    let printed = serde_json::from_slice(&output.stdout).with_context(|| {
        format!("{}: {}\n{}", what(), output.status, String::from_utf8_lossy(&output.stderr))
    })?;
    Ok((output.status.code(), printed))
}

/// `arc-rocm certs`: ca.crt, tls.crt and tls.key in `folder`, replaced if they are there.
pub(crate) async fn certs(settings: &Settings, folder: &Path, host: &str) -> anyhow::Result<()> {
    let folder = folder.to_string_lossy();
    run(settings, &["certs", "--force", "--out", &folder, "--host", host], &[]).await?;
    Ok(())
}

/// `helm ARGUMENTS`: what it prints.
///
/// # Errors
///
/// Any exit code but 0, with what Helm said.
pub(crate) async fn helm(settings: &Settings, arguments: &[&str]) -> anyhow::Result<String> {
    let what = || format!("helm {}", arguments.join(" "));
    printed(Command::new(&settings.helm).args(arguments), &[], what).await
}

/// The chart's folder.
pub(crate) fn chart() -> String {
    root().join("deploy/helm/arc-rocm").to_string_lossy().into_owned()
}

/// The objects that `helm template` renders, definitions first, for values as `--set` takes them.
pub(crate) async fn render(
    settings: &Settings,
    name: &str,
    namespace: &str,
    values: &[String],
) -> anyhow::Result<Vec<Value>> {
    let (chart, name) = (chart(), format!("fullnameOverride={name}"));
    let mut arguments = vec!["template", "e2e", &chart, "--include-crds", "--namespace", namespace];
    arguments.extend(["--set", &name]);
    for value in values {
        arguments.extend(["--set", value]);
    }
    let text = helm(settings, &arguments).await?;
    serde_saphyr::from_multiple(&text).context("the chart's render")
}

/// Values of an installation that has its certificate from a Secret, with this CA, and never calls the
/// API server.
pub(crate) fn own_certificate(ca: &Path) -> anyhow::Result<Vec<String>> {
    // The commas of `--set` are in no PEM.
    let ca = fs::read_to_string(ca).with_context(|| ca.display().to_string())?;
    Ok(vec![
        "certificates.mode=Secret".to_owned(),
        format!("certificates.caBundle={ca}"),
        "webhook.readinessCheck=false".to_owned(),
        "runnerProfiles.watch=false".to_owned(),
        "events.enabled=false".to_owned(),
    ])
}

/// The registration alone, of a webhook at a URL.
pub(crate) async fn registration(
    settings: &Settings,
    name: &str,
    namespace: &str,
    ca: &Path,
    url: &str,
    values: &[String],
) -> anyhow::Result<Value> {
    let values = [own_certificate(ca)?, values.to_vec()].concat();
    let objects = render(settings, name, namespace, &values).await?;
    let registration =
        objects.into_iter().find(|object| object["kind"] == "MutatingWebhookConfiguration");
    let mut registration = registration.context("the chart renders no registration")?;
    let client = &mut registration["webhooks"][0]["clientConfig"];
    *client = json!({"url": url, "caBundle": client["caBundle"]});
    Ok(registration)
}
