//! A `RunnerProfile` as the API server has it.

use std::{borrow::Cow, collections::BTreeMap};

use k8s_openapi::{
    ClusterResourceScope,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};
use kube::Resource;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    cluster::depth_limited::DepthLimited,
    profile::{
        crd::PLURAL,
        spec::{API_VERSION, GROUP, KIND},
        status::RunnerProfileStatus,
    },
};

/// JSON, not the types that it stands for: those would lose every `null`, which takes an inherited
/// value away. And no deeper than a profile may be: one object that is would else make the whole
/// list unreadable.
///
/// Written out, it is the body of an update of its status: the API server takes all else from what
/// it has.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Stored {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    #[serde(default, deserialize_with = "metadata")]
    pub(super) metadata: ObjectMeta,
    #[serde(default, skip_serializing)]
    pub(super) spec: DepthLimited,
    #[serde(default)]
    pub(super) status: DepthLimited,
}

impl Stored {
    /// Its status. Whatever cannot be read is as if it were not there, and is written anew.
    pub(super) fn status(&self) -> RunnerProfileStatus {
        RunnerProfileStatus::deserialize(&self.status.0).unwrap_or_default()
    }
}

impl Resource for Stored {
    type DynamicType = ();
    type Scope = ClusterResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        KIND.into()
    }

    fn group((): &()) -> Cow<'_, str> {
        GROUP.into()
    }

    fn version((): &()) -> Cow<'_, str> {
        API_VERSION.rsplit_once('/').map_or(API_VERSION, |(_, version)| version).into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        PLURAL.into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// What is looked at of the metadata: not the managed fields, which are as deep as the object.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    creation_timestamp: Option<Time>,
    annotations: Option<BTreeMap<String, String>>,
}

fn metadata<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let Metadata { name, uid, resource_version, generation, creation_timestamp, annotations } =
        Metadata::deserialize(deserializer)?;
    Ok(ObjectMeta {
        name,
        uid,
        resource_version,
        generation,
        creation_timestamp,
        annotations,
        ..ObjectMeta::default()
    })
}

#[cfg(test)]
mod tests {
    use kube::{api::ObjectList, core::WatchEvent};
    use serde_json::{Value, json};

    use super::*;

    /// As the API server writes it, managed fields included.
    fn text(name: &str, levels: usize) -> String {
        let nested = |key: &str| {
            format!("{}{{}}{}", format!("{{\"{key}\":").repeat(levels), "}".repeat(levels))
        };
        format!(
            r#"{{"apiVersion":"arc-rocm.dev/v1alpha1","kind":"RunnerProfile","metadata":{{
            "creationTimestamp":"1970-01-01T00:01:00Z","generation":2,"managedFields":[{{
            "fieldsV1":{},"manager":"kubectl"}}],"name":"{name}","resourceVersion":"7","uid":"u"}},
            "spec":{{"groups":null,"template":{}}},"status":{{"podsPatched":3}}}}"#,
            nested("f:a"),
            nested("a"),
        )
        .replace('\n', "")
    }

    #[test]
    fn one_object_that_is_too_deep_leaves_its_list_and_the_watch_readable() {
        let list = format!(
            r#"{{"apiVersion":"arc-rocm.dev/v1alpha1","items":[{},{}],"kind":"RunnerProfileList",
            "metadata":{{"resourceVersion":"8"}}}}"#,
            text("deep", 9_900),
            text("flat", 1),
        );
        let list: ObjectList<Stored> = serde_json::from_str(&list).unwrap();
        let [deep, flat] = &list.items[..] else { panic!("{} items", list.items.len()) };
        assert_eq!(deep.metadata.name.as_deref(), Some("deep"));
        assert!(deep.spec.0["template"]["a"]["a"].is_object());
        assert_eq!(flat.spec.0, json!({"groups": null, "template": {"a": {}}}));
        assert_eq!(flat.status.0, json!({"podsPatched": 3}));
        assert_eq!(flat.metadata.generation, Some(2));

        let event = format!(r#"{{"type":"ADDED","object":{}}}"#, text("deep", 9_900));
        let event: WatchEvent<Stored> = serde_json::from_str(&event).unwrap();
        assert!(matches!(event, WatchEvent::Added(_)));
    }

    #[test]
    fn an_update_of_the_status_has_what_it_depends_on_and_nothing_that_was_cut() {
        let stored: Stored = serde_json::from_str(&text("deep", 500)).unwrap();
        let body = serde_json::to_value(&stored).unwrap();
        assert_eq!(body["metadata"]["resourceVersion"], "7");
        assert_eq!((&body["kind"], body.get("spec")), (&Value::from("RunnerProfile"), None));
        assert_eq!(body["status"], json!({"podsPatched": 3}));
    }
}
