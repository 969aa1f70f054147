//! Whether the `MutatingWebhookConfiguration` is as `arc-rocm manifests` prints it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    annotations::INJECT,
    doctor::{
        Check, Facts, FindingCode,
        facts::{list, text},
        gather::{excluded, our_webhook},
        names::WEBHOOK,
    },
    podspec::RUNNER_LABEL,
};

const AGAIN: &str = "apply the output of arc-rocm manifests; its flags set what may differ";

pub(super) fn check(facts: &Facts) -> Check {
    let mut check = Check::new("registration");
    let name = &facts.settings.name;
    let registration = match &facts.registration {
        Ok(registration) => registration.as_ref(),
        Err(unknown) => {
            check.unknown(unknown);
            return check;
        }
    };
    let Some(webhook) = registration.and_then(our_webhook) else {
        missing(&mut check, facts, registration.is_some());
        return check;
    };
    check.summary = format!("{name} registers {WEBHOOK}");
    rules(&mut check, webhook);
    object_selector(&mut check, webhook);
    namespace_selector(&mut check, webhook, &facts.settings.namespace);
    let is = |field: &str, default: &'static str| match text(webhook, field) {
        "" => default.to_owned(),
        value => value.to_owned(),
    };
    if is("/failurePolicy", "Fail") == "Ignore" {
        check.add(
            FindingCode::FailurePolicyIgnore,
            "failurePolicy is Ignore: while the webhook does not answer, runners start without GPUs and \
             Docker and fail their jobs",
            "use Fail: runners then wait for the webhook",
        );
    }
    if is("/reinvocationPolicy", "Never") == "Never" {
        check.add(
            FindingCode::ReinvocationNever,
            "reinvocationPolicy is Never: the webhook does not see changes by later webhooks",
            "use IfNeeded, as arc-rocm manifests does",
        );
    }
    let effects = is("/sideEffects", "");
    if !matches!(effects.as_str(), "None" | "NoneOnDryRun") {
        check.add(
            FindingCode::SideEffectsDiffer,
            format!("sideEffects is {effects}: the API server refuses dry runs of runner pods"),
            "use None, as arc-rocm manifests does",
        );
    }
    check
}

fn missing(check: &mut Check, facts: &Facts, exists: bool) {
    let name = &facts.settings.name;
    let seen = if exists {
        format!("MutatingWebhookConfiguration {name} has no webhook {WEBHOOK}")
    } else {
        format!("MutatingWebhookConfiguration {name} does not exist")
    };
    let remedy = match facts.other_registrations.first() {
        Some(other) => {
            format!("{WEBHOOK} is registered in {other}: run doctor with --name {other}")
        }
        None => {
            "apply the output of arc-rocm manifests; until then runners are not injected".to_owned()
        }
    };
    check.add(FindingCode::RegistrationMissing, seen, remedy);
}

fn rules(check: &mut Check, webhook: &Value) {
    let has = |rule: &Value, pointer: &str, wanted: &str| {
        list(rule, pointer).filter_map(Value::as_str).any(|item| item == wanted || item == "*")
    };
    let about_pods = |rule: &Value| {
        has(rule, "/apiGroups", "")
            && has(rule, "/apiVersions", "v1")
            && has(rule, "/operations", "CREATE")
            && has(rule, "/resources", "pods")
            && text(rule, "/scope") != "Cluster"
    };
    if !list(webhook, "/rules").any(about_pods) {
        check.add(
            FindingCode::RulesDiffer,
            "no rule of the registration covers CREATE of v1 pods",
            AGAIN,
        );
    }
}

/// Labels and expressions in a canonical form, so that equal selectors compare equal.
fn words(selector: Option<&Value>) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    let Some(selector) = selector else { return words };
    let labels = selector.pointer("/matchLabels").and_then(Value::as_object);
    for (key, value) in labels.into_iter().flatten() {
        words.insert(format!("{key} In {}", value.as_str().unwrap_or_default()));
    }
    for expression in list(selector, "/matchExpressions") {
        let mut values: Vec<&str> = list(expression, "/values").filter_map(Value::as_str).collect();
        values.sort_unstable();
        let (key, operator) = (text(expression, "/key"), text(expression, "/operator"));
        words.insert(format!("{key} {operator} {}", values.join(",")));
    }
    words
}

fn object_selector(check: &mut Check, webhook: &Value) {
    let wanted = [format!("{RUNNER_LABEL} In True"), format!("{INJECT} NotIn false")];
    let wanted: BTreeSet<String> = wanted.into();
    let has = words(webhook.get("objectSelector"));
    if has == wanted {
        return;
    }
    let quoted = |words: Vec<&String>| {
        words
            .into_iter()
            .map(|word| format!("{:?}", word.trim_end()))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let missing = quoted(wanted.difference(&has).collect());
    let further = quoted(has.difference(&wanted).collect());
    let mut seen = Vec::new();
    if !missing.is_empty() {
        seen.push(format!("lacks {missing}: the API server also sends other pods"));
    }
    if !further.is_empty() {
        seen.push(format!("also requires {further}: other runners are not injected"));
    }
    check.add(
        FindingCode::ObjectSelectorDiffers,
        format!("objectSelector {}", seen.join(", and ")),
        AGAIN,
    );
}

fn namespace_selector(check: &mut Check, webhook: &Value, own: &str) {
    let excluded = excluded(webhook);
    // A selector that selects by label or name excludes the rest.
    let named = words(webhook.get("namespaceSelector"))
        .iter()
        .any(|word| !word.contains(" NotIn ") && !word.contains(" DoesNotExist "));
    let missing: Vec<&str> =
        [own, "kube-system"].into_iter().filter(|name| !excluded.contains(name)).collect();
    if !missing.is_empty() && !named {
        check.add(
            FindingCode::NamespaceSelectorDiffers,
            format!("namespaceSelector does not exclude {}", missing.join(" and ")),
            AGAIN,
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doctor::testing::{codes, healthy};

    fn with(change: impl FnOnce(&mut Value)) -> Vec<&'static str> {
        let mut facts = healthy();
        let registration = facts.registration.as_mut().unwrap().as_mut().unwrap();
        change(registration.pointer_mut("/webhooks/0").unwrap());
        codes(&check(&facts))
    }

    #[test]
    fn registration_of_manifests_has_no_finding() {
        assert!(with(|_| {}).is_empty());
    }

    #[test]
    fn registration_difference_has_a_finding() {
        assert_eq!(with(|w| w["failurePolicy"] = json!("Ignore")), ["failure-policy-ignore"]);
        assert_eq!(with(|w| w["reinvocationPolicy"] = json!("Never")), ["reinvocation-never"]);
        assert_eq!(with(|w| w["sideEffects"] = json!("Unknown")), ["side-effects-differ"]);
        assert_eq!(with(|w| w["rules"][0]["operations"] = json!(["UPDATE"])), ["rules-differ"]);
        assert_eq!(with(|w| w["objectSelector"] = json!({})), ["object-selector-differs"]);
        let narrow = json!({"team": "a"});
        assert_eq!(
            with(|w| w["namespaceSelector"] = json!({"matchLabels": narrow})),
            Vec::<&str>::new()
        );
        assert_eq!(with(|w| w["namespaceSelector"] = json!({})), ["namespace-selector-differs"]);
        assert_eq!(with(|w| w["name"] = json!("other.example.com")), ["registration-missing"]);
    }

    #[test]
    fn wildcard_and_order_are_no_difference() {
        assert!(with(|w| w["rules"][0]["operations"] = json!(["*"])).is_empty());
        assert!(
            with(|w| {
                w["objectSelector"] = json!({"matchExpressions": [
                    {"key": "arc-rocm.dev/inject", "operator": "NotIn", "values": ["false"]},
                    {"key": "actions-ephemeral-runner", "operator": "In", "values": ["True"]},
                ]});
            })
            .is_empty()
        );
    }

    #[test]
    fn registration_under_another_name_is_named() {
        let facts = Facts {
            registration: Ok(None),
            other_registrations: vec!["rocm".to_owned()],
            ..healthy()
        };
        let check = check(&facts);
        assert_eq!(codes(&check), ["registration-missing"]);
        assert!(check.findings[0].remedy.contains("--name rocm"), "{check:?}");
    }
}
