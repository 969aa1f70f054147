//! Rights of a user in a namespace, and that the API server knows of them.

use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, User},
    wait::{Look, WATCHED, until},
};

const GROUP: &str = "rbac.authorization.k8s.io";
const REVIEWS: &str = "/apis/authorization.k8s.io/v1/subjectaccessreviews";

/// A rule of a Role or a `ClusterRole` about one API group.
pub(crate) fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": resources, "verbs": verbs})
}

/// Lets a user do what `rules` say in a namespace, by a Role and a `RoleBinding` of one name, which
/// may have what users' names have, colons too.
///
/// Returns when the authorizer knows: it learns of a new binding after a moment, and until then it
/// answers 403 to what was just allowed.
pub(crate) async fn grant(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    user: &User,
    rules: &[Value],
) -> anyhow::Result<()> {
    let metadata = json!({"name": name, "namespace": namespace});
    let version = format!("{GROUP}/v1");
    cluster
        .apply(&json!({
            "apiVersion": version, "kind": "Role", "metadata": metadata, "rules": rules,
        }))
        .await?;
    cluster
        .apply(&json!({
            "apiVersion": version,
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": GROUP, "kind": "Role", "name": name},
            "subjects": [{"apiGroup": GROUP, "kind": "User", "name": user.name}],
        }))
        .await?;
    for attributes in rules.iter().flat_map(|rule| attributes(rule, namespace)) {
        known(cluster, user, &attributes).await?;
    }
    Ok(())
}

/// What a rule allows, one by one.
fn attributes(rule: &Value, namespace: &str) -> Vec<Value> {
    let texts = |field: &str| {
        let texts = rule[field].as_array().into_iter().flatten();
        texts.filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
    };
    let mut all = Vec::new();
    for group in texts("apiGroups") {
        for resource in texts("resources") {
            let (resource, subresource) = resource.split_once('/').unwrap_or((&resource, ""));
            all.extend(texts("verbs").into_iter().map(|verb| {
                json!({
                    "namespace": namespace,
                    "verb": verb,
                    "group": group,
                    "resource": resource,
                    "subresource": subresource,
                })
            }));
        }
    }
    all
}

async fn known(cluster: &Cluster, user: &User, attributes: &Value) -> anyhow::Result<()> {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user.name, "groups": user.groups, "resourceAttributes": attributes},
    });
    until(&format!("the right of {} to {attributes}", user.name), WATCHED, || async {
        let status = cluster.create(REVIEWS, &review).await?.object["status"].take();
        Ok(if status["allowed"] == true {
            Look::Seen(())
        } else {
            Look::NotYet(status.to_string())
        })
    })
    .await
}
