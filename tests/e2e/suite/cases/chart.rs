//! The default installation, as the chart renders it: certificates, profiles and Events of its own,
//! as pods with the permissions that the chart gives them.

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::timeout;

use super::{
    outages::{failures, recovered, set, while_creating},
    seed::container,
};
use crate::{
    arc::{access, controller::Controller, kinds::Kind, scale_set::ScaleSet},
    capabilities::{GPU, Need},
    case::{Case, case},
    cluster::{path_of, pods, text},
    install::{GONE, Installation, Options, REGISTRATIONS},
    probe, program,
    scene::Scene,
    wait::{Look, until},
};

/// The name and the namespace of the installations that stand in for the suite's own.
const NAME: &str = "e2e-chart";
const DEFINITION: &str = "CustomResourceDefinition";
const SOON: Duration = Duration::from_secs(30);
/// What an installation does in a case, while the suite's own is away. Less than the case has, so that
/// the suite's comes back however it ends.
const LIFE: Duration = Duration::from_mins(12);
/// Of a case that installs.
pub(super) const WITHIN: Duration = Duration::from_mins(16);
/// Until there is a new CA and its certificate is served: 30 s in the caBundle.
const REISSUED: Duration = Duration::from_mins(2);
/// As `docs/certificates.md` has it for the end of the pods.
const STOPPED: Duration = Duration::from_mins(1);
/// Who is slower than this has waited for a webhook.
const UNDELAYED: Duration = Duration::from_secs(2);
const EVERY: Duration = Duration::from_millis(200);
const LEAST: usize = 20;
const PROFILES: &str = "/apis/arc-rocm.dev/v1alpha1/runnerprofiles";
const PROFILE: &str = "/apis/arc-rocm.dev/v1alpha1/runnerprofiles/chart";
const DEFINITION_PATH: &str =
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/runnerprofiles.arc-rocm.dev";
/// Where registrations for RunnerProfiles are.
pub(super) const VALIDATING: &str =
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
/// A port that no other program of a node has.
const HOST_PORT: u16 = 18443;
/// Image pulls included.
const ROLLOUT: Duration = Duration::from_mins(3);

pub(crate) fn cases() -> Vec<Case> {
    let long = |case: Case| case.alone().within(WITHIN);
    vec![
        long(case("install-default", life).needs(&[Need::Service])),
        long(case("install-with-profiles", one_apply)).needs(&[Need::Service, Need::Kubectl]),
        long(case("install-by-helm", helm)).needs(&[Need::Service]),
    ]
}

/// Runs a case in which the suite's own webhook is not asked, and brings that back afterwards.
async fn instead(
    scene: &Scene,
    run: impl AsyncFn(&Scene, &Installation) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let first = scene.world.installation.lock().await;
    let (cluster, settings) = (scene.cluster(), &scene.world.settings);
    cluster.delete(&first.registration()).await?;
    let lived = timeout(LIFE, run(scene, &first)).await.context("an installation's life");
    // What a run that failed has left would be another webhook of every case after it.
    for kind in [REGISTRATIONS, VALIDATING] {
        cluster.delete(&format!("{kind}/{NAME}")).await?;
    }
    let namespace = format!("/api/v1/namespaces/{NAME}");
    cluster.delete(&namespace).await?;
    first.trust(cluster, settings, &first.certs().join("ca.crt")).await?;
    probe::called(cluster).await?;
    // The next installation has the same name, and nothing is created in a namespace that goes.
    let gone = until("end of its namespace", GONE, || cluster.gone(&namespace)).await;
    lived?.and(gone)
}

/// The default installation, from the chart's render.
async fn life(scene: &Scene) -> anyhow::Result<()> {
    instead(scene, async |scene, first| {
        let (cluster, settings) = (scene.cluster(), &scene.world.settings);
        let options = Options {
            name: NAME.to_owned(),
            namespace: NAME.to_owned(),
            profiles: Vec::new(),
            self_managed: true,
            ..first.options.clone()
        };
        let start = Instant::now();
        let second = Installation::install(cluster, settings, first.form, None, options).await?;
        scene.figure("default installation, from apply to rollout", &ms(start));
        let lived = lives(scene, &second).await;
        if lived.is_err() {
            crate::report::say(&second.log(cluster).await.unwrap_or_default());
        }
        // The documented order: the registration first, so that no pod waits for a webhook that is gone.
        let objects = second.manifests(settings, &second.certs()).await?;
        second.uninstall(cluster).await?;
        // The definition stays, as after an uninstallation by Helm.
        for object in objects.iter().filter(|object| object["kind"] != DEFINITION) {
            cluster.delete(&path_of(object)?).await?;
        }
        lived?;
        leaves_nothing_that_waits(scene).await
    })
    .await
}

async fn lives(scene: &Scene, webhook: &Installation) -> anyhow::Result<()> {
    let cluster = scene.cluster();
    probe::called(cluster).await?;
    let arc = scene.controller().await?;
    has_event(scene, &arc).await?;
    takes_profiles(scene, &arc).await?;

    let bundle = bundle_of(scene, REGISTRATIONS, NAME).await?;
    ensure!(!bundle.is_empty(), "no caBundle");
    // What is applied again, as an upgrade does, has no caBundle and takes none away.
    for object in webhook.manifests(&scene.world.settings, &webhook.certs()).await? {
        cluster.apply(&object).await?;
    }
    let now = bundle_of(scene, REGISTRATIONS, NAME).await?;
    ensure!(now == bundle, "the caBundle is another one");

    let before = arc.all_attempts().len();
    let work = async {
        let secret = secret(NAME);
        let before = cluster.get(&secret).await?;
        let leaf = text(&before, "/data/tls.crt");
        cluster.delete(&secret).await?;
        until("a new CA in the Secret", REISSUED, || async {
            let found = cluster.find(&secret).await?.unwrap_or_default();
            let ca = text(&found, "/data/ca.crt");
            let is_new =
                !ca.is_empty() && ca != bundle && !text(&found, "/data/tls.crt").is_empty();
            Ok(if is_new { Look::Seen(()) } else { Look::NotYet("the old one".to_owned()) })
        })
        .await?;
        webhook.rolled_out(cluster).await?;
        // A replica that starts in the middle of it has to come up with what there is.
        webhook.restart_rollout(cluster, &scene.namespace).await?;
        until("a certificate of the new CA", REISSUED, || async {
            let is_new = text(&cluster.get(&secret).await?, "/data/tls.crt") != leaf;
            Ok(if is_new { Look::Seen(()) } else { Look::NotYet("the old one".to_owned()) })
        })
        .await
    };
    let load = ScaleSet::new(Kind::Plain, "linux.rocm.gpu.gfx942.4")?
        .edit(|runner| runner["spec"]["spec"]["schedulerName"] = json!("e2e-none"));
    let runners = while_creating(&arc, &load, EVERY, LEAST, work).await?;
    for runner in &runners {
        arc.stored(runner, SOON).await?;
    }
    let attempts = arc.all_attempts().split_off(before);
    let (failed, line) = failures(&attempts);
    scene.figure("Secret deleted and pods replaced, default installation", &line);
    ensure!(failed.is_empty(), "{failed:?}\n{}", webhook.log(cluster).await?);
    Ok(())
}

/// An Event says what was done with a runner's pod.
async fn has_event(scene: &Scene, arc: &Controller) -> anyhow::Result<()> {
    let runners = arc.scale(&set()?, 1).await?;
    recovered(scene, arc, &runners).await?;
    let runner = runners.first().context("no runner")?;
    let events = format!("/api/v1/namespaces/{}/events", scene.namespace);
    until("an Event on the EphemeralRunner", SOON, || async {
        let all = scene.cluster().list(&events).await?;
        let ours = all.iter().find(|event| {
            event["involvedObject"]["name"] == **runner
                && event["involvedObject"]["kind"] == "EphemeralRunner"
                && event["reason"] == "Injected"
        });
        Ok(ours.map_or_else(|| Look::NotYet(format!("{} events", all.len())), |_| Look::Seen(())))
    })
    .await
}

/// A RunnerProfile object is in force, and a bad edit of it is refused.
async fn takes_profiles(scene: &Scene, arc: &Controller) -> anyhow::Result<()> {
    let cluster = scene.cluster();
    let profile = |extra: Value| {
        json!({
            "apiVersion": "arc-rocm.dev/v1alpha1",
            "kind": "RunnerProfile",
            "metadata": {"name": "chart"},
            "spec": {
                "extends": "rocm",
                "match": {"scaleSets": ["chart-*"]},
                "gpu": {"count": 1},
                "template": {"spec": extra},
            },
        })
    };
    scene.apply(&profile(json!({}))).await?;
    accepted(scene, "True").await?;
    // A nodeSelectr is no field of a pod. The API server calls who it trusts, in its own time.
    until("a bad edit to be refused", SOON, || async {
        let answer = cluster.apply(&profile(json!({"nodeSelectr": {}}))).await;
        let Err(error) = answer else { return Ok(Look::NotYet("stored".to_owned())) };
        let error = format!("{error:#}");
        ensure!(error.contains("spec.template.spec.nodeSelectr: unknown field"), "{error}");
        Ok(Look::Seen(()))
    })
    .await?;
    scene.apply(&profile(json!({}))).await?;
    accepted(scene, "True").await?;
    let set = ScaleSet::new(Kind::Plain, "chart-any")?
        .edit(|runner| runner["spec"]["spec"]["schedulerName"] = json!("e2e-none"));
    // Each replica has it in its own time, and one of both is asked.
    until("a pod of the object's profile", SOON, || async {
        let count = arc.runners(&set).len() + 1;
        let runner = arc.scale(&set, count).await?.pop().context("no runner")?;
        let pod = arc.stored(&runner, SOON).await?;
        let gpus = &container(&pod, "runner")["resources"]["limits"][GPU];
        Ok(if gpus == "1" { Look::Seen(()) } else { Look::NotYet(gpus.to_string()) })
    })
    .await?;
    cluster.delete(PROFILE).await?;
    Ok(())
}

async fn accepted(scene: &Scene, wanted: &str) -> anyhow::Result<()> {
    until(&format!("Accepted to be {wanted}"), SOON, || async {
        let object = scene.cluster().get(PROFILE).await?;
        let conditions = object["status"]["conditions"].as_array();
        let seen = conditions.into_iter().flatten().any(|one| {
            one["type"] == "Accepted"
                && one["status"] == wanted
                && one["observedGeneration"] == object["metadata"]["generation"]
        });
        Ok(if seen { Look::Seen(()) } else { Look::NotYet(object["status"].to_string()) })
    })
    .await
}

/// On a cluster that has the definition alone, one `kubectl apply` brings the webhook and profiles:
/// good ones in the wrong order are in force, a bad one is left out. Later a bad one is refused, also
/// after the registration's `caBundle` was wiped.
async fn one_apply(scene: &Scene) -> anyhow::Result<()> {
    instead(scene, async |scene, _| {
        let cluster = scene.cluster();
        let settings = &scene.world.settings;
        cluster.delete(DEFINITION_PATH).await?;
        until("an empty cluster", SOON, || cluster.gone(DEFINITION_PATH)).await?;
        let objects = program::render(settings, NAME, NAME, &[]).await?;
        let (definitions, mut objects): (Vec<Value>, Vec<Value>) =
            objects.into_iter().partition(|object| object["kind"] == DEFINITION);
        let profile = |name: &str, spec: Value| {
            json!({
                "apiVersion": "arc-rocm.dev/v1alpha1",
                "kind": "RunnerProfile",
                "metadata": {"name": name},
                "spec": spec,
            })
        };
        // The profiles come before the registrations: those are served within a second, and would
        // refuse the bad one in some runs.
        let profiles = [
            profile("a-first", json!({"extends": "z-last", "match": {"scaleSets": ["first-*"]}})),
            profile("bad", json!({"template": {"spec": {"nodeSelectr": {}}}})),
            profile("z-last", json!({})),
        ];
        objects.splice(0..0, profiles);
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAME}});
        objects.insert(0, namespace);
        let kubectl = async |arguments: &[&str], items: &[Value]| {
            let list = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
            let (is_done, printed) = program::kubectl(settings, arguments, &list).await?;
            ensure!(is_done, "kubectl {}: {printed}", arguments.join(" "));
            anyhow::Ok(printed)
        };
        kubectl(&["apply", "--server-side", "-f", "-"], &definitions).await?;
        let wait = ["wait", "--for=condition=Established", "--timeout=60s", "-f", "-"];
        kubectl(&wait, &definitions).await?;
        let start = Instant::now();
        let printed = kubectl(&["apply", "-f", "-"], &objects).await?;
        ensure!(printed.contains("runnerprofile.arc-rocm.dev/bad created"), "{printed}");
        let lived = one_applied(scene, start).await;
        for object in objects
            .iter()
            .filter(|object| !["Namespace", "RunnerProfile"].contains(&text(object, "/kind")))
        {
            cluster.delete(&path_of(object)?).await?;
        }
        cluster.delete(PROFILES).await?;
        lived
    })
    .await
}

async fn one_applied(scene: &Scene, start: Instant) -> anyhow::Result<()> {
    let cluster = scene.cluster();
    let condition = async |name: &str, wanted: &str| {
        until(&format!("{name}: Accepted {wanted}"), ROLLOUT, || async {
            let object = cluster.get(&format!("{PROFILES}/{name}")).await?;
            let accepted = &object["status"]["conditions"][0];
            let is_so = accepted["type"] == "Accepted" && accepted["status"] == wanted;
            Ok(if is_so { Look::Seen(accepted.clone()) } else { Look::NotYet(object.to_string()) })
        })
        .await
    };
    condition("a-first", "True").await?;
    condition("z-last", "True").await?;
    let bad = condition("bad", "False").await?;
    ensure!(text(&bad, "/message").contains("nodeSelectr: unknown field"), "{bad:#}");
    scene.figure("one apply of install and profiles, to their conditions", &ms(start));

    refused(scene, 1).await?;
    let path = format!("{VALIDATING}/{NAME}");
    let mut live = cluster.get(&path).await?;
    live["webhooks"][0]["clientConfig"]["caBundle"] = json!("Cg==");
    cluster.merge(&path, &json!({"webhooks": live["webhooks"]})).await?;
    let start = Instant::now();
    until("both registrations to have one caBundle", SOON, || async {
        let live = cluster.get(&path).await?;
        let own = text(&live, "/webhooks/0/clientConfig/caBundle");
        let is_same = own == bundle_of(scene, REGISTRATIONS, NAME).await?;
        Ok(if is_same { Look::Seen(()) } else { Look::NotYet(own.to_owned()) })
    })
    .await?;
    scene.figure("wiped caBundle of the validating registration whole again after", &ms(start));
    refused(scene, 2).await
}

/// Waits until a bad edit of a profile is refused: while the API server does not trust the webhook, it
/// is stored.
async fn refused(scene: &Scene, step: i64) -> anyhow::Result<()> {
    let path = format!("{PROFILES}/bad?fieldManager=e2e");
    until("a bad profile to be refused", SOON, || async {
        let spec = json!({"priority": step, "template": {"spec": {"tolerationss": []}}});
        let (path, change) = (format!("{path}&dryRun=All"), json!({"spec": spec}));
        Ok(match scene.cluster().merge(&path, &change).await {
            Err(refused) if refused.code == 422 => Look::Seen(()),
            Err(refused) => return Err(refused.into()),
            Ok(_) => Look::NotYet("stored".to_owned()),
        })
    })
    .await
}

/// After the uninstallation runner pods are created at once, as their author wrote them.
async fn leaves_nothing_that_waits(scene: &Scene) -> anyhow::Result<()> {
    access::grant(scene.cluster(), &scene.namespace).await?;
    let arc = scene.cluster().by(&access::user())?;
    let pod = probe::runner_pod(&scene.namespace)?;
    // The API server learns of the deletion after a moment.
    until("runner pods that do not wait", SOON, || async {
        let start = Instant::now();
        let said = probe::dry_run(&arc, &scene.namespace, &pod).await;
        let took = start.elapsed();
        let is_bare =
            said.as_ref().is_ok_and(|reply| reply.object.pointer(probe::STATUS).is_none());
        Ok(if is_bare && took < UNDELAYED {
            Look::Seen(())
        } else {
            Look::NotYet(format!("{took:?}, {said:?}"))
        })
    })
    .await
}

/// The chart by Helm itself, as `deploy/README.md` says.
async fn helm(scene: &Scene) -> anyhow::Result<()> {
    instead(scene, async |scene, _| {
        helm_life(&Release { scene, name: NAME, chart: program::chart() }).await
    })
    .await
}

async fn helm_life(release: &Release<'_>) -> anyhow::Result<()> {
    let start = Instant::now();
    release.install(&[]).await?;
    release.scene.figure("helm install --wait", &ms(start));
    release.is_called().await?;
    let bundle = release.bundle(REGISTRATIONS).await?;
    ensure!(!bundle.is_empty(), "no caBundle");

    release.upgrade("webhook.timeoutSeconds=4").await?;
    let now = release.bundle(REGISTRATIONS).await?;
    ensure!(now == bundle, "the upgrade took the caBundle away");
    let live = release.scene.cluster().get(&format!("{REGISTRATIONS}/{NAME}")).await?;
    ensure!(live["webhooks"][0]["timeoutSeconds"] == 4, "{live:#}");
    release.is_called().await?;

    on_host_network(release).await?;
    release.uninstall().await
}

/// The way for clusters whose API server reaches nodes and no pods, as EKS with an overlay network. One
/// replica, because the cluster may have one node.
async fn on_host_network(release: &Release<'_>) -> anyhow::Result<()> {
    let ports = format!("ports.webhook={HOST_PORT},ports.admin=18080");
    release.upgrade(&format!("hostNetwork=true,replicas=1,{ports}")).await?;
    until("one pod, on the host's network", STOPPED, || async {
        let pods = release.scene.cluster().list(&pods(release.name)).await?;
        let is_done = matches!(&pods[..], [pod] if pod["spec"]["hostNetwork"] == true
            && pod["status"]["podIP"] == pod["status"]["hostIP"]
            && pod["spec"]["containers"][0]["ports"][0]["hostPort"] == HOST_PORT);
        Ok(if is_done { Look::Seen(()) } else { Look::NotYet(format!("{} pods", pods.len())) })
    })
    .await?;
    release.is_called().await
}

/// The chart, installed by Helm.
pub(super) struct Release<'s> {
    pub(super) scene: &'s Scene,
    /// Of the release, of all its objects and of its namespace.
    pub(super) name: &'s str,
    /// The chart's folder.
    chart: String,
}

impl<'s> Release<'s> {
    /// Runs a case that has a release of its own beside the suite's webhook, as
    /// [`Case::own_webhook`] says. One line more in the chart limits the release to the case's
    /// namespace.
    pub(super) async fn beside(
        scene: &'s Scene,
        name: &'s str,
        run: impl AsyncFn(&Self) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let folder = TempDir::new()?;
        let copied = Command::new("cp").arg("-r").arg(program::chart()).arg(folder.path()).status();
        ensure!(copied?.success(), "cp -r {}", program::chart());
        let chart = folder.path().join("arc-rocm");
        let helpers = chart.join("templates/_helpers.tpl");
        let text = fs::read_to_string(&helpers)?;
        let selector = "namespaceSelector:\n";
        let own = format!("matchLabels: {{kubernetes.io/metadata.name: {}}}", scene.namespace);
        ensure!(text.contains(selector), "{}: no {selector}", helpers.display());
        fs::write(&helpers, text.replace(selector, &format!("{selector}  {own}\n")))?;

        let release = Self { scene, name, chart: chart.to_string_lossy().into_owned() };
        let lived = timeout(LIFE, run(&release)).await.context("a release's life");
        for kind in [REGISTRATIONS, VALIDATING] {
            scene.cluster().delete(&format!("{kind}/{name}")).await?;
        }
        scene.cluster().delete(&format!("/api/v1/namespaces/{name}")).await?;
        lived?
    }

    /// `helm install`, with these arguments besides.
    pub(super) async fn install(&self, more: &[&str]) -> anyhow::Result<()> {
        let name = format!("fullnameOverride={}", self.name);
        let install = ["install", self.name, &self.chart, "--create-namespace", "--set", &name];
        self.helm(&[&install, more].concat()).await
    }

    /// `helm upgrade` to another value.
    pub(super) async fn upgrade(&self, value: &str) -> anyhow::Result<()> {
        let change = ["--reset-then-reuse-values", "--set", value];
        self.helm(&[&["upgrade", self.name, &self.chart], change.as_slice()].concat()).await
    }

    /// `helm uninstall`, after which nothing is left that runner pods wait for.
    pub(super) async fn uninstall(&self) -> anyhow::Result<()> {
        self.helm(&["uninstall", self.name]).await?;
        let registration = format!("{REGISTRATIONS}/{}", self.name);
        let found = self.scene.cluster().find(&registration).await?;
        ensure!(found.is_none(), "still registered");
        leaves_nothing_that_waits(self.scene).await
    }

    async fn helm(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let wait = ["--namespace", self.name, "--wait", "--timeout", "3m"];
        program::helm(&self.scene.world.settings, &[arguments, &wait].concat()).await?;
        Ok(())
    }

    /// Waits until the API server calls it for runner pods of the case's namespace.
    pub(super) async fn is_called(&self) -> anyhow::Result<()> {
        probe::called_in(self.scene.cluster(), &self.scene.namespace).await
    }

    /// The `caBundle` of its registration of this kind.
    pub(super) async fn bundle(&self, kind: &str) -> anyhow::Result<String> {
        bundle_of(self.scene, kind, self.name).await
    }

    /// Scales its Deployment, as `kubectl scale` does.
    pub(super) async fn scale(&self, replicas: u32) -> anyhow::Result<()> {
        let name = self.name;
        let path = format!("/apis/apps/v1/namespaces/{name}/deployments/{name}/scale");
        self.scene.cluster().merge(&path, &json!({"spec": {"replicas": replicas}})).await?;
        Ok(())
    }

    /// The path of the Secret with its certificate.
    pub(super) fn secret(&self) -> String {
        secret(self.name)
    }

    /// Waits until all its pods are gone, as `kubectl wait --for=delete` does.
    pub(super) async fn pods_gone(&self) -> anyhow::Result<()> {
        let selector = format!("?labelSelector=app.kubernetes.io%2Finstance%3D{}", self.name);
        let pods = pods(self.name) + &selector;
        until("end of the webhook's pods", STOPPED, || async {
            let left = self.scene.cluster().list(&pods).await?.len();
            Ok(if left == 0 { Look::Seen(()) } else { Look::NotYet(format!("{left} pods")) })
        })
        .await
    }
}

/// The `caBundle` of a registration.
async fn bundle_of(scene: &Scene, kind: &str, name: &str) -> anyhow::Result<String> {
    let live = scene.cluster().get(&format!("{kind}/{name}")).await?;
    Ok(text(&live, "/webhooks/0/clientConfig/caBundle").to_owned())
}

fn secret(name: &str) -> String {
    format!("/api/v1/namespaces/{name}/secrets/{name}-tls")
}

pub(super) fn ms(start: Instant) -> String {
    format!("{} ms", start.elapsed().as_millis())
}
