//! The exact meaning of "the pod's own values are kept": the resulting pod has every leaf of the
//! original pod and keeps the order of list items. The exceptions are listed here.

use arc_rocm::podspec::Quantity;
use serde_json::Value;

use crate::{generate::api_server::default_policy, support::wrapped};

const CHART_COMMAND: &str = "/home/runner/run.sh";

/// Compares the original pod with the resulting pod.
pub(super) fn compare(before: &Value, after: &Value) -> Result<(), String> {
    let whole = Whole { before, after };
    whole.value(before, after, "")
}

#[derive(Clone, Copy)]
struct Whole<'v> {
    before: &'v Value,
    after: &'v Value,
}

impl Whole<'_> {
    fn value(&self, before: &Value, after: &Value, path: &str) -> Result<(), String> {
        if before == after || is_empty(before) || self.may_change(before, after, path) {
            return Ok(());
        }
        match (before, after) {
            (Value::Object(before), Value::Object(after)) => {
                for (key, before) in before {
                    let path = format!("{path}/{key}");
                    self.value(before, after.get(key).unwrap_or(&Value::Null), &path)?;
                }
                Ok(())
            }
            (Value::Array(before), Value::Array(after)) if !path.ends_with("/args") => {
                self.list(before, after, path)
            }
            _ => Err(format!("{path}: {before} became {after}")),
        }
    }

    /// Checks that each item is still there, in the same order.
    fn list(&self, before: &[Value], after: &[Value], path: &str) -> Result<(), String> {
        let is_container = path == "/spec/containers" || path == "/spec/initContainers";
        let mut rest = after.iter();
        for item in before {
            let name = item["name"].as_str().unwrap_or_default();
            let found = if is_container {
                rest.find(|other| other["name"] == item["name"])
            } else {
                rest.find(|other| *other == item)
            };
            let Some(found) = found else {
                return Err(format!("{path}: {item} is gone or has moved"));
            };
            if is_container {
                self.container(item, found, &format!("{path}/{name}"))?;
            }
        }
        Ok(())
    }

    fn container(&self, before: &Value, after: &Value, path: &str) -> Result<(), String> {
        let empty = serde_json::Map::new();
        for (field, value) in before.as_object().unwrap_or(&empty) {
            let now = &after[field];
            let path = format!("{path}/{field}");
            let image = before["image"].as_str().unwrap_or_default();
            let chart = is_chart_image(image);
            let fine = match (field.as_str(), value.as_str()) {
                ("image", _) => chart,
                ("imagePullPolicy", Some(policy)) => {
                    chart || (policy == default_policy(image) && after["image"] == image)
                }
                ("terminationMessagePath", Some(text)) => text == "/dev/termination-log",
                ("terminationMessagePolicy", Some(text)) => text == "File",
                ("command", _) if before["name"] == "runner" => {
                    return same_command(before, after).map_err(|error| format!("{path}: {error}"));
                }
                ("resources", _) => {
                    let value = with_exact_requests(value, now);
                    self.value(&value, now, &path)?;
                    true
                }
                _ => false,
            };
            if !fine {
                self.value(value, now, &path)?;
            }
        }
        Ok(())
    }

    /// The pod's own fields that only hold a default, or that follow from another.
    fn may_change(&self, before: &Value, after: &Value, path: &str) -> bool {
        let text = before.as_str().unwrap_or_default();
        match path {
            "/metadata/annotations/arc-rocm.dev/status" => true,
            "/spec/restartPolicy" => text == "Always",
            "/spec/dnsPolicy" => text == "ClusterFirst",
            "/spec/schedulerName" => text == "default-scheduler",
            "/spec/terminationGracePeriodSeconds" => *before == 30,
            "/spec/enableServiceLinks" => *before == true,
            "/spec/serviceAccountName" | "/spec/serviceAccount" => {
                (text.ends_with("-no-permission") || text == "default") && after.is_string()
            }
            "/spec/priority" | "/spec/preemptionPolicy" => {
                let class = |pod: &Value| pod["spec"]["priorityClassName"].clone();
                class(self.before).is_null() && class(self.after).is_string()
            }
            _ => self.is_filled(path),
        }
    }

    /// Whether the LimitRanger's note names this request or limit.
    fn is_filled(&self, path: &str) -> bool {
        let note = &self.before["metadata"]["annotations"]["kubernetes.io/limit-ranger"];
        let note = note.as_str().unwrap_or_default();
        [("requests", "request"), ("limits", "limit")].iter().any(|(map, kind)| {
            path.strip_prefix(&format!("/spec/containers/runner/resources/{map}/")).is_some_and(
                |resource| note.contains(&format!("{resource} {kind} for container runner")),
            )
        })
    }
}

/// The pod's own resources, with requests of extended resources set to their limits, and limits
/// below their requests set to those. These are the changes of an own value, because the API server
/// refuses the original.
fn with_exact_requests(before: &Value, after: &Value) -> Value {
    let mut expected = before.clone();
    let amount = |value: &Value| match value {
        Value::String(text) => text.parse::<Quantity>().ok(),
        value => value.to_string().parse().ok(),
    };
    for (resource, request) in before["requests"].as_object().into_iter().flatten() {
        let now = &after["requests"][resource];
        let is_exact = resource.starts_with("hugepages-") || resource.contains('/');
        let limit = amount(&before["limits"][resource]);
        if is_exact && limit.is_some() && amount(request) != limit && amount(now) == limit {
            expected["requests"][resource] = now.clone();
        }
        let limit_now = &after["limits"][resource];
        if !is_exact
            && limit.is_some()
            && limit < amount(request)
            && limit_now != &before["limits"][resource]
            && amount(limit_now) == amount(request)
        {
            expected["limits"][resource] = limit_now.clone();
        }
    }
    expected
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

fn is_chart_image(image: &str) -> bool {
    let tag = image.strip_prefix("ghcr.io/actions/actions-runner");
    tag.is_some_and(|tag| tag.is_empty() || (tag.starts_with(':') && !tag.contains('@')))
}

/// Checks that the runner's command line ends with the original one. Only the chart's default may
/// be replaced.
fn same_command(before: &Value, after: &Value) -> Result<(), String> {
    let words = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let (old, new) = (words(&before["command"]), words(&after["command"]));
    let is_chart = (old.is_empty() || old == [CHART_COMMAND]) && words(&before["args"]).is_empty();
    let inner = match wrapped(&new) {
        Some(rest) => &rest[rest.iter().position(|word| word == "--").unwrap() + 1..],
        None => &new[..],
    };
    if inner == old || is_chart { Ok(()) } else { Err(format!("{old:?} became {new:?}")) }
}
