//! A `RunnerProfile` as the API server has it.

use std::borrow::Cow;

use k8s_openapi::{ClusterResourceScope, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::Resource;
use serde::{Deserialize, Deserializer};

use super::ObjectWithStatus;
use crate::profile::{
    DepthLimited, Object,
    spec::{API_VERSION, GROUP, KIND, PLURAL},
    status::RunnerProfileStatus,
};

/// JSON, not the types that it stands for: the compiler reports unknown fields and wrong types.
/// With a limit on its depth: one object that is too deep would otherwise make the whole list
/// unreadable.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Stored {
    #[serde(default, deserialize_with = "metadata")]
    metadata: ObjectMeta,
    #[serde(default)]
    spec: DepthLimited,
    #[serde(default)]
    status: DepthLimited,
}

impl Stored {
    /// What the compiler needs of it.
    pub(super) fn object(&self) -> Object {
        let ObjectMeta { name, uid, generation, .. } = &self.metadata;
        Object {
            name: name.clone().unwrap_or_default(),
            uid: uid.clone().unwrap_or_default(),
            generation: generation.unwrap_or_default(),
            spec: self.spec.0.clone(),
        }
    }

    /// With its status; the default where that cannot be read, so that it is written anew.
    pub(super) fn with_status(&self) -> ObjectWithStatus {
        ObjectWithStatus {
            object: self.object(),
            status: RunnerProfileStatus::deserialize(&self.status.0).unwrap_or_default(),
            version: self.metadata.resource_version.clone(),
        }
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

/// What is read of the metadata: not the managed fields, which are as deep as the object.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
}

fn metadata<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let Metadata { name, uid, resource_version, generation } = Metadata::deserialize(deserializer)?;
    Ok(ObjectMeta { name, uid, resource_version, generation, ..ObjectMeta::default() })
}

#[cfg(test)]
mod tests {
    use kube::{api::ObjectList, core::WatchEvent};
    use serde_json::json;

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
            "spec":{{"groups":null,"template":{}}},"status":{{"conditions":[]}}}}"#,
            nested("f:a"),
            nested("a"),
        )
        .replace('\n', "")
    }

    #[test]
    fn deep_object_leaves_list_and_watch_readable() {
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
        assert_eq!(flat.status.0, json!({"conditions": []}));
        let spec = json!({"groups": null, "template": {"a": {}}});
        let object = Object { name: "flat".to_owned(), uid: "u".to_owned(), generation: 2, spec };
        assert_eq!(flat.object(), object);

        let event = format!(r#"{{"type":"ADDED","object":{}}}"#, text("deep", 9_900));
        let event: WatchEvent<Stored> = serde_json::from_str(&event).unwrap();
        assert!(matches!(event, WatchEvent::Added(_)));
    }
}
