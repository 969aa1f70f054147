//! Whether the API server reaches the webhook and trusts it: judged by itself, on a dry run.

use serde_json::Value;

use crate::cluster::doctor::{
    Check, Code, Facts, Trial, Unknown,
    facts::{list, text},
    gather::ours,
    names::WEBHOOK,
};

/// What the webhook's own warnings begin with.
const OURS: &str = "arc-rocm: ";
/// What the API server says of a webhook that gave no usable answer
/// (apiserver, `webhook/errors.go`, `ErrCallingWebhook`).
const FAILED: &str = "failed calling webhook \"";

/// What a part of the API server's message means, and what to do. The first that is in it holds.
const DIAGNOSES: &[(&str, &str, &str)] = &[
    (
        "certificate signed by unknown authority",
        "the caBundle does not vouch for the certificate that is served",
        "with --tls-secret the webhook mends that by itself, and its log says why it does not; else \
         register the authority that signed it (arc-rocm manifests --ca), or serve the pair that \
         belongs to it; during a rotation, both (deploy/README.md, \"A new certificate\")",
    ),
    (
        "certificate has expired or is not yet valid",
        "the certificate that is served has expired, or a clock is wrong",
        "with --tls-secret, delete its Secret; else make a new one: deploy/README.md, \"A new \
         certificate\"",
    ),
    (
        "certificate is valid for",
        "the certificate that is served is for another name than NAME.NAMESPACE.svc",
        "give serve that name by --tls-host; without --tls-secret, arc-rocm certs --host \
         NAME.NAMESPACE.svc, and a new Secret",
    ),
    (
        "x509:",
        "the API server does not accept the certificate that is served",
        "with --tls-secret, delete its Secret; else make a new one: deploy/README.md, \"A new \
         certificate\"",
    ),
    (
        "no endpoints available",
        "no pod of the webhook is ready",
        "see to the Deployment: its pods' /readyz and log say why",
    ),
    (
        "connection refused",
        "nothing listens where the Service points to",
        "see to the Service's targetPort and to the pods' log",
    ),
    (
        "not found",
        "the registered Service does not exist",
        "apply what arc-rocm manifests prints, or delete the registration of a webhook that is gone",
    ),
    (
        "no route to host",
        "the API server has no route to the webhook's pods",
        "see to the network between control plane and nodes, port 8443",
    ),
    (
        "context deadline exceeded",
        "the webhook did not answer in time",
        "a NetworkPolicy or firewall between control plane and nodes drops port 8443, or the node \
         is in trouble; the webhook itself answers in less than a millisecond",
    ),
    (
        "i/o timeout",
        "the API server cannot connect to the webhook",
        "a NetworkPolicy or firewall between control plane and nodes drops port 8443",
    ),
    (
        "Client.Timeout",
        "the webhook did not answer in time",
        "a NetworkPolicy or firewall between control plane and nodes drops port 8443, or the node \
         is in trouble",
    ),
];

pub(super) fn check(facts: &Facts) -> Check {
    let mut check = Check::new("admission");
    let trial = match &facts.trial {
        Ok(trial) => trial,
        Err(unknown) => {
            check.unknown(unknown);
            return check;
        }
    };
    let registration = facts.registration.iter().flatten().find_map(ours);
    let registered = registration.is_some() || facts.registration.is_err();
    if let Some(failing) = failing(&trial.message) {
        no_answer(&mut check, failing, &trial.message);
    } else if trial.patched || trial.warnings.iter().any(|warning| warning.starts_with(OURS)) {
        check.summary =
            format!("the API server called the webhook for a dry run in {}", trial.namespace);
    } else if matches!(trial.code, 200..300) {
        if registration.is_some_and(is_narrowed) {
            check.unknown(&Unknown::Failed(format!(
                "the registration's namespaceSelector may leave {} out on purpose: label a \
                 namespace for the trial, or ask for one that it takes",
                trial.namespace
            )));
        } else if registered {
            let policy = registration.map(|webhook| text(webhook, "/failurePolicy"));
            not_called(&mut check, trial, policy == Some("Ignore"));
        } else {
            "there is no registration".clone_into(&mut check.summary);
        }
    } else {
        check.unknown(&Unknown::Failed(format!(
            "the dry run in {} was refused before it could tell: {}",
            trial.namespace, trial.message
        )));
    }
    check
}

/// Whether the registration picks namespaces otherwise than by names that it leaves out.
fn is_narrowed(webhook: &Value) -> bool {
    let Some(selector) = webhook.get("namespaceSelector") else { return false };
    let labels = selector.get("matchLabels").and_then(Value::as_object);
    let by_name = |one: &Value| {
        text(one, "/key") == "kubernetes.io/metadata.name" && text(one, "/operator") == "NotIn"
    };
    labels.is_some_and(|labels| !labels.is_empty())
        || list(selector, "/matchExpressions").any(|one| !by_name(one))
}

/// The webhook that gave no answer.
fn failing(message: &str) -> Option<&str> {
    message.split_once(FAILED)?.1.split_once('"').map(|(name, _)| name)
}

fn no_answer(check: &mut Check, webhook: &str, message: &str) {
    if webhook != WEBHOOK {
        check.add(
            Code::OtherWebhookFails,
            format!("another webhook, {webhook}, fails for runner pods: {message}"),
            "no runner is created until it answers, or its registration is deleted",
        );
        return;
    }
    let found = DIAGNOSES.iter().find(|(part, ..)| message.contains(part));
    let (meaning, remedy) = match found {
        Some((_, meaning, remedy)) => (*meaning, *remedy),
        None => ("the webhook gave no answer that the API server can use", "see the webhook's log"),
    };
    check.add(
        Code::WebhookFails,
        format!("{meaning}; runners wait meanwhile. The API server says: {message}"),
        remedy,
    );
}

fn not_called(check: &mut Check, trial: &Trial, ignores: bool) {
    let (why, remedy) = if ignores {
        (
            "failurePolicy Ignore hides why: it is not reached, or a selector leaves it out",
            "apply what arc-rocm manifests prints with --failure-policy Fail, and ask again",
        )
    } else {
        (
            "a selector, a matchCondition or the rules of the registration leave it out",
            "compare the registration with what arc-rocm manifests prints",
        )
    };
    check.add(
        Code::WebhookNotCalled,
        format!("a runner pod in namespace {} passed without the webhook: {why}", trial.namespace),
        remedy,
    );
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::doctor::testing::{codes, healthy};

    fn refused(code: u16, message: &str, warnings: &[&str]) -> Check {
        let trial = Trial {
            namespace: "default".to_owned(),
            code,
            message: message.to_owned(),
            warnings: warnings.iter().map(|&warning| warning.to_owned()).collect(),
            patched: false,
        };
        check(&Facts { trial: Ok(trial), ..healthy() })
    }

    /// Messages as API servers print them.
    #[test]
    fn each_way_to_fail_is_told_in_words() {
        let post = "Internal error occurred: failed calling webhook \"mutate.arc-rocm.dev\": \
                    failed to call webhook: Post \"https://arc-rocm.arc-rocm.svc:443/mutate?timeout=5s\": ";
        for (message, words) in [
            (
                "tls: failed to verify certificate: x509: certificate signed by unknown authority",
                "vouch",
            ),
            ("x509: certificate has expired or is not yet valid: current time", "expired"),
            ("x509: certificate is valid for a.b.svc, not arc-rocm.arc-rocm.svc", "another name"),
            ("x509: certificate relies on legacy Common Name field", "does not accept"),
            ("no endpoints available for service \"arc-rocm\"", "no pod"),
            ("dial tcp 10.0.0.1:443: connect: connection refused", "nothing listens"),
            ("service \"arc-rocm\" not found", "does not exist"),
            ("context deadline exceeded", "in time"),
            ("dial tcp 10.0.0.1:8443: i/o timeout", "connect"),
            ("EOF", "no answer that"),
        ] {
            let check = refused(500, &format!("{post}{message}"), &[]);
            assert_eq!(codes(&check), ["webhook-fails"], "{message}");
            let told = check.findings[0].message.split(". The API server").next().unwrap();
            assert!(told.contains(words), "{message}: {told}");
        }
    }

    #[test]
    fn another_webhook_is_not_mistaken_for_ours() {
        let message = "Internal error occurred: failed calling webhook \"sidecar.istio.io\": EOF";
        assert_eq!(codes(&refused(500, message, &[])), ["other-webhook-fails"]);
    }

    #[test]
    fn our_warning_proves_the_call_whatever_comes_after() {
        let ours = "arc-rocm: the pod is not created by ARC's controller";
        assert!(codes(&refused(201, "", &[ours])).is_empty());
        // A quota refuses after the webhooks.
        assert!(
            codes(&refused(403, "pods \"x\" is forbidden: exceeded quota: q", &[ours])).is_empty()
        );
    }

    #[test]
    fn a_pod_that_passes_in_silence_was_not_sent_to_us() {
        assert_eq!(
            codes(&refused(201, "", &["would violate PodSecurity"])),
            ["webhook-not-called"]
        );
        let mut facts = healthy();
        facts.trial.as_mut().unwrap().warnings.clear();
        facts.registration.as_mut().unwrap().as_mut().unwrap()["webhooks"][0]["failurePolicy"] =
            json!("Ignore");
        let check = check(&facts);
        assert!(check.findings[0].message.contains("Ignore hides"), "{check:?}");
    }

    #[test]
    fn a_namespace_that_may_be_left_out_on_purpose_proves_nothing() {
        let mut facts = healthy();
        facts.trial.as_mut().unwrap().warnings.clear();
        facts.registration.as_mut().unwrap().as_mut().unwrap()["webhooks"][0]["namespaceSelector"] =
            json!({"matchLabels": {"team": "a"}});
        assert_eq!(codes(&check(&facts)), ["unknown"]);
    }

    #[test]
    fn without_a_registration_there_is_nobody_to_be_called() {
        let mut facts = Facts { registration: Ok(None), ..healthy() };
        facts.trial.as_mut().unwrap().warnings.clear();
        assert!(codes(&check(&facts)).is_empty());
    }

    #[test]
    fn a_refusal_for_another_reason_is_unknown_not_ok() {
        assert_eq!(codes(&refused(403, "violates PodSecurity", &[])), ["unknown"]);
        let facts = Facts { trial: Err(Unknown::Forbidden("create pods".to_owned())), ..healthy() };
        assert_eq!(codes(&check(&facts)), ["unknown"]);
    }
}
