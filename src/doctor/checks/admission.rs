//! Whether the API server reaches and trusts the webhook, by its response to a dry run.

use super::{installation, registration::is_narrowed};
use crate::doctor::{Check, Facts, FindingCode, facts::WEBHOOK};

pub(super) fn check(facts: &Facts) -> Check {
    let mut check = Check::new("admission");
    let Some(dry_run) = check.known(&facts.dry_run) else { return check };
    let namespace = &dry_run.namespace;
    let names = installation(&facts.settings);
    match &dry_run.refusal {
        // A webhook that fails is an internal error; the message has its name.
        Some(status) if status.code >= 500 => {
            let is_own = status.message.contains(&format!("\"{WEBHOOK}\""));
            let code =
                if is_own { FindingCode::WebhookFails } else { FindingCode::OtherWebhookFails };
            check.add(code, format!("no runner pod is created until this is repaired: {}", status.message), &names);
        }
        _ if dry_run.called => {
            check.summary =
                format!("the API server called the webhook for a dry run in namespace {namespace}");
        }
        Some(status) => check.unknown(format!(
            "the API server refused the dry run in namespace {namespace}: {}",
            status.message
        )),
        None if facts.webhook().is_some_and(is_narrowed) => check.unknown(format!(
            "the registration's namespaceSelector may exclude namespace {namespace} on purpose, so the dry \
             run proves nothing"
        )),
        None if facts.registration.is_ok() && facts.webhook().is_none() => {
            "the webhook is not registered".clone_into(&mut check.summary);
        }
        None => check.add(
            FindingCode::WebhookNotCalled,
            format!("the API server did not call the webhook for a runner pod in namespace {namespace}"),
            &names,
        ),
    }
    check
}

#[cfg(test)]
mod tests {
    use kube::core::Status;
    use serde_json::{from_value, json};

    use super::*;
    use crate::doctor::{
        DryRun, Unknown,
        testing::{change, codes, healthy},
    };

    fn facts(called: bool, refusal: Option<(u16, &str)>) -> Facts {
        let status = |(code, message)| -> Status {
            from_value(json!({"status": "Failure", "code": code, "message": message})).unwrap()
        };
        let namespace = "default".to_owned();
        Facts {
            dry_run: Ok(DryRun { namespace, called, refusal: refusal.map(status) }),
            ..healthy()
        }
    }

    #[test]
    fn failing_webhook_is_told_from_another() {
        for (name, code) in
            [(WEBHOOK, "webhook-fails"), ("sidecar.istio.io", "other-webhook-fails")]
        {
            let message =
                format!("Internal error occurred: failed calling webhook \"{name}\": EOF");
            let check = check(&facts(false, Some((500, &message))));
            assert_eq!(codes(&check), [code]);
            assert!(check.findings[0].message.ends_with("EOF"), "{check:?}");
        }
    }

    #[test]
    fn call_is_proved_whatever_comes_after_it() {
        assert!(codes(&check(&facts(true, None))).is_empty());
        assert!(codes(&check(&facts(true, Some((403, "exceeded quota: q"))))).is_empty());
        assert_eq!(codes(&check(&facts(false, Some((403, "violates PodSecurity"))))), ["unknown"]);
    }

    #[test]
    fn silent_dry_run_means_not_called() {
        let mut facts = facts(false, None);
        assert_eq!(codes(&check(&facts)), ["webhook-not-called"]);
        change(facts.registration.as_mut().unwrap(), |one| {
            one["webhooks"][0]["namespaceSelector"] = json!({"matchLabels": {"team": "a"}});
        });
        assert_eq!(codes(&check(&facts)), ["unknown"], "the namespace may be excluded");
        facts.registration = Ok(None);
        assert!(codes(&check(&facts)).is_empty(), "another check has it");
        facts.dry_run = Err(Unknown::Forbidden("create pods".to_owned()));
        assert_eq!(codes(&check(&facts)), ["unknown"]);
    }
}
