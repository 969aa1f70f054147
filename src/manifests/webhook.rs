//! The `MutatingWebhookConfiguration`.

use k8s_openapi::{
    ByteString,
    api::admissionregistration::v1::{
        MutatingWebhook, MutatingWebhookConfiguration, RuleWithOperations, ServiceReference,
        WebhookClientConfig,
    },
    apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement, ObjectMeta},
};

use super::{
    Document, FailurePolicy, Settings, Target,
    workload::{SERVICE_PORT, labels},
};
use crate::{annotations::INJECT, selection::RUNNER_LABEL, server::PATH};

/// The webhook's name, which the API server wants to be a domain.
const WEBHOOK: &str = "mutate.arc-rocm.dev";
/// The label that every namespace has with its own name.
const NAMESPACE_LABEL: &str = "kubernetes.io/metadata.name";
const KUBE_SYSTEM: &str = "kube-system";

const SELECTORS: &str = "\
The registration: apply it last, delete it first.
objectSelector: the API server calls for nothing but the runner pods of ARC, which its controller
labels, and not for those whose author opted out by label. An outage reaches no other pod.
namespaceSelector: our own pods and the cluster's own never wait for us, whatever their labels.
reinvocationPolicy IfNeeded: when a later webhook changes the pod, say by adding a container, we
see it again. A second pass over our own result finds nothing to do.
";
const FAIL: &str = "\
failurePolicy Fail: without an answer a runner pod is not created, and ARC's controller tries
again until it is, so that runners are late and none is lost. With Ignore a runner would start
without GPUs and Docker, and fail the job that it picks up.
";
const IGNORE: &str = "\
failurePolicy Ignore: without an answer a runner pod is created as it is. Such a runner has neither
GPUs nor Docker, and fails the job that it picks up. Fail only delays runners, because ARC's
controller tries again.
";

pub(super) fn document(settings: &Settings) -> serde_json::Result<Document> {
    let Settings { name, namespace, ca_bundle, failure_policy, timeout, target } = settings;
    let (url, service) = match target {
        Target::Url(url) => (Some(url.clone()), None),
        Target::Cluster(_) => {
            let service = ServiceReference {
                name: name.clone(),
                namespace: namespace.clone(),
                path: Some(PATH.to_owned()),
                port: Some(SERVICE_PORT),
            };
            (None, Some(service))
        }
    };
    let one = |text: &str| Some(vec![text.to_owned()]);
    let configuration = MutatingWebhookConfiguration {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            labels: Some(labels(name)),
            ..ObjectMeta::default()
        },
        webhooks: Some(vec![MutatingWebhook {
            name: WEBHOOK.to_owned(),
            client_config: WebhookClientConfig {
                ca_bundle: Some(ByteString(ca_bundle.clone().into_bytes())),
                service,
                url,
            },
            rules: Some(vec![RuleWithOperations {
                api_groups: one(""),
                api_versions: one("v1"),
                operations: one("CREATE"),
                resources: one("pods"),
                scope: Some("Namespaced".to_owned()),
            }]),
            object_selector: Some(LabelSelector {
                match_labels: Some([(RUNNER_LABEL.to_owned(), "True".to_owned())].into()),
                match_expressions: Some(vec![not_in(INJECT, &["false"])]),
            }),
            namespace_selector: Some(LabelSelector {
                match_expressions: Some(vec![not_in(NAMESPACE_LABEL, &[namespace, KUBE_SYSTEM])]),
                match_labels: None,
            }),
            admission_review_versions: vec!["v1".to_owned()],
            failure_policy: Some(failure_policy.as_str().to_owned()),
            match_conditions: None,
            match_policy: Some("Equivalent".to_owned()),
            reinvocation_policy: Some("IfNeeded".to_owned()),
            side_effects: "None".to_owned(),
            timeout_seconds: Some(i32::from(*timeout)),
        }]),
    };
    let policy = match failure_policy {
        FailurePolicy::Fail => FAIL,
        FailurePolicy::Ignore => IGNORE,
    };
    Document::new(format!("{SELECTORS}{policy}"), &configuration)
}

fn not_in(key: &str, values: &[&str]) -> LabelSelectorRequirement {
    LabelSelectorRequirement {
        key: key.to_owned(),
        operator: "NotIn".to_owned(),
        values: Some(values.iter().map(|&value| value.to_owned()).collect()),
    }
}
