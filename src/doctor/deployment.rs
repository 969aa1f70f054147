//! Reads flags and volumes from the webhook's Deployment.

use std::path::Path;

use serde_json::Value;

use super::facts::{list, text};

/// The Secret without a Deployment.
const SECRET: &str = "arc-rocm-tls";
/// The `ConfigMap` without a Deployment.
const CONFIG_MAP: &str = "arc-rocm-profiles";

/// The values of a flag of `arc-rocm serve`: `--flag=a,b`, `--flag a`, or by environment variable.
pub(super) fn flag<'d>(deployment: &'d Value, flag: &str) -> Vec<&'d str> {
    let Some(container) = container(deployment) else { return Vec::new() };
    let args: Vec<&str> = list(container, "/args").filter_map(Value::as_str).collect();
    let mut values = Vec::new();
    for (index, arg) in args.iter().enumerate() {
        let Some(rest) = arg.strip_prefix("--").and_then(|arg| arg.strip_prefix(flag)) else {
            continue;
        };
        if let Some(value) = rest.strip_prefix('=') {
            values.push(value);
        } else if rest.is_empty() {
            let next = args.get(index + 1).filter(|next| !next.starts_with("--"));
            values.push(next.copied().unwrap_or("true"));
        }
    }
    if values.is_empty() {
        let name = format!("ARC_ROCM_{}", flag.replace('-', "_").to_uppercase());
        let set = list(container, "/env").find(|variable| text(variable, "/name") == name);
        values.extend(set.map(|variable| text(variable, "/value")));
    }
    values
        .into_iter()
        .flat_map(|value| value.split(','))
        .filter(|value| !value.is_empty())
        .collect()
}

/// Whether the webhook renews its own certificates; `None` without a Deployment.
pub(super) fn renews(deployment: Option<&Value>) -> Option<bool> {
    deployment.map(|deployment| !flag(deployment, "tls-secret").is_empty())
}

/// The Secret with the serving certificate.
pub(super) fn secret(deployment: Option<&Value>) -> String {
    let Some(deployment) = deployment else { return SECRET.to_owned() };
    if let Some(name) = flag(deployment, "tls-secret").first() {
        return (*name).to_owned();
    }
    let file = flag(deployment, "tls-cert").first().copied().unwrap_or_default();
    mounted(deployment, file, "/secret/secretName").unwrap_or_else(|| SECRET.to_owned())
}

/// The `ConfigMap` with the profiles.
pub(super) fn config_map(deployment: Option<&Value>) -> String {
    let named = deployment.and_then(|deployment| {
        let path = flag(deployment, "profiles").first().copied()?;
        mounted(deployment, path, "/configMap/name")
    });
    named.unwrap_or_else(|| CONFIG_MAP.to_owned())
}

/// The source of the volume that is mounted at `path` or above it.
fn mounted(deployment: &Value, path: &str, source: &str) -> Option<String> {
    let container = container(deployment)?;
    let above = |mount: &&Value| {
        let at = text(mount, "/mountPath");
        !at.is_empty() && Path::new(path).starts_with(at)
    };
    let volume = text(list(container, "/volumeMounts").find(above)?, "/name");
    let mut volumes = list(deployment, "/spec/template/spec/volumes");
    let name = text(volumes.find(|other| text(other, "/name") == volume)?, source);
    (!name.is_empty()).then(|| name.to_owned())
}

/// The webhook's container; others may be injected.
fn container(deployment: &Value) -> Option<&Value> {
    let serves = |container: &&Value| list(container, "/args").any(|arg| arg == "serve");
    list(deployment, "/spec/template/spec/containers").find(serves)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with(args: &[&str]) -> Value {
        let mounts = json!([{"name": "a", "mountPath": "/tls"}, {"name": "b", "mountPath": "/p"}]);
        json!({"spec": {"template": {"spec": {
            "containers": [
                {"name": "mesh", "args": ["proxy", "--arc-controller-user=no"]},
                {
                    "name": "arc-rocm",
                    "args": args,
                    "env": [{"name": "ARC_ROCM_ARC_CONTROLLER_USER", "value": "x,y"}],
                    "volumeMounts": mounts,
                },
            ],
            "volumes": [
                {"name": "b", "configMap": {"name": "fleet"}},
                {"name": "a", "secret": {"secretName": "pair"}},
            ],
        }}}})
    }

    #[test]
    fn flag_is_read_in_each_form() {
        let deployment = with(&[
            "serve",
            "--arc-controller-user=a",
            "--arc-controller-user",
            "b",
            "--watch-profiles",
        ]);
        assert_eq!(flag(&deployment, "arc-controller-user"), ["a", "b"]);
        assert_eq!(flag(&deployment, "watch-profiles"), ["true"]);
        assert_eq!(flag(&with(&["serve"]), "arc-controller-user"), ["x", "y"]);
        assert!(flag(&with(&["serve", "--tls-certificate=x"]), "tls-cert").is_empty());
        assert!(flag(&json!({}), "arc-controller-user").is_empty());
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
