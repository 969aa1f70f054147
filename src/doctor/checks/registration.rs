//! Whether the webhook is registered, and with which policies.

use k8s_openapi::api::admissionregistration::v1::MutatingWebhook;

use super::installation;
use crate::doctor::{Check, Facts, FindingCode, facts::WEBHOOK};

pub(super) fn check(facts: &Facts) -> Check {
    let mut check = Check::new("registration");
    if check.known(&facts.registration).is_none() {
        return check;
    }
    let name = &facts.settings.name;
    let Some(webhook) = facts.webhook() else {
        let elsewhere = facts.other_registrations.first();
        let elsewhere =
            elsewhere.map(|other| format!("; {other} has it: run doctor with --name {other}"));
        let message = format!(
            "no MutatingWebhookConfiguration {name} has the webhook {WEBHOOK}{}",
            elsewhere.unwrap_or_default()
        );
        check.add(FindingCode::RegistrationMissing, message, &installation(&facts.settings));
        return check;
    };
    check.summary = format!("{name} registers {WEBHOOK}");
    if webhook.failure_policy.as_deref() == Some("Ignore") {
        check.add(FindingCode::FailurePolicyIgnore, "failurePolicy is Ignore", &[]);
    }
    if webhook.reinvocation_policy.as_deref() != Some("IfNeeded") {
        let names = installation(&facts.settings);
        check.add(FindingCode::ReinvocationNever, "reinvocationPolicy is not IfNeeded", &names);
    }
    check
}

/// Whether the registration selects namespaces by more than excluded names: the rest is excluded on
/// purpose.
pub(super) fn is_narrowed(webhook: &MutatingWebhook) -> bool {
    let Some(selector) = &webhook.namespace_selector else { return false };
    let labels = selector.match_labels.as_ref().is_some_and(|labels| !labels.is_empty());
    let excludes = |operator: &str| matches!(operator, "NotIn" | "DoesNotExist");
    labels || selector.match_expressions.iter().flatten().any(|one| !excludes(&one.operator))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
    use serde_json::{Value, from_value, json};

    use super::*;
    use crate::{
        doctor::testing::{change, codes, healthy},
        profile::source::{Node, documents},
    };

    fn with(of: impl FnOnce(&mut Value)) -> Check {
        let mut facts = healthy();
        change(facts.registration.as_mut().unwrap(), |one| of(&mut one["webhooks"][0]));
        check(&facts)
    }

    #[test]
    fn registration_of_the_chart_has_no_finding() {
        let render = include_str!("../../../deploy/install.yaml");
        let objects = documents("install.yaml", render).unwrap();
        let mut objects = objects.iter().map(Node::to_json);
        let registration = objects.find(|one| one["kind"] == "MutatingWebhookConfiguration");
        let registration: MutatingWebhookConfiguration = from_value(registration.unwrap()).unwrap();
        let webhook = &registration.webhooks.as_ref().unwrap()[0];
        assert!(!is_narrowed(webhook));
        let facts = Facts { registration: Ok(Some(registration)), ..healthy() };
        assert!(codes(&check(&facts)).is_empty(), "{:?}", check(&facts));
    }

    #[test]
    fn weak_policies_are_found() {
        assert!(codes(&with(|_| {})).is_empty());
        let ignore = with(|one| one["failurePolicy"] = json!("Ignore"));
        assert_eq!(codes(&ignore), ["failure-policy-ignore"]);
        for never in [json!("Never"), Value::Null] {
            let found = with(|one| one["reinvocationPolicy"] = never);
            assert_eq!(codes(&found), ["reinvocation-never"]);
        }
    }

    #[test]
    fn registration_under_another_name_is_named() {
        let other = vec!["rocm".to_owned()];
        let facts = Facts { registration: Ok(None), other_registrations: other, ..healthy() };
        let check = check(&facts);
        assert_eq!(codes(&check), ["registration-missing"]);
        assert!(check.findings[0].message.contains("--name rocm"), "{check:?}");
        let renamed = with(|webhook| webhook["name"] = json!("other.example.com"));
        assert_eq!(codes(&renamed), ["registration-missing"]);
    }
}
