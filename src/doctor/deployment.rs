//! Reads flags and volumes from the webhook's Deployment.

use std::path::Path;

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Container, PodSpec, Volume},
};

/// The Secret without a Deployment.
const SECRET: &str = "arc-rocm-tls";
/// The `ConfigMap` without a Deployment.
const CONFIG_MAP: &str = "arc-rocm-profiles";

/// The values of a flag of `arc-rocm serve`: `--flag=a,b` or `--flag a`.
pub(super) fn flag<'d>(deployment: &'d Deployment, flag: &str) -> Vec<&'d str> {
    let args = container(deployment).and_then(|one| one.args.as_deref()).unwrap_or_default();
    let mut values = Vec::new();
    for (index, arg) in args.iter().enumerate() {
        let rest = arg.strip_prefix("--").and_then(|arg| arg.strip_prefix(flag));
        match rest.map(|rest| (rest, rest.strip_prefix('='))) {
            Some((_, Some(value))) => values.extend(value.split(',')),
            Some(("", None)) => {
                let next = args.get(index + 1).filter(|next| !next.starts_with("--"));
                values.extend(next.map_or("true", String::as_str).split(','));
            }
            _ => {}
        }
    }
    values
}

/// The image of the webhook's container.
pub(super) fn image(deployment: &Deployment) -> Option<&str> {
    container(deployment)?.image.as_deref()
}

/// The Secret with the serving certificate.
pub(super) fn secret(deployment: Option<&Deployment>) -> String {
    let found = deployment.and_then(|deployment| {
        let named = flag(deployment, "tls-secret").first().map(|&name| name.to_owned());
        let source = |volume: &Volume| volume.secret.as_ref()?.secret_name.clone();
        named.or_else(|| source(mounted(deployment, flag(deployment, "tls-cert").first()?)?))
    });
    found.unwrap_or_else(|| SECRET.to_owned())
}

/// The `ConfigMap` with the profiles.
pub(super) fn config_map(deployment: Option<&Deployment>) -> String {
    let found = deployment.and_then(|deployment| {
        let volume = mounted(deployment, flag(deployment, "profiles").first()?)?;
        Some(volume.config_map.as_ref()?.name.clone())
    });
    found.unwrap_or_else(|| CONFIG_MAP.to_owned())
}

/// The volume that is mounted at `path` or above it.
fn mounted<'d>(deployment: &'d Deployment, path: &str) -> Option<&'d Volume> {
    let mut mounts = container(deployment)?.volume_mounts.iter().flatten();
    let mount = mounts.find(|mount| Path::new(path).starts_with(&mount.mount_path))?;
    spec(deployment)?.volumes.iter().flatten().find(|volume| volume.name == mount.name)
}

/// The webhook's container; others may be injected.
fn container(deployment: &Deployment) -> Option<&Container> {
    let serves = |one: &&Container| one.args.iter().flatten().any(|arg| arg == "serve");
    spec(deployment)?.containers.iter().find(serves)
}

fn spec(deployment: &Deployment) -> Option<&PodSpec> {
    deployment.spec.template.spec.as_ref()
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;
    use crate::profile::source::{Node, documents};

    fn with(args: &[&str]) -> Deployment {
        let mounts = json!([{"name": "a", "mountPath": "/tls"}, {"name": "b", "mountPath": "/p"}]);
        from_value(json!({"spec": {"selector": {}, "template": {"spec": {
            "containers": [
                {"name": "mesh", "args": ["proxy", "--arc-controller-user=no"]},
                {"name": "arc-rocm", "image": "i:1", "args": args, "volumeMounts": mounts},
            ],
            "volumes": [
                {"name": "b", "configMap": {"name": "fleet"}},
                {"name": "a", "secret": {"secretName": "pair"}},
            ],
        }}}}))
        .unwrap()
    }

    #[test]
    fn deployment_of_the_chart_is_read() {
        let render = include_str!("../../deploy/install.yaml");
        let objects = documents("install.yaml", render).unwrap();
        let mut objects = objects.iter().map(Node::to_json);
        let deployment = from_value(objects.find(|one| one["kind"] == "Deployment").unwrap());
        let deployment: Deployment = deployment.unwrap();
        assert_eq!(flag(&deployment, "tls-secret"), ["arc-rocm-tls"]);
        assert_eq!(flag(&deployment, "watch-profiles"), ["true"]);
        let profiles = flag(&deployment, "profiles");
        assert!(mounted(&deployment, profiles[0]).unwrap().config_map.is_some());
        assert!(image(&deployment).is_some());
    }

    #[test]
    fn flag_is_read_in_each_form() {
        let deployment = with(&[
            "serve",
            "--arc-controller-user=a,b",
            "--arc-controller-user",
            "c",
            "--watch-profiles",
        ]);
        assert_eq!(flag(&deployment, "arc-controller-user"), ["a", "b", "c"]);
        assert_eq!(flag(&deployment, "watch-profiles"), ["true"]);
        assert!(flag(&with(&["serve", "--tls-certificate=x"]), "tls-cert").is_empty());
        assert!(flag(&Deployment::default(), "arc-controller-user").is_empty());
        assert_eq!(image(&deployment), Some("i:1"));
    }

    #[test]
    fn secret_and_config_map_are_the_mounted_or_named() {
        let files = with(&["serve", "--tls-cert=/tls/tls.crt", "--profiles=/p"]);
        assert_eq!(secret(Some(&files)), "pair");
        assert_eq!(config_map(Some(&files)), "fleet");
        assert_eq!(secret(Some(&with(&["serve", "--tls-secret=made"]))), "made");
        let elsewhere = with(&["serve", "--tls-cert=/other/tls.crt", "--profiles=/other"]);
        assert_eq!(secret(Some(&elsewhere)), SECRET);
        assert_eq!(config_map(Some(&elsewhere)), CONFIG_MAP);
        assert_eq!((secret(None), config_map(None)), (SECRET.to_owned(), CONFIG_MAP.to_owned()));
    }
}
