//! `arc-rocm doctor` on a real API server: nothing is wrong, or it is named.

use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use arc_rocm::profile::source::{Node, documents};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    arc::{kinds::Kind, runners, scale_set::ScaleSet},
    case::{Case, case},
    cluster::{path_of, pods, text},
    probe, program,
    scene::Scene,
    wait::{Look, until},
};

const SOON: Duration = Duration::from_mins(1);

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("doctor-healthy-cluster", healthy).alone(),
        case("doctor-webhook-down", down).alone(),
        case("doctor-foreign-ca", untrusted).alone(),
        case("doctor-registration-missing", unregistered).alone(),
        case("doctor-pod-security", pod_security).alone(),
        case("doctor-old-runners", old).alone(),
        case("doctor-scale-sets", scale_sets).alone(),
        case("doctor-without-permissions", blind).alone(),
        case("doctor-documented-permissions", permitted).alone(),
    ]
}

/// What the doctor found: its exit code, and each finding.
struct Report {
    code: Option<i32>,
    printed: Value,
}

impl Report {
    async fn of(scene: &Scene, arguments: &[&str]) -> anyhow::Result<Self> {
        let arguments = [&["doctor", "-o", "json"], arguments].concat();
        let (code, printed) = program::report(&scene.world.settings, &arguments).await?;
        Ok(Self { code, printed })
    }

    fn findings(&self) -> impl Iterator<Item = &Value> {
        let checks = self.printed["checks"].as_array().into_iter().flatten();
        checks.filter_map(|check| check["findings"].as_array()).flatten()
    }

    /// The finding of this word whose message has this text.
    fn has(&self, code: &str, part: &str) -> bool {
        self.findings()
            .any(|finding| finding["code"] == code && text(finding, "/message").contains(part))
    }

    fn ensure(&self, code: &str, part: &str) -> anyhow::Result<()> {
        ensure!(self.has(code, part), "no {code} with {part:?}: {:#}", self.printed);
        Ok(())
    }
}

/// The API server sees a change of a registration after a moment.
async fn settled(scene: &Scene, code: &str, part: &str) -> anyhow::Result<Report> {
    until("the doctor to find it", SOON, || async {
        let report = Report::of(scene, &[]).await?;
        Ok(if report.has(code, part) {
            Look::Seen(report)
        } else {
            Look::NotYet(report.printed.to_string())
        })
    })
    .await
}

fn plain() -> anyhow::Result<ScaleSet> {
    ScaleSet::new(Kind::Plain, "linux.rocm.gpu.gfx942.2")
}

async fn healthy(scene: &Scene) -> anyhow::Result<()> {
    let arc = scene.controller().await?;
    let runner = arc.scale(&plain()?, 1).await?.remove(0);
    arc.stored(&runner, SOON).await?;
    let pod = format!("pod/{runner}");
    let arguments = ["explain", &pod, "-n", &scene.namespace, "-o", "json"];
    let (code, explained) = program::report(&scene.world.settings, &arguments).await?;
    ensure!(code == Some(0) && explained["gpus"] == 2, "{explained:#}");
    let report = Report::of(scene, &[]).await?;
    ensure!(report.code == Some(0), "{:#}", report.printed);
    ensure!(report.printed["errors"] == 0, "{:#}", report.printed);
    ensure!(report.printed["unknown"] == 0, "{:#}", report.printed);
    let checks = report.printed["checks"].as_array().context("no checks")?;
    let registration = checks.iter().find(|check| check["check"] == "registration");
    let level = registration.map(|check| text(check, "/level")).unwrap_or_default();
    ensure!(
        level == "ok",
        "the installed registration is not what the doctor wants: {registration:#?}"
    );
    let admission = checks.iter().find(|check| check["check"] == "admission");
    let said = admission.map(|check| text(check, "/summary")).unwrap_or_default();
    ensure!(said.contains("called the webhook for a dry run"), "{:#}", report.printed);
    let left = scene.cluster().find(&format!("{}/arc-rocm-doctor", pods(&scene.namespace))).await?;
    ensure!(left.is_none(), "the dry run was stored");
    Ok(())
}

async fn down(scene: &Scene) -> anyhow::Result<()> {
    let world = &scene.world;
    let mut installation = world.installation.lock().await;
    installation.down(scene.cluster()).await?;
    let report = Report::of(scene, &[]).await;
    installation.up(scene.cluster(), &world.settings).await?;
    probe::called(scene.cluster()).await?;
    let report = report?;
    ensure!(report.code == Some(1), "{:#}", report.printed);
    report.ensure("webhook-fails", "no runner pod is created until this is repaired")
}

async fn untrusted(scene: &Scene) -> anyhow::Result<()> {
    let world = &scene.world;
    let installation = world.installation.lock().await;
    let other = TempDir::new()?;
    program::certs(&world.settings, other.path(), &installation.host()).await?;
    installation.trust(scene.cluster(), &world.settings, &other.path().join("ca.crt")).await?;
    let report = settled(scene, "webhook-fails", "signed by unknown authority").await;
    let own = installation.certs().join("ca.crt");
    installation.trust(scene.cluster(), &world.settings, &own).await?;
    probe::called(scene.cluster()).await?;
    let report = report?;
    ensure!(report.code == Some(1), "{:#}", report.printed);
    if installation.form == crate::settings::Form::Service {
        report.ensure("certificate-untrusted", "no CA in the caBundle signed it")?;
    }
    Ok(())
}

async fn unregistered(scene: &Scene) -> anyhow::Result<()> {
    let world = &scene.world;
    let installation = world.installation.lock().await;
    let wrong = Report::of(scene, &["--name", "other"]).await?;
    wrong.ensure("registration-missing", "no MutatingWebhookConfiguration other")?;
    wrong.ensure("registration-missing", "run doctor with --name arc-rocm")?;

    scene.cluster().delete(&installation.registration()).await?;
    let report = Report::of(scene, &[]).await;
    let own = installation.certs().join("ca.crt");
    installation.trust(scene.cluster(), &world.settings, &own).await?;
    probe::called(scene.cluster()).await?;
    let report = report?;
    ensure!(report.code == Some(1), "{:#}", report.printed);
    report.ensure("registration-missing", "arc-rocm")
}

async fn pod_security(scene: &Scene) -> anyhow::Result<()> {
    scene.enforce("baseline").await?;
    let arc = scene.controller().await?;
    let runner = arc.scale(&plain()?, 1).await?.remove(0);
    arc.ended(&runner, SOON).await?;
    let report = settled(scene, "runner-refused", "violates PodSecurity").await?;
    ensure!(report.code == Some(1), "{:#}", report.printed);
    report.ensure("runner-refused", &runner)?;
    report.ensure("pod-security", &scene.namespace)
}

/// A runner pod that another user than ARC's controller creates is unpatched, like one from before the
/// installation. One with the digest of another profile is like one from before a change.
async fn old(scene: &Scene) -> anyhow::Result<()> {
    let cluster = scene.cluster();
    let runner = cluster
        .create(
            &runners(&scene.namespace),
            &json!({
                "apiVersion": "actions.github.com/v1alpha1",
                "kind": "EphemeralRunner",
                "metadata": {"name": "before", "namespace": scene.namespace},
                "spec": {},
            }),
        )
        .await?
        .object;
    let pod = |name: &str, labels: &Value| {
        let mut pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": scene.namespace,
                "labels": labels,
                "ownerReferences": [{
                    "apiVersion": "actions.github.com/v1alpha1",
                    "kind": "EphemeralRunner",
                    "name": "before",
                    "uid": runner["metadata"]["uid"],
                    "controller": true,
                }],
            },
            "spec": {"containers": [{
                "name": "runner",
                "image": "ghcr.io/actions/actions-runner:latest",
                "command": ["/home/runner/run.sh"],
            }]},
        });
        pod["metadata"]["labels"]["actions-ephemeral-runner"] = json!("True");
        pod["metadata"]["labels"]["actions.github.com/scale-set-name"] =
            json!("linux.rocm.gpu.gfx942.2");
        pod
    };
    let path = pods(&scene.namespace);
    cluster.create(&path, &pod("before", &json!({}))).await?;
    let mut outdated = pod("outdated", &json!({}));
    let status = json!({"profile": "rocm", "version": arc_rocm::VERSION, "digest": "000000000000"});
    outdated["metadata"]["annotations"] = json!({"arc-rocm.dev/status": status.to_string()});
    cluster.create(&path, &outdated).await?;
    cluster.create(&path, &pod("out", &json!({"arc-rocm.dev/inject": "false"}))).await?;

    let report = Report::of(scene, &[]).await?;
    let of = |name: &str| format!("{}/{name}", scene.namespace);
    report.ensure("runner-unpatched", &of("before"))?;
    report.ensure("runner-outdated", &of("outdated"))?;
    ensure!(!report.has("runner-unpatched", &of("out")), "{:#}", report.printed);
    report.ensure("runner-skipped", &of("out"))?;
    ensure!(report.code == Some(0), "a warning alone is no error: {:#}", report.printed);
    let strict = Report::of(scene, &["--strict"]).await?;
    ensure!(strict.code == Some(1), "{:#}", strict.printed);
    Ok(())
}

/// What the API server, the nodes and ARC's status say of the next runner of each scale set.
async fn scale_sets(scene: &Scene) -> anyhow::Result<()> {
    serve_scale_sets(scene).await?;
    scene
        .apply(&json!({
            "apiVersion": "node.k8s.io/v1",
            "kind": "RuntimeClass",
            "metadata": {"name": scene.namespace},
            "handler": "runc",
            "scheduling": {"nodeSelector": {"pytorch": "kata"}},
        }))
        .await?;
    let quota = json!({
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "small", "namespace": scene.namespace},
        "spec": {"hard": {"requests.amd.com/gpu": "4"}},
    });
    scene.apply(&quota).await?;
    let path = path_of(&quota)?;
    until("the quota to be counted", SOON, || async {
        let quota = scene.cluster().get(&path).await?;
        Ok(if quota["status"]["used"].is_object() {
            Look::Seen(())
        } else {
            Look::NotYet(quota["status"].to_string())
        })
    })
    .await?;
    for (name, spec) in [
        ("linux.rocm.gpu.gfx942.2", json!({})),
        ("linux.rocm.gpu.gfx942.8", json!({})),
        ("linux.rocm.gpu.gfx942.64", json!({})),
        (
            "rocm-kata",
            json!({
                "runtimeClassName": scene.namespace, "nodeSelector": {"pytorch": "yes"},
            }),
        ),
        ("rocm-account", json!({"serviceAccountName": "missing"})),
        ("linux-amd64", json!({})),
    ] {
        let mut pod = spec;
        pod["containers"] = json!([{
            "name": "runner",
            "image": "ghcr.io/actions/actions-runner:latest",
            "command": ["/home/runner/run.sh"],
        }]);
        let phase = if name == "linux-amd64" { "Outdated" } else { "Running" };
        let set = json!({
            "apiVersion": "actions.github.com/v1alpha1",
            "kind": "AutoscalingRunnerSet",
            "metadata": {"name": name, "namespace": scene.namespace},
            "spec": {
                "githubConfigUrl": "https://github.com/team-a",
                "template": {"spec": pod},
            },
            "status": {"phase": phase},
        });
        scene.apply(&set).await?;
    }
    let report = Report::of(scene, &[]).await?;
    let of = |name: &str| format!("{}/{name}", scene.namespace);
    report.ensure("pod-over-quota", &of("linux.rocm.gpu.gfx942.8"))?;
    report.ensure("runner-does-not-fit", &of("linux.rocm.gpu.gfx942.64"))?;
    report.ensure("pod-refused", &of("rocm-kata"))?;
    report.ensure("pod-refused", "runtimeClass.scheduling.nodeSelector[pytorch]")?;
    report.ensure("pod-refused", &of("rocm-account"))?;
    report.ensure("scale-set-outdated", &of("linux-amd64"))?;
    for code in ["pod-refused", "pod-over-quota", "runner-does-not-fit"] {
        let good = of("linux.rocm.gpu.gfx942.2");
        ensure!(!report.has(code, &good), "{code} of {good}: {:#}", report.printed);
    }
    let cpu = of("linux-amd64");
    ensure!(!report.has("scale-set-without-profile", &cpu), "{:#}", report.printed);
    ensure!(report.printed["unknown"] == 0, "{:#}", report.printed);
    let left = scene.cluster().find(&format!("{}/arc-rocm-doctor", pods(&scene.namespace))).await?;
    ensure!(left.is_none(), "a dry run was stored");
    planned(scene).await
}

/// `arc-rocm plan --cluster` has each scale set, and the one change that the profiles to come make.
async fn planned(scene: &Scene) -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let (path, to) = (folder.path().join("to.yaml"), folder.path().join("to.yaml"));
    std::fs::write(
        path,
        "apiVersion: arc-rocm.dev/v1alpha1\nkind: RunnerProfile\nmetadata: {name: to}\n\
         spec: {extends: rocm, match: {scaleSets: ['*gfx942.{gpus}']}, groups: [44]}\n",
    )?;
    let to = to.to_string_lossy();
    let arguments = ["plan", "--cluster", "-o", "json", "--to", &to];
    let (code, printed) = program::report(&scene.world.settings, &arguments).await?;
    ensure!(code == Some(1), "{printed:#}");
    let sets = printed["scaleSets"].as_array().into_iter().flatten();
    let own: Vec<&Value> = sets.filter(|set| set["namespace"] == *scene.namespace).collect();
    ensure!(own.len() == 6, "{printed:#}");
    let set = |name: &str| own.iter().find(|set| set["name"] == name).context("no such set");
    // The suite's own profile is for every scale set, the one to come is not.
    let other = set("linux-amd64")?;
    ensure!(text(other, "/from/result").starts_with("profile "), "{other:#}");
    ensure!(text(other, "/to/result").starts_with("skipped: no profile"), "{other:#}");
    let patched = set("linux.rocm.gpu.gfx942.2")?;
    ensure!(text(patched, "/to/result") == "profile to, 2 GPUs", "{patched:#}");
    let groups = |one: &Value| {
        text(one, "/path").starts_with("spec.securityContext") && text(one, "/to").contains("44")
    };
    let mut differences = patched["differences"].as_array().into_iter().flatten();
    ensure!(differences.any(groups), "{patched:#}");
    Ok(())
}

/// ARC's definition of scale sets, as far as the doctor reads the objects.
async fn serve_scale_sets(scene: &Scene) -> anyhow::Result<()> {
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "autoscalingrunnersets.actions.github.com"},
        "spec": {
            "group": "actions.github.com",
            "scope": "Namespaced",
            "names": {"kind": "AutoscalingRunnerSet", "plural": "autoscalingrunnersets"},
            "versions": [{
                "name": "v1alpha1",
                "served": true,
                "storage": true,
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "x-kubernetes-preserve-unknown-fields": true,
                }},
            }],
        },
    });
    scene.apply(&definition).await?;
    let path = format!(
        "/apis/actions.github.com/v1alpha1/namespaces/{}/autoscalingrunnersets",
        scene.namespace
    );
    until("AutoscalingRunnerSet to be served", SOON, || async {
        Ok(match scene.cluster().list(&path).await {
            Ok(_) => Look::Seen(()),
            Err(error) => Look::NotYet(error.to_string()),
        })
    })
    .await
}

/// A kubeconfig, in a folder, for an account of the case's namespace.
async fn kubeconfig(scene: &Scene, name: &str) -> anyhow::Result<(TempDir, String)> {
    let cluster = scene.cluster();
    let account = json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "namespace": scene.namespace},
    });
    cluster.apply(&account).await?;
    let path = format!("/api/v1/namespaces/{}/serviceaccounts/{name}/token", scene.namespace);
    let request = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": 600},
    });
    let token = cluster.create(&path, &request).await?.object;
    let token = text(&token, "/status/token");
    let (server, ca) = cluster.server()?;
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {
            "server": server,
            "certificate-authority-data": ca,
        }}],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": "c", "user": "u"}}],
        "current-context": name,
    });
    let folder = TempDir::new()?;
    let file = folder.path().join("kubeconfig");
    std::fs::write(&file, config.to_string())?;
    let file = file.to_string_lossy().into_owned();
    Ok((folder, file))
}

/// An account without any right learns what it lacks, check by check, and nothing is called well.
async fn blind(scene: &Scene) -> anyhow::Result<()> {
    let (_folder, file) = kubeconfig(scene, "blind").await?;
    let arguments = ["--kubeconfig", &file, "--context", "blind"];
    let report = Report::of(scene, &arguments).await?;
    for part in ["list nodes", "list pods", "get secrets arc-rocm-tls", "create pods"] {
        report.ensure("unknown", part)?;
    }
    ensure!(report.printed["errors"] == 0, "{:#}", report.printed);
    let well = report.printed["checks"].as_array().into_iter().flatten();
    let well: Vec<&str> =
        well.filter(|check| check["level"] == "ok").map(|check| text(check, "/check")).collect();
    ensure!(well == ["api-server"], "{well:?} called well: {:#}", report.printed);
    let strict = Report::of(scene, &[&arguments[..], &["--strict"]].concat()).await?;
    ensure!((report.code, strict.code) == (Some(0), Some(1)), "{:#}", report.printed);
    Ok(())
}

/// The objects of `docs/doctor.md` are enough, for an account that has nothing else; and Pod
/// Security's strictest level does not refuse the dry run.
async fn permitted(scene: &Scene) -> anyhow::Result<()> {
    let arc = scene.controller().await?;
    let runner = arc.scale(&plain()?, 1).await?.remove(0);
    arc.stored(&runner, SOON).await?;
    scene.enforce("restricted").await?;

    let (_folder, file) = kubeconfig(scene, "doctor").await?;
    let subject = json!({
        "kind": "ServiceAccount",
        "name": "doctor",
        "namespace": scene.namespace,
    });
    for mut object in page_objects()? {
        let kind = text(&object, "/kind").to_owned();
        let name = format!("{}-{}", text(&object, "/metadata/name"), scene.namespace);
        let mut metadata = json!({"name": name});
        if kind == "Role" {
            metadata["namespace"] = json!(scene.namespace);
        }
        object["metadata"] = metadata.clone();
        scene.apply(&object).await?;
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": format!("{kind}Binding"),
            "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
            "subjects": [subject],
        });
        scene.apply(&binding).await?;
    }
    // The webhook's own namespace is the case's, where the page's Roles are.
    let arguments = ["--kubeconfig", &file, "--namespace", &scene.namespace];
    let report = until("the doctor's rights", SOON, || async {
        let report = Report::of(scene, &arguments).await?;
        Ok(if report.printed["unknown"] == 0 {
            Look::Seen(report)
        } else {
            Look::NotYet(format!("{:#}", report.printed))
        })
    })
    .await?;
    let mut checks = report.printed["checks"].as_array().into_iter().flatten();
    let admission = checks.find(|check| check["check"] == "admission");
    let said = admission.map(|check| text(check, "/summary")).unwrap_or_default();
    let tried = format!("called the webhook for a dry run in namespace {}", scene.namespace);
    ensure!(said.contains(&tried), "{:#}", report.printed);
    Ok(())
}

/// The objects in the page's block of YAML.
fn page_objects() -> anyhow::Result<Vec<Value>> {
    const PAGE: &str = include_str!("../../../../docs/doctor.md");
    let (_, block) = PAGE.split_once("```yaml\n").context("no YAML")?;
    let (block, _) = block.split_once("```").context("no end")?;
    let nodes = documents("docs/doctor.md", block).map_err(|problems| anyhow!("{problems:?}"))?;
    Ok(nodes.iter().map(Node::to_json).collect())
}
