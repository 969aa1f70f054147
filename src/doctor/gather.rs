//! Gathers the facts, all requests in parallel. A missing permission makes one fact unknown and no
//! other.

use std::collections::BTreeMap;

use futures::{StreamExt as _, stream};
use k8s_openapi::{
    ByteString,
    api::{
        admissionregistration::v1::{MutatingWebhook, MutatingWebhookConfiguration},
        core::v1::{Pod, Secret},
    },
};
use kube::{Api, Client, ResourceExt, core::Status};

use super::{
    api::{ask, get, kind, list},
    deployment, dry_run,
    facts::{Facts, Known, Settings, Unknown, webhook},
    sample::Samples,
};
use crate::{podspec::RUNNER_LABEL, profile::spec};

/// The label by which ARC's charts find their own controller (`gha-runner-scale-set`, `_helpers.tpl`).
pub(super) const CONTROLLER_NAME: &str = "actions.github.com/controller-service-account-name";
/// The label that holds a namespace's name.
const NAMESPACE_LABEL: &str = "kubernetes.io/metadata.name";
/// The API group of ARC.
const ARC: &str = "actions.github.com";
/// The namespace of the dry run without a scale set.
const DEFAULT_NAMESPACE: &str = "default";
/// Scale sets whose next runner is tried: many times what a known fleet has.
const TRIALS: usize = 500;
/// Trials at a time: the API server runs every admission plugin and webhook for each.
const TRIALS_AT_A_TIME: usize = 8;

/// Gathers all facts. Fails if the API server is not reachable.
pub(super) async fn facts(client: &Client, settings: Settings, now: i64) -> Known<Facts> {
    let version = match ask(client.apiserver_version()).await {
        Ok(version) => Ok(version.map(|version| version.git_version).unwrap_or_default()),
        Err(failure) => match failure.of("get", "/version", None) {
            unknown @ Unknown::Forbidden(_) => Err(unknown),
            unreachable @ Unknown::Failed(_) => return Err(unreachable),
        },
    };
    let name = settings.name.as_str();
    let registrations: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let deployments = Api::namespaced(client.clone(), &settings.namespace);
    let sets = kind(ARC, "AutoscalingRunnerSet", "autoscalingrunnersets");
    let runners = kind(ARC, "EphemeralRunner", "ephemeralrunners");
    let profiles = kind(spec::GROUP, spec::KIND, spec::PLURAL);
    let labels = format!("{RUNNER_LABEL}=True");

    let (registration, deployment, scale_sets, runners, profiles) = tokio::join!(
        get(registrations.clone(), name),
        get(deployments, name),
        list(Api::all_with(client.clone(), &sets), &sets, ""),
        list(Api::all_with(client.clone(), &runners), &runners, ""),
        list(Api::all_with(client.clone(), &profiles), &profiles, ""),
    );
    let (runner_pods, namespaces, controllers, nodes, runtime_classes) = tokio::join!(
        list(Api::all(client.clone()), &(), &labels),
        list(Api::all(client.clone()), &(), ""),
        list(Api::all(client.clone()), &(), CONTROLLER_NAME),
        list(Api::all(client.clone()), &(), ""),
        list(Api::all(client.clone()), &(), ""),
    );
    let mut facts = Facts {
        version,
        registration,
        deployment,
        profiles,
        runtime_classes,
        scale_sets,
        runners,
        runner_pods: runner_pods.map(|pods| pods.into_iter().filter(lives).collect()),
        namespaces,
        controllers,
        nodes,
        ..Facts::none(settings.clone(), now)
    };
    if facts.registration == Ok(None) {
        let all = list(registrations, &(), "").await.unwrap_or_default();
        let others = all.iter().filter(|other| webhook(other).is_some());
        facts.other_registrations = others.map(ResourceExt::name_any).collect();
    }
    let tried = namespace_to_try(&facts);
    let config_map = deployment::config_map(facts.deployment());
    (facts.certificate, facts.config_map, facts.dry_run) = tokio::join!(
        certificate(client, &facts),
        get(Api::namespaced(client.clone(), &facts.settings.namespace), &config_map),
        dry_run::call(client, &tried),
    );
    facts.trials = trials(client, &facts).await;
    Ok(facts)
}

/// Gathers what says how the next runner of each scale set is patched.
pub(super) async fn runners(client: &Client, settings: Settings) -> Known<Facts> {
    let sets = kind(ARC, "AutoscalingRunnerSet", "autoscalingrunnersets");
    let profiles = kind(spec::GROUP, spec::KIND, spec::PLURAL);
    let (deployment, scale_sets, profiles) = tokio::join!(
        get(Api::namespaced(client.clone(), &settings.namespace), &settings.name),
        list(Api::all_with(client.clone(), &sets), &sets, ""),
        list(Api::all_with(client.clone(), &profiles), &profiles, ""),
    );
    let mut facts = Facts {
        deployment: Ok(deployment?),
        scale_sets: Ok(scale_sets?),
        profiles: Ok(profiles?),
        ..Facts::none(settings, 0)
    };
    let name = deployment::config_map(facts.deployment());
    let config_maps = Api::namespaced(client.clone(), &facts.settings.namespace);
    facts.config_map = Ok(get(config_maps, &name).await?);
    Ok(facts)
}

/// A namespace that has runners and that the registration does not exclude.
fn namespace_to_try(facts: &Facts) -> String {
    let excluded = facts.webhook().map(excluded).unwrap_or_default();
    let sets = facts.scale_sets.iter().flatten().filter_map(ResourceExt::namespace);
    let pods = facts.runner_pods.iter().flatten().filter_map(ResourceExt::namespace);
    let mut all = sets.chain(pods).filter(|namespace| !excluded.contains(&namespace.as_str()));
    all.next().unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned())
}

/// The namespaces that the registration excludes by name.
fn excluded(webhook: &MutatingWebhook) -> Vec<&str> {
    let selector = webhook.namespace_selector.iter();
    selector
        .flat_map(|selector| selector.match_expressions.iter().flatten())
        .filter(|one| one.key == NAMESPACE_LABEL && one.operator == "NotIn")
        .flat_map(|one| one.values.iter().flatten().map(String::as_str))
        .collect()
}

/// Whether a runner pod has not ended and is not being deleted.
fn lives(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    !matches!(phase, Some("Succeeded" | "Failed")) && pod.metadata.deletion_timestamp.is_none()
}

/// The certificate chain. The key beside it is dropped at once.
async fn certificate(client: &Client, facts: &Facts) -> Known<Option<String>> {
    let api: Api<Secret> = Api::namespaced(client.clone(), &facts.settings.namespace);
    let secret = get(api, &deployment::secret(facts.deployment())).await?;
    Ok(secret.map(|secret| {
        let chain = secret.data.and_then(|mut data| data.remove("tls.crt"));
        let ByteString(chain) = chain.unwrap_or_default();
        String::from_utf8_lossy(&chain).into_owned()
    }))
}

/// Tries the next runner pod of each scale set that is injected.
async fn trials(client: &Client, facts: &Facts) -> BTreeMap<String, Known<Option<Status>>> {
    let samples = Samples::of(facts);
    let trials = samples.injected().take(TRIALS).map(|(sample, injected)| async {
        let outcome = dry_run::try_out(client, &sample.namespace, &injected.pod).await;
        (sample.name.clone(), outcome)
    });
    stream::iter(trials).buffer_unordered(TRIALS_AT_A_TIME).collect().await
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;
    use crate::doctor::testing::{healthy, pod};

    #[test]
    fn dry_run_is_in_a_namespace_with_runners() {
        let mut facts = healthy();
        assert_eq!(namespace_to_try(&facts), "arc-runners");
        facts.scale_sets.as_mut().unwrap()[0].metadata.namespace = Some("kube-system".to_owned());
        facts.runner_pods = Ok(Vec::new());
        assert_eq!(namespace_to_try(&facts), "default", "kube-system is excluded");
        facts.runner_pods = Ok(vec![pod("x", None)]);
        assert_eq!(namespace_to_try(&facts), "arc-runners");
    }

    #[test]
    fn ended_or_deleted_pod_is_no_runner() {
        let of = |value| lives(&from_value(value).unwrap());
        assert!(of(json!({"status": {"phase": "Pending"}})) && of(json!({})));
        assert!(!of(json!({"status": {"phase": "Succeeded"}})));
        assert!(!of(json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})));
    }
}
