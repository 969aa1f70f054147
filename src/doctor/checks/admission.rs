//! Whether the API server reaches and trusts the webhook, by its response to a dry run.

use serde_json::Value;

use crate::doctor::{
    Check, DryRun, Facts, FindingCode, Unknown,
    facts::{list, text},
    gather::our_webhook,
    names::WEBHOOK,
};

/// The prefix of the webhook's warnings.
const OURS: &str = "arc-rocm: ";
/// The API server's message about a webhook without a usable response (apiserver,
/// `webhook/errors.go`, `ErrCallingWebhook`).
const FAILED: &str = "failed calling webhook \"";

/// A part of the API server's message, its meaning, and what to do. The first match counts.
const DIAGNOSES: &[(&str, &str, &str)] = &[
    (
        "certificate signed by unknown authority",
        "no CA in the caBundle signed the serving certificate",
        "with --tls-secret, read the webhook's log: it repairs the caBundle or logs why not; without, \
         register the CA that signed it (arc-rocm manifests --ca), or serve the certificate that the \
         registered CA signed; during a rotation, register both CAs (deploy/README.md, \"A new \
         certificate\")",
    ),
    (
        "certificate has expired or is not yet valid",
        "the serving certificate has expired, or a clock is wrong",
        "with --tls-secret, delete its Secret; without, make a new certificate: deploy/README.md, \"A \
         new certificate\"",
    ),
    (
        "certificate is valid for",
        "the serving certificate is for another name than NAME.NAMESPACE.svc",
        "with --tls-secret, add serve --tls-host NAME.NAMESPACE.svc; without, run arc-rocm certs --host \
         NAME.NAMESPACE.svc and replace the Secret",
    ),
    (
        "x509:",
        "the API server does not accept the serving certificate",
        "with --tls-secret, delete its Secret; without, make a new certificate: deploy/README.md, \"A \
         new certificate\"",
    ),
    (
        "no endpoints available",
        "no pod of the webhook is ready",
        "read /readyz and the log of the webhook's pods",
    ),
    (
        "connection refused",
        "nothing listens on the Service's target port",
        "check the Service's targetPort, and read the pods' log",
    ),
    (
        "not found",
        "the registered Service does not exist",
        "apply the output of arc-rocm manifests; if the webhook was uninstalled, delete its registration",
    ),
    (
        "no route to host",
        "the API server has no route to the webhook's pods",
        "check the network between control plane and nodes, port 8443",
    ),
    (
        "context deadline exceeded",
        "the webhook did not answer in time",
        "check for a NetworkPolicy or firewall between control plane and nodes that drops port 8443, and \
         check the node; the webhook itself answers in less than a millisecond",
    ),
    (
        "i/o timeout",
        "the API server cannot connect to the webhook",
        "check for a NetworkPolicy or firewall between control plane and nodes that drops port 8443",
    ),
    (
        "Client.Timeout",
        "the webhook did not answer in time",
        "check for a NetworkPolicy or firewall between control plane and nodes that drops port 8443, and \
         check the node",
    ),
];

pub(super) fn check(facts: &Facts) -> Check {
    let mut check = Check::new("admission");
    let dry_run = match &facts.dry_run {
        Ok(dry_run) => dry_run,
        Err(unknown) => {
            check.unknown(unknown);
            return check;
        }
    };
    let registration = facts.registration.iter().flatten().find_map(our_webhook);
    let registered = registration.is_some() || facts.registration.is_err();
    if let Some(failing) = failing(&dry_run.message) {
        no_answer(&mut check, failing, &dry_run.message);
    } else if dry_run.patched || dry_run.warnings.iter().any(|warning| warning.starts_with(OURS)) {
        check.summary = format!(
            "the API server called the webhook for a dry run in namespace {}",
            dry_run.namespace
        );
    } else if matches!(dry_run.code, 200..300) {
        if registration.is_some_and(is_narrowed) {
            check.unknown(&Unknown::Failed(format!(
                "the registration's namespaceSelector may exclude namespace {} on purpose, so the dry run \
                 proves nothing",
                dry_run.namespace
            )));
        } else if registered {
            let policy = registration.map(|webhook| text(webhook, "/failurePolicy"));
            not_called(&mut check, dry_run, policy == Some("Ignore"));
        } else {
            "the webhook is not registered".clone_into(&mut check.summary);
        }
    } else {
        check.unknown(&Unknown::Failed(format!(
            "the dry run in namespace {} was refused for another reason: {}",
            dry_run.namespace, dry_run.message
        )));
    }
    check
}

/// Whether the registration selects namespaces by more than excluded names.
fn is_narrowed(webhook: &Value) -> bool {
    let Some(selector) = webhook.get("namespaceSelector") else { return false };
    let labels = selector.get("matchLabels").and_then(Value::as_object);
    let by_name = |one: &Value| {
        text(one, "/key") == "kubernetes.io/metadata.name" && text(one, "/operator") == "NotIn"
    };
    labels.is_some_and(|labels| !labels.is_empty())
        || list(selector, "/matchExpressions").any(|one| !by_name(one))
}

/// The webhook that failed.
fn failing(message: &str) -> Option<&str> {
    message.split_once(FAILED)?.1.split_once('"').map(|(name, _)| name)
}

fn no_answer(check: &mut Check, webhook: &str, message: &str) {
    if webhook != WEBHOOK {
        check.add(
            FindingCode::OtherWebhookFails,
            format!("the webhook {webhook} fails for runner pods: {message}"),
            "repair it or delete its registration: until then no runner pod is created",
        );
        return;
    }
    let found = DIAGNOSES.iter().find(|(part, ..)| message.contains(part));
    let (meaning, remedy) = match found {
        Some((_, meaning, remedy)) => (*meaning, *remedy),
        None => {
            ("the webhook gave no response that the API server can use", "read the webhook's log")
        }
    };
    check.add(
        FindingCode::WebhookFails,
        format!("{meaning}; until then no runner pod is created. The API server says: {message}"),
        remedy,
    );
}

fn not_called(check: &mut Check, dry_run: &DryRun, ignores: bool) {
    let (why, remedy) = if ignores {
        (
            "failurePolicy Ignore hides the reason: no connection, or a selector that excludes the pod",
            "apply the output of arc-rocm manifests --failure-policy Fail, and run doctor again",
        )
    } else {
        (
            "a selector, a matchCondition or the rules of the registration exclude it",
            "compare the registration with the output of arc-rocm manifests",
        )
    };
    check.add(
        FindingCode::WebhookNotCalled,
        format!(
            "the API server did not call the webhook for a runner pod in namespace {}: {why}",
            dry_run.namespace
        ),
        remedy,
    );
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doctor::testing::{codes, healthy};

    fn refused(code: u16, message: &str, warnings: &[&str]) -> Check {
        let dry_run = DryRun {
            namespace: "default".to_owned(),
            code,
            message: message.to_owned(),
            warnings: warnings.iter().map(|&warning| warning.to_owned()).collect(),
            patched: false,
        };
        check(&Facts { dry_run: Ok(dry_run), ..healthy() })
    }

    /// Messages as API servers print them.
    #[test]
    fn webhook_failure_is_explained() {
        let post = "Internal error occurred: failed calling webhook \"mutate.arc-rocm.dev\": \
                    failed to call webhook: Post \"https://arc-rocm.arc-rocm.svc:443/mutate?timeout=5s\": ";
        for (message, words) in [
            (
                "tls: failed to verify certificate: x509: certificate signed by unknown authority",
                "no CA in the caBundle",
            ),
            ("x509: certificate has expired or is not yet valid: current time", "expired"),
            ("x509: certificate is valid for a.b.svc, not arc-rocm.arc-rocm.svc", "another name"),
            ("x509: certificate relies on legacy Common Name field", "does not accept"),
            ("no endpoints available for service \"arc-rocm\"", "no pod"),
            ("dial tcp 10.0.0.1:443: connect: connection refused", "nothing listens"),
            ("service \"arc-rocm\" not found", "does not exist"),
            ("context deadline exceeded", "in time"),
            ("dial tcp 10.0.0.1:8443: i/o timeout", "connect"),
            ("EOF", "no response that"),
        ] {
            let check = refused(500, &format!("{post}{message}"), &[]);
            assert_eq!(codes(&check), ["webhook-fails"], "{message}");
            let text = check.findings[0].message.split(". The API server").next().unwrap();
            assert!(text.contains(words), "{message}: {text}");
        }
    }

    #[test]
    fn failure_of_another_webhook_is_its_own_finding() {
        let message = "Internal error occurred: failed calling webhook \"sidecar.istio.io\": EOF";
        assert_eq!(codes(&refused(500, message, &[])), ["other-webhook-fails"]);
    }

    #[test]
    fn webhook_warning_proves_the_call() {
        let warning = "arc-rocm: the pod is not created by ARC's controller";
        assert!(codes(&refused(201, "", &[warning])).is_empty());
        // A quota refuses after the webhooks.
        assert!(
            codes(&refused(403, "pods \"x\" is forbidden: exceeded quota: q", &[warning]))
                .is_empty()
        );
    }

    #[test]
    fn silent_dry_run_means_not_called() {
        assert_eq!(
            codes(&refused(201, "", &["would violate PodSecurity"])),
            ["webhook-not-called"]
        );
        let mut facts = healthy();
        facts.dry_run.as_mut().unwrap().warnings.clear();
        facts.registration.as_mut().unwrap().as_mut().unwrap()["webhooks"][0]["failurePolicy"] =
            json!("Ignore");
        let check = check(&facts);
        assert!(check.findings[0].message.contains("Ignore hides"), "{check:?}");
    }

    #[test]
    fn excluded_namespace_is_unknown() {
        let mut facts = healthy();
        facts.dry_run.as_mut().unwrap().warnings.clear();
        facts.registration.as_mut().unwrap().as_mut().unwrap()["webhooks"][0]["namespaceSelector"] =
            json!({"matchLabels": {"team": "a"}});
        assert_eq!(codes(&check(&facts)), ["unknown"]);
    }

    #[test]
    fn missing_registration_has_no_admission_finding() {
        let mut facts = Facts { registration: Ok(None), ..healthy() };
        facts.dry_run.as_mut().unwrap().warnings.clear();
        assert!(codes(&check(&facts)).is_empty());
    }

    #[test]
    fn other_refusal_is_unknown() {
        assert_eq!(codes(&refused(403, "violates PodSecurity", &[])), ["unknown"]);
        let facts =
            Facts { dry_run: Err(Unknown::Forbidden("create pods".to_owned())), ..healthy() };
        assert_eq!(codes(&check(&facts)), ["unknown"]);
    }
}
