//! The program under test, as a user runs it.

use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    path::Path,
    process::Stdio,
};

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::{io::AsyncWriteExt as _, process::Command};

use crate::settings::Settings;

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
    let mut child = Command::new(&settings.program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(what)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input).await.with_context(what)?;
    }
    let output = child.wait_with_output().await.with_context(what)?;
    if !output.status.success() {
        bail!("{}: {}\n{}", what(), output.status, String::from_utf8_lossy(&output.stderr));
    }
    String::from_utf8(output.stdout).with_context(what)
}

/// Runs `kubectl ARGUMENTS` with `input`: whether it succeeded, and what it printed.
pub(crate) async fn kubectl(
    settings: &Settings,
    arguments: &[&str],
    input: &str,
) -> anyhow::Result<(bool, String)> {
    let words = settings.kubectl.as_deref().context("Need::Kubectl is missing")?;
    let (program, first) = words.split_first().context("ARC_ROCM_KUBECTL is empty")?;
    let mut child = Command::new(program)
        .args(first)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("kubectl")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).await.context("kubectl")?;
    }
    let output = child.wait_with_output().await.context("kubectl")?;
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
    let output = Command::new(&settings.program)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(what)?;
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

/// `arc-rocm manifests -o json`: the items of its List.
pub(crate) async fn manifests(
    settings: &Settings,
    arguments: &[&str],
) -> anyhow::Result<Vec<Value>> {
    let arguments = [&["manifests", "-o", "json"], arguments].concat();
    let mut list: Value = serde_json::from_str(&run(settings, &arguments, &[]).await?)?;
    match list["items"].take() {
        Value::Array(items) => Ok(items),
        other => bail!("arc-rocm manifests: no items but {other}"),
    }
}
