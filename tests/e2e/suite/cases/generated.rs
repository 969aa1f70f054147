//! Thousands of generated pods, each patched by the webhook, none refused because of it: alone, and with a
//! policy that fills in what is unset between the webhook's two calls.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    time::{Duration, Instant},
};

use anyhow::ensure;
use arc_rocm::inject::Config;
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};

use super::others::beside;
use crate::{
    arc::{access, kinds::spec_of},
    capabilities::Need,
    case::{Case, case},
    cluster::{Cluster, Refused, text},
    generated::{self, generate, validity},
    hook::Verdict,
    normal,
    probe::{STATUS, dry_run},
    replay::{allow_account, patched, rules},
    report::say,
    scene::Scene,
    wait::{Look, WATCHED, until},
};

/// Requests under way at a time.
const AT_ONCE: usize = 12;
/// The label that keeps the API server from calling the webhook.
const OPT_OUT: &str = "arc-rocm.dev/inject";
/// Of what is printed.
const MOST: usize = 20;

/// Generated pods that are tried, unless the environment says otherwise.
const ALONE: usize = 2000;
const FILLED: usize = 1000;
/// Pods after which the reviews that the policy's webhook keeps are dropped: some have 256 KiB.
const KEPT: usize = 250;
/// The annotation of a pod with the seed of what the policy fills in.
const SEED: &str = "e2e-fill";

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("generated-pods-accepted", all).alone().within(Duration::from_mins(15)),
        case("generated-pods-filled", filled)
            .needs(&[Need::Host])
            .alone()
            .within(Duration::from_mins(15)),
    ]
}

/// What the API server makes of a pod, and our own copy of its validation.
enum Found {
    /// Patched by the webhook and accepted; also when patched here and sent with strict validation.
    Accepted {
        /// Whether the webhook has changed it.
        patched: bool,
        /// What our copy says against it all the same.
        doubts: Vec<String>,
    },
    /// Refused without the webhook too.
    Invalid {
        /// The API server's reason, if our copy sees none.
        missed: Option<String>,
    },
    /// Refused because of us.
    Broken(String),
}

async fn all(scene: &Scene) -> anyhow::Result<()> {
    let start = Instant::now();
    let rules = rules(&generated::profiles()?)?;
    let pods = pods(scene, ALONE).await?;
    let arc = scene.cluster().by(&access::user())?;
    let found: Vec<Found> = stream::iter(pods)
        .map(|pod| look(&arc, &rules, pod, &scene.namespace))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    tell(scene, "generated pods", found, start)
}

/// The policy is a webhook after ours: what it changes is reviewed by ours once more.
async fn filled(scene: &Scene) -> anyhow::Result<()> {
    let start = Instant::now();
    let rules = rules(&generated::profiles()?)?;
    let mut pods = pods(scene, FILLED).await?;
    let policy = beside(scene, "z-policy", "IfNeeded", |request| {
        let mut pod = request["object"].clone();
        fill(&mut pod);
        Verdict::Patch(json!([{"op": "replace", "path": "/spec", "value": pod["spec"]}]))
    })
    .await?;
    for (index, pod) in pods.iter_mut().enumerate() {
        pod["metadata"]["annotations"][SEED] = json!(index.to_string());
    }
    let arc = scene.cluster().by(&access::user())?;
    let mut found = Vec::new();
    for pods in pods.chunks(KEPT) {
        let looks = stream::iter(pods).map(|pod| look_filled(&arc, &rules, pod, &scene.namespace));
        found.extend(looks.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await);
        policy.forget();
    }
    tell(scene, "generated and filled pods", found, start)
}

/// What the policy does with a pod of the case.
fn fill(pod: &mut Value) {
    let seed = pod["metadata"]["annotations"][SEED].as_str().and_then(|seed| seed.parse().ok());
    if let Some(seed) = seed {
        generate::foreign::fill(pod, seed);
    }
}

/// Generated pods in the case's namespace, and all that they name.
async fn pods(scene: &Scene, usual: usize) -> anyhow::Result<Vec<Value>> {
    let reviews = generated::reviews(scene.world.settings.generated.unwrap_or(usual))?;
    let pods = reviews.into_iter().enumerate().map(|(index, review)| pod(review, index, scene));
    let pods: Vec<Value> = pods.collect();
    prepare(scene, &pods).await?;
    Ok(pods)
}

/// Notes the figures.
///
/// # Errors
///
/// A pod that was refused because of us, or too few that were patched and accepted.
fn tell(scene: &Scene, what: &str, found: Vec<Found>, start: Instant) -> anyhow::Result<()> {
    let count = found.len();
    let (mut accepted, mut changed, mut invalid) = (0, 0, 0);
    let (mut broken, mut doubted, mut missed) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    for one in found {
        match one {
            Found::Accepted { patched, doubts } => {
                accepted += 1;
                changed += usize::from(patched);
                for doubt in doubts {
                    *doubted.entry(doubt).or_insert(0) += 1;
                }
            }
            Found::Invalid { missed: reason } => {
                invalid += 1;
                if let Some(reason) = reason {
                    *missed.entry(reason).or_insert(0) += 1;
                }
            }
            Found::Broken(why) => broken.push(why),
        }
    }
    scene.figure(
        &format!("{count} {what}, {} generated profiles", generated::PROFILES),
        &format!(
            "{accepted} accepted ({changed} patched), {invalid} invalid by themselves, {} refused \
             because of us; {:.0} s",
            broken.len(),
            start.elapsed().as_secs_f64()
        ),
    );
    say(&listed("our own validation doubts, and the API server accepts", &doubted));
    say(&listed("the API server refuses, and our own validation does not", &missed));
    ensure!(broken.is_empty(), "{} pods, such as\n{}", broken.len(), shown(&broken));
    // Otherwise the rule that leaves out invalid pods would hide what is asked here.
    ensure!(accepted * 2 > count, "{accepted} of {count} pods are accepted");
    ensure!(changed * 10 > accepted * 9, "{changed} of {accepted} pods are patched");
    Ok(())
}

fn listed(what: &str, reasons: &BTreeMap<String, usize>) -> String {
    let mut out = format!("{what}: {}", reasons.values().sum::<usize>());
    for (reason, count) in reasons.iter().take(MOST) {
        // Writing to a String cannot fail.
        let _ = write!(out, "\n  {count} x {reason}");
    }
    out
}

fn shown(broken: &[String]) -> String {
    broken.iter().take(MOST).map(String::as_str).collect::<Vec<_>>().join("\n")
}

/// The pod as ARC's controller would send it, in the case's namespace and with a profile of its
/// own choice. Unknown fields are left out, because strict validation refuses them.
fn pod(mut review: Value, index: usize, scene: &Scene) -> Value {
    let object = &mut review["request"]["object"];
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": object["metadata"].take(),
        "spec": spec_of(object),
    });
    generate::each_object(&mut pod["spec"], &mut |object| {
        if let Some(fields) = object.as_object_mut() {
            fields.retain(|key, _| !key.starts_with("future"));
        }
    });
    if !pod["metadata"]["annotations"].is_object() {
        pod["metadata"]["annotations"] = json!({});
    }
    let profile = generated::name(index % generated::PROFILES);
    pod["metadata"]["annotations"]["arc-rocm.dev/profile"] = json!(profile);
    pod["metadata"]["namespace"] = json!(scene.namespace);
    pod
}

/// What pods and profiles name, and what is not there would be refused for.
async fn prepare(scene: &Scene, pods: &[Value]) -> anyhow::Result<()> {
    access::grant(scene.cluster(), &scene.namespace).await?;
    let accounts = pods.iter().map(|pod| text(pod, "/spec/serviceAccountName"));
    for account in accounts.chain(["rocm"]).collect::<BTreeSet<_>>() {
        allow_account(scene, account).await?;
    }
    for (name, preemption) in [("batch", "PreemptLowerPriority"), ("high", "Never")] {
        scene
            .apply(&json!({
                "apiVersion": "scheduling.k8s.io/v1",
                "kind": "PriorityClass",
                "metadata": {"name": name},
                "value": 100,
                "preemptionPolicy": preemption,
            }))
            .await?;
        known(scene, name).await?;
    }
    scene
        .apply(&json!({
            "apiVersion": "node.k8s.io/v1",
            "kind": "RuntimeClass",
            "metadata": {"name": "kata"},
            "handler": "kata",
        }))
        .await?;
    Ok(())
}

/// Waits until a `PriorityClass` is one for pods: the admission plugin has a watch and nothing else.
async fn known(scene: &Scene, class: &str) -> anyhow::Result<()> {
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "probe-", "namespace": scene.namespace},
        "spec": {
            "priorityClassName": class,
            "containers": [{"name": "probe", "image": "probe"}],
        },
    });
    until(&format!("PriorityClass {class}"), WATCHED, || async {
        Ok(match dry_run(scene.cluster(), &scene.namespace, &pod).await {
            Ok(_) => Look::Seen(()),
            Err(refused) => Look::NotYet(refused.to_string()),
        })
    })
    .await
}

async fn look(arc: &Cluster, rules: &Config, pod: Value, namespace: &str) -> Found {
    let refused = match dry_run(arc, namespace, &pod).await {
        Ok(reply) => {
            let here = match here(&pod, rules) {
                Ok(here) => here,
                Err(error) => return Found::Broken(format!("{error:#}: {pod}")),
            };
            return match dry_run(arc, namespace, &opted_out(&here)).await {
                Ok(_) => Found::Accepted {
                    patched: reply.object.pointer(STATUS).is_some(),
                    doubts: validity::problems(&here).iter().map(|one| general(one)).collect(),
                },
                Err(refused) => Found::Broken(format!("strictly: {refused}\n{here}")),
            };
        }
        Err(refused) => refused,
    };
    match dry_run(arc, namespace, &opted_out(&pod)).await {
        Err(alone) if is_verdict(&alone) && is_verdict(&refused) => Found::Invalid {
            missed: validity::problems(&pod).is_empty().then(|| general(&reason(&alone))),
        },
        Err(alone) => Found::Broken(format!("{refused}; without us {alone}\n{pod}")),
        Ok(_) => Found::Broken(format!("{refused}\n{pod}")),
    }
}

/// A pod that the policy has filled in, with the webhook and without.
async fn look_filled(arc: &Cluster, rules: &Config, pod: &Value, namespace: &str) -> Found {
    let with = dry_run(arc, namespace, pod).await;
    let without = dry_run(arc, namespace, &opted_out(pod)).await;
    let stored = match (with, &without) {
        (Ok(reply), _) => reply.object,
        (Err(refused), Err(alone)) if is_verdict(alone) && is_verdict(&refused) => {
            return Found::Invalid { missed: None };
        }
        (Err(refused), _) => return Found::Broken(format!("{refused}\n{pod}")),
    };
    let alone = without.map_or_else(
        |_| {
            let mut pod = pod.clone();
            fill(&mut pod);
            pod
        },
        |reply| reply.object,
    );
    // What is wrong with the runner is wrong with a container that has its security context.
    let kind = |problem: &String| problem.split_once(": ").map(|(_, what)| what.to_owned());
    let already: Vec<_> = validity::problems(&alone).iter().map(kind).collect();
    let mut problems = validity::problems(&stored);
    problems.retain(|problem| !already.contains(&kind(problem)));
    if stored["spec"]["securityContext"]["runAsUser"] == 0 {
        // The profile wants every container to be root, and the policy that none is.
        problems.retain(|problem| !problem.contains("runAsNonRoot"));
    }
    match here(&stored, rules) {
        Ok(again) if again == stored => {}
        Ok(again) => {
            let lines = normal::difference(&stored, &again);
            problems.push(format!("a third call changes {}", lines.join(", ")));
        }
        Err(error) => problems.push(format!("{error:#}")),
    }
    if problems.is_empty() {
        Found::Accepted { patched: stored.pointer(STATUS).is_some(), doubts: Vec::new() }
    } else {
        Found::Broken(format!("{}\n{stored}", problems.join("; ")))
    }
}

/// The pod as the webhook's own code patches it.
fn here(pod: &Value, rules: &Config) -> anyhow::Result<Value> {
    let user = json!({"username": access::user().name});
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "generated",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "name": pod["metadata"]["name"],
            "namespace": pod["metadata"]["namespace"],
            "operation": "CREATE",
            "userInfo": user,
            "object": pod,
            "dryRun": true,
        },
    });
    patched(&review, rules)
}

fn opted_out(pod: &Value) -> Value {
    let mut pod = pod.clone();
    pod["metadata"]["labels"][OPT_OUT] = json!("false");
    pod
}

/// A verdict on the pod, and not on the request.
fn is_verdict(refused: &Refused) -> bool {
    [400, 403, 422].contains(&refused.code)
}

/// Without the pod's name, which comes first.
fn reason(refused: &Refused) -> String {
    refused
        .message
        .split_once(" is invalid: ")
        .map_or_else(|| refused.message.clone(), |(_, why)| why.to_owned())
}

/// Without numbers and what is quoted, so that equal reasons are equal.
fn general(reason: &str) -> String {
    let parts = reason.split('"').enumerate();
    let quoted = parts.map(|(index, part)| if index % 2 == 0 { part } else { "..." });
    let text = quoted.collect::<Vec<_>>().join("\"");
    text.chars().map(|char| if char.is_ascii_digit() { 'N' } else { char }).take(240).collect()
}
