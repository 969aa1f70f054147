//! `arc-rocm profiles check --server` on a real API server.

use std::fs;

use anyhow::{bail, ensure};

use crate::{
    case::{Case, case},
    cluster::pods,
    program,
    scene::Scene,
};

pub(crate) fn cases() -> Vec<Case> {
    vec![case("cli-profiles-check-server", check_server)]
}

/// The API server accepts what is good, and its words on what is not are problems of the profile.
async fn check_server(scene: &Scene) -> anyhow::Result<()> {
    let printed = check(scene, "{}").await?;
    ensure!(printed.contains("1 profile, no problems; namespace "), "{printed}");
    ensure!(scene.cluster().list(&pods(&scene.namespace)).await?.is_empty(), "a pod was stored");

    let missing = refused(scene, "{priorityClassName: e2e-no-such-class}").await?;
    ensure!(missing.contains("fleet.yaml:1: fleet, 2 GPUs: pod: "), "{missing}");
    ensure!(missing.contains("no PriorityClass with name e2e-no-such-class"), "{missing}");

    scene.enforce("baseline").await?;
    let privileged = refused(scene, "{}").await?;
    ensure!(privileged.contains("violates PodSecurity"), "{privileged}");
    Ok(())
}

/// Checks a profile whose template has this pod spec, and returns what is printed.
async fn check(scene: &Scene, spec: &str) -> anyhow::Result<String> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("fleet.yaml");
    let profile = format!(
        "apiVersion: arc-rocm.dev/v1alpha1\nkind: RunnerProfile\nmetadata: {{name: fleet}}\n\
         spec: {{extends: rocm, template: {{spec: {spec}}}}}\n"
    );
    fs::write(&file, profile)?;
    let file = file.to_string_lossy();
    let arguments = ["profiles", "check", &file, "--server", "--namespace", &scene.namespace];
    program::run(&scene.world.settings, &arguments, &[]).await
}

/// The same for a profile with problems: exit code 2, and what is printed on standard error.
async fn refused(scene: &Scene, spec: &str) -> anyhow::Result<String> {
    match check(scene, spec).await {
        Ok(printed) => bail!("no problem with {spec}: {printed}"),
        Err(error) => {
            let error = error.to_string();
            ensure!(error.contains("exit status: 2"), "{error}");
            Ok(error)
        }
    }
}
