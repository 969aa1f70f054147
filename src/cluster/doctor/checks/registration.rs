//! The `MutatingWebhookConfiguration`: is it as `arc-rocm manifests` prints it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    annotations::INJECT,
    cluster::doctor::{
        Check, Code, Facts,
        facts::{list, text},
        gather::{excluded, ours},
        names::WEBHOOK,
    },
    podspec::RUNNER_LABEL,
};

const AGAIN: &str = "apply what arc-rocm manifests prints, or say there what differs";

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
    let Some(webhook) = registration.and_then(ours) else {
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
            Code::FailurePolicyIgnore,
            "failurePolicy is Ignore: without an answer runners come up without GPUs and Docker, \
             and fail their jobs",
            "use Fail: runners then wait for the webhook, and none is lost",
        );
    }
    if is("/reinvocationPolicy", "Never") == "Never" {
        check.add(
            Code::ReinvocationNever,
            "reinvocationPolicy is Never: what a later webhook changes is not completed",
            "use IfNeeded, as arc-rocm manifests does",
        );
    }
    let effects = is("/sideEffects", "");
    if !matches!(effects.as_str(), "None" | "NoneOnDryRun") {
        check.add(
            Code::SideEffectsDiffer,
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
        format!("there is no MutatingWebhookConfiguration {name}")
    };
    let remedy = match facts.other_registrations.first() {
        Some(other) => format!("{WEBHOOK} is registered in {other}: say --name {other}"),
        None => "apply what arc-rocm manifests prints; until then runners come up bare".to_owned(),
    };
    check.add(Code::RegistrationMissing, seen, remedy);
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
        check.add(Code::RulesDiffer, "no rule is about CREATE of pods in v1", AGAIN);
    }
}

/// Labels and expressions as words in one order, so that what means the same is the same.
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
    let told = |words: Vec<&String>| {
        words
            .into_iter()
            .map(|word| format!("{:?}", word.trim_end()))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let missing = told(wanted.difference(&has).collect());
    let further = told(has.difference(&wanted).collect());
    let mut seen = Vec::new();
    if !missing.is_empty() {
        seen.push(format!("lacks {missing}: the API server asks for pods that are none of ours"));
    }
    if !further.is_empty() {
        seen.push(format!("also asks for {further}: other runners come up bare"));
    }
    check.add(
        Code::ObjectSelectorDiffers,
        format!("objectSelector {}", seen.join(", and ")),
        AGAIN,
    );
}

fn namespace_selector(check: &mut Check, webhook: &Value, own: &str) {
    let excluded = excluded(webhook);
    // One that names what it wants excludes the rest.
    let named = words(webhook.get("namespaceSelector"))
        .iter()
        .any(|word| !word.contains(" NotIn ") && !word.contains(" DoesNotExist "));
    let missing: Vec<&str> =
        [own, "kube-system"].into_iter().filter(|name| !excluded.contains(name)).collect();
    if !missing.is_empty() && !named {
        check.add(
            Code::NamespaceSelectorDiffers,
            format!("namespaceSelector does not exclude {}", missing.join(" and ")),
            AGAIN,
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::doctor::testing::{codes, healthy};

    fn with(change: impl FnOnce(&mut Value)) -> Vec<&'static str> {
        let mut facts = healthy();
        let registration = facts.registration.as_mut().unwrap().as_mut().unwrap();
        change(registration.pointer_mut("/webhooks/0").unwrap());
        codes(&check(&facts))
    }

    #[test]
    fn what_manifests_prints_is_as_it_should_be() {
        assert!(with(|_| {}).is_empty());
    }

    #[test]
    fn each_difference_has_its_finding() {
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
    fn a_wildcard_and_another_order_are_no_difference() {
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
    fn a_registration_under_another_name_is_pointed_at() {
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
