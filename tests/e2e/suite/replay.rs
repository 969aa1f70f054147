//! A captured review, asked again: the request that made the API server send it.

use anyhow::Context as _;
use arc_rocm::{
    admission::answer,
    inject::{Config, ControllerUsers},
    profile::{File, ProfileSet},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::{
    PROFILES,
    arc::kinds::spec_of,
    cluster::{Cluster, Refused, Reply, User, pods, text},
    rights::{self, rule},
    scene::Scene,
};

/// The namespace of the captured runners.
pub(crate) const NAMESPACE: &str = "arc-runners";

/// The label that keeps the API server from calling the webhook.
const OPT_OUT: &str = "arc-rocm.dev/inject";

/// A request for a pod.
#[derive(Clone, Debug)]
pub(crate) struct Replay {
    /// Who asked.
    pub(crate) user: User,
    /// The query of the request, empty or with its `?`.
    pub(crate) query: String,
    /// The pod that was sent, less what the API server fills in.
    pub(crate) pod: Value,
}

impl Replay {
    /// The request of a captured review, moved into a namespace.
    pub(crate) fn of(review: &Value, namespace: &str) -> anyhow::Result<Self> {
        let captured = text(review, "/request/namespace");
        // The listener's user is of the namespace that the listener is in, and stays.
        let moved = |text: &str| match captured {
            NAMESPACE => text.replace(NAMESPACE, namespace),
            _ => text.to_owned(),
        };
        let request = &review["request"];
        let groups = request["userInfo"]["groups"].as_array();
        let object = &request["object"];
        let agent = text(object, "/metadata/managedFields/0/manager");
        let options = &request["options"];
        let mut query = Vec::new();
        for option in ["fieldManager", "fieldValidation"] {
            if let Some(value) = options[option].as_str() {
                query.push(format!("{option}={value}"));
            }
        }
        if request["dryRun"] == true {
            query.push("dryRun=All".to_owned());
        }
        let mut metadata = object["metadata"].clone();
        let fields = metadata.as_object_mut().context("no metadata")?;
        fields.remove("managedFields");
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": spec_of(object),
        });
        let mut pod: Value = serde_json::from_str(&moved(&pod.to_string()))?;
        pod["metadata"]["namespace"] = json!(namespace);
        Ok(Self {
            user: User {
                name: moved(text(request, "/userInfo/username")),
                groups: groups.into_iter().flatten().filter_map(Value::as_str).map(moved).collect(),
                agent: Some(format!("{agent}/e2e")),
            },
            query: if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) },
            pod,
        })
    }

    /// Makes what the request needs: the pod's ServiceAccount, and the right to create pods.
    pub(crate) async fn permit(&self, scene: &Scene) -> anyhow::Result<()> {
        let account = text(&self.pod, "/spec/serviceAccountName");
        allow_account(scene, account).await?;
        let rules = [rule("", &["pods"], &["create"])];
        let (cluster, namespace) = (scene.cluster(), &scene.namespace);
        rights::grant(cluster, namespace, &self.user.name, &self.user, &rules).await
    }

    /// Sends it.
    pub(crate) async fn send(&self, cluster: &Cluster) -> Result<Reply, Refused> {
        let by = cluster.by(&self.user).map_err(|error| Refused {
            code: 0,
            reason: String::new(),
            message: error.to_string(),
        })?;
        let path = format!("{}{}", pods(text(&self.pod, "/metadata/namespace")), self.query);
        by.create(&path, &self.pod).await
    }
}

/// Makes a ServiceAccount in the case's namespace, if it is not the default one.
pub(crate) async fn allow_account(scene: &Scene, name: &str) -> anyhow::Result<()> {
    if !["", "default"].contains(&name) {
        scene
            .cluster()
            .apply(&json!({
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": name, "namespace": scene.namespace},
            }))
            .await?;
    }
    Ok(())
}

/// The rules that the installed webhook follows: [`PROFILES`].
pub(crate) fn installed_rules() -> anyhow::Result<Config> {
    rules(PROFILES)
}

/// Config with the profiles of `text`.
pub(crate) fn rules(text: &str) -> anyhow::Result<Config> {
    let file = File { name: "suite.yaml".to_owned(), text: text.to_owned() };
    let profiles = ProfileSet::compile(&[file]).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("{}", lines.join("\n"))
    })?;
    Ok(Config::new(profiles, ControllerUsers::default()))
}

/// The pod of a review as the webhook's own code patches it: a golden pod.
///
/// The API server decodes a patched pod leniently, so what a patch misspells is lost without a
/// word. A pod that has been patched here can be sent with strict validation instead.
pub(crate) fn patched(review: &Value, rules: &Config) -> anyhow::Result<Value> {
    let answered = answer(review.to_string().as_bytes(), rules)?;
    let answered: Value = serde_json::from_slice(&answered.body)?;
    let mut pod = review["request"]["object"].clone();
    let patch = text(&answered, "/response/patch");
    if !patch.is_empty() {
        let operations: json_patch::Patch =
            serde_json::from_slice(&BASE64_STANDARD.decode(patch)?)?;
        json_patch::patch(&mut pod, &operations)?;
    }
    Ok(pod)
}

/// Creates a pod that has been patched as a dry run with strict validation, in the case's
/// namespace and by ARC's controller; returns it as it would be stored.
///
/// This is what each golden and each generated pod has to pass. The pod's ServiceAccount is made
/// if need be. The webhook is not called, by the label that opts out: what it adds must be there.
pub(crate) async fn accepted(scene: &Scene, pod: &Value) -> anyhow::Result<Value> {
    let mut pod = pod.clone();
    pod["metadata"]["namespace"] = json!(scene.namespace);
    if let Some(fields) = pod["metadata"].as_object_mut() {
        // As in a request of a client, which does not know them yet.
        fields.remove("managedFields");
    }
    pod["metadata"]["labels"][OPT_OUT] = json!("false");
    allow_account(scene, text(&pod, "/spec/serviceAccountName")).await?;
    let by = scene.cluster().by(&crate::arc::access::user())?;
    let reply = crate::probe::dry_run(&by, &scene.namespace, &pod).await;
    let mut stored = reply.with_context(|| format!("not accepted: {pod:#}"))?.object;
    if let Some(labels) = stored["metadata"]["labels"].as_object_mut() {
        labels.remove(OPT_OUT);
    }
    Ok(stored)
}
