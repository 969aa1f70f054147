//! What ARC makes of its chart's values and of its own objects, down to the runner pod, where the pod
//! itself is not at hand. The rules are those of actions-runner-controller 0.12 to 0.14.

mod chart;
mod controller;
mod helm;

pub use chart::{KEYS, Release, VERSION, ValuesProblem, assumptions, scale_set};
pub use controller::{ENV, next_runner_pod, runner_pod};
pub use helm::HelmCommand;

use serde_json::{Map, Value, json};

use crate::podspec::runner_pod::{ORGANIZATION_LABEL, REPOSITORY_LABEL};

/// The runner pod of a scale set whose values give nothing but a name. The GitHub organization and
/// repository become labels.
///
/// # Errors
///
/// The chart refuses the name.
pub fn plain_runner_pod(
    release: &Release<'_>,
    organization: Option<&str>,
    repository: Option<&str>,
) -> Result<Value, ValuesProblem> {
    let mut set = scale_set(&json!({}), release)?;
    let github = [(ORGANIZATION_LABEL, organization), (REPOSITORY_LABEL, repository)];
    if let Some(Value::Object(labels)) = set.pointer_mut("/metadata/labels") {
        labels.extend(
            github.into_iter().filter_map(|(label, name)| Some((label.into(), name?.into()))),
        );
    }
    Ok(next_runner_pod(&set))
}

/// The texts at `pointer`, such as labels.
fn texts(object: &Value, pointer: &str) -> Map<String, Value> {
    let members = object.pointer(pointer).and_then(Value::as_object).into_iter().flatten();
    let texts = members.filter(|(_, value)| value.is_string());
    texts.map(|(key, value)| (key.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::podspec::runner_pod::{SCALE_SET_ANNOTATION, SCALE_SET_LABEL};

    #[test]
    fn plain_runner_underscore_becomes_hyphen() {
        let release = Release { name: "linux_gpu_2", namespace: "arc-runners", version: VERSION };
        let pod = plain_runner_pod(&release, Some("org"), None).unwrap();
        assert_eq!(pod["metadata"]["name"], "linux-gpu-2-xxxxx-runner-xxxxx");
        assert_eq!(pod["metadata"]["labels"][SCALE_SET_LABEL], "linux-gpu-2");
        assert_eq!(pod["metadata"]["annotations"][SCALE_SET_ANNOTATION], "linux_gpu_2");
        assert_eq!(pod["metadata"]["labels"][ORGANIZATION_LABEL], "org");
    }
}
