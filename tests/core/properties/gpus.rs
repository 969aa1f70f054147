//! What the start wrapper is told fits the GPUs that the pod asks for.

use serde_json::Value;

use crate::support::wrapped;

/// Names that are GPUs: those that generated pods and profiles use.
const GPUS: [&str; 3] = ["amd.com/gpu", "amd.com/cpx_nps4", "example.com/gpu"];

/// Checks the resulting pod.
pub(super) fn check(before: &Value, after: &Value) -> Result<(), String> {
    let asks = |name: &str| containers(before).any(|one| amount(one, name) > 0);
    if asks("nvidia.com/gpu") && before != after {
        return Err("a pod with another vendor's GPUs got a profile".to_owned());
    }
    let [was, is] = [before, after]
        .map(|pod| containers(pod).find(|one| one["name"] == "runner").unwrap_or(&Value::Null));
    let used = is["resources"]["claims"].as_array().map_or(0, Vec::len);
    let claims = before["spec"]["resourceClaims"].as_array().into_iter().flatten();
    // Pairs of names that no generated profile has.
    let mut claims = claims.map(|claim| (&claim["name"], &claim["resourceClaimTemplateName"]));
    let is_own = claims.any(|(name, template)| (name == "nic") != (template == "nic"));
    let added = GPUS.iter().find(|name| amount(was, name) == 0 && amount(is, name) > 0);
    if let Some(added) = added.filter(|_| is_own) {
        return Err(format!("{added} was added beside the pod's own claim"));
    }
    let Some(told) = told(is) else { return Ok(()) };
    let asked: u64 = GPUS.iter().map(|name| amount(is, name)).sum();
    // A claim does not say how many GPUs it is for.
    if asked != told && (asked > 0 || used == 0) {
        return Err(format!("the runner asks for {asked} GPUs, the wrapper expects {told}"));
    }
    Ok(())
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    let lists = ["initContainers", "containers"];
    lists.into_iter().flat_map(|list| pod["spec"][list].as_array().into_iter().flatten())
}

/// The limit of a resource, or its request.
fn amount(container: &Value, name: &str) -> u64 {
    let amounts = ["limits", "requests"].map(|map| &container["resources"][map][name]);
    let given = amounts.into_iter().find(|amount| !amount.is_null());
    given.and_then(|amount| amount.as_str()?.parse().ok()).unwrap_or_default()
}

/// The number that the start wrapper is told.
fn told(runner: &Value) -> Option<u64> {
    let option = wrapped(runner["command"].as_array()?)?.first()?.as_str()?;
    option.strip_prefix("--gpus=")?.parse().ok()
}
