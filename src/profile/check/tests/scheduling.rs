//! Where a pod may run, and metadata.

use super::{In, refused};
use crate::profile::{File, ProfileSet};

#[test]
fn toleration_fields_must_agree() {
    refused(
        In::Pod,
        &[
            (
                "tolerations: [{key: a, operator: Exists, value: b}]",
                &[
                    "5:44: spec.template.spec.tolerations[0].value: has no place beside operator Exists; write operator: Equal",
                ],
            ),
            (
                "tolerations: [{key: a, operator: In, effect: NoRun, tolerationSeconds: 1}]",
                &[
                    r#"5:26: spec.template.spec.tolerations[0].operator: "In" is not one of Equal, Exists"#,
                    r#"5:40: spec.template.spec.tolerations[0].effect: "NoRun" is not one of NoSchedule, PreferNoSchedule, NoExecute"#,
                    "5:55: spec.template.spec.tolerations[0].tolerationSeconds: only goes with effect: NoExecute",
                ],
            ),
            (
                "tolerations: [{effect: NoSchedule}]",
                &[
                    "5:17: spec.template.spec.tolerations[0]: without a key, operator must be Exists, which tolerates every taint",
                ],
            ),
            (
                r#"tolerations: [{key: "a b", value: "c d"}]"#,
                &[
                    r#"5:18: spec.template.spec.tolerations[0].key: "a b" is not valid here: write at most 63 letters, digits, '-', '_' and '.', with a DNS subdomain and '/' before it or not"#,
                    r#"5:30: spec.template.spec.tolerations[0].value: "c d" is not valid here: write at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends"#,
                ],
            ),
        ],
    );
}

#[test]
fn topology_spread_and_affinity_must_be_valid() {
    refused(
        In::Pod,
        &[
            (
                r#"topologySpreadConstraints: [{maxSkew: 0, topologyKey: "a b", whenUnsatisfiable: Never}]"#,
                &[
                    "5:32: spec.template.spec.topologySpreadConstraints[0].maxSkew: 0 is below 1, the least",
                    r#"5:44: spec.template.spec.topologySpreadConstraints[0].topologyKey: "a b" is not valid here: write at most 63 letters, digits, '-', '_' and '.', with a DNS subdomain and '/' before it or not"#,
                    r#"5:64: spec.template.spec.topologySpreadConstraints[0].whenUnsatisfiable: "Never" is not one of DoNotSchedule, ScheduleAnyway"#,
                ],
            ),
            (
                "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: []}}}",
                &[
                    "5:29: spec.template.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution: needs at least one of nodeSelectorTerms",
                ],
            ),
            (
                r#"affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: In}, {key: "b c", operator: Exists, values: [d]}, {key: e, operator: Gt, values: [f]}, {key: g, operator: Is}], matchFields: [{key: metadata.name, operator: In, values: []}]}]}}}"#,
                &[
                    "5:118: spec.template.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0]: operator In needs at least one of values",
                    "5:142: spec.template.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[1]: operator Exists takes no values",
                    r#"5:143: spec.template.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[1].key: "b c" is not valid here: write at most 63 letters, digits, '-', '_' and '.', with a DNS subdomain and '/' before it or not"#,
                    "5:187: spec.template.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[2]: operator Gt needs exactly one whole number in values",
                    r#"5:233: spec.template.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[3].operator: "Is" is not one of In, NotIn, Exists, DoesNotExist, Gt, Lt"#,
                    "5:263: spec.template.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchFields[0]: needs exactly one of values",
                ],
            ),
            (
                r#"affinity: {podAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 0, podAffinityTerm: {topologyKey: "", namespaces: [A], labelSelector: {matchLabels: {"a b": "c d"}, matchExpressions: [{key: a, operator: Gt, values: ["1"]}]}}}]}}"#,
                &[
                    "5:79: spec.template.spec.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: 0 is below 1, the least",
                    "5:108: spec.template.spec.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.topologyKey: must not be empty: write at most 63 letters, digits, '-', '_' and '.', with a DNS subdomain and '/' before it or not",
                    r#"5:125: spec.template.spec.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.namespaces: "A" is not valid here: write at most 63 lower-case letters, digits and '-', with a letter or digit at both ends"#,
                    r#"5:172: spec.template.spec.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.labelSelector.matchLabels["a b"]: "a b" is not valid here: write at most 63 letters, digits, '-', '_' and '.', with a DNS subdomain and '/' before it or not"#,
                    r#"5:172: spec.template.spec.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.labelSelector.matchLabels["a b"]: "c d" is not valid here: write at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends"#,
                    r#"5:215: spec.template.spec.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.labelSelector.matchExpressions[0].operator: "Gt" is not one of In, NotIn, Exists, DoesNotExist"#,
                ],
            ),
        ],
    );
}

#[test]
fn match_selector_follows_the_rules_of_labels() {
    refused(
        In::Spec,
        &[(
            r#"match: {selector: {matchLabels: {"a b": c}, matchExpressions: [{key: a, operator: In}, {key: b, operator: Gt, values: ["1"]}]}}"#,
            &[
                r#"5:36: spec.match.selector.matchLabels["a b"]: "a b" is not valid here: write at most 63 letters, digits, '-', '_' and '.', with a DNS subdomain and '/' before it or not"#,
                "5:66: spec.match.selector.matchExpressions[0]: operator In needs at least one of values",
                r#"5:99: spec.match.selector.matchExpressions[1].operator: "Gt" is not one of In, NotIn, Exists, DoesNotExist"#,
            ],
        )],
    );
}

/// Each layer is checked where it is written, an inherited item is not reported again.
#[test]
fn inherited_toleration_is_refused_where_it_is_written() {
    let profile = |name: &str, spec: &str| {
        format!(
            "apiVersion: arc-rocm.dev/v1alpha1\nkind: RunnerProfile\nmetadata: {{name: {name}}}\nspec: {spec}\n"
        )
    };
    let base = profile("one", "{template: {spec: {tolerations: [{key: a, operator: In}]}}}");
    let text = base
        + "---\n"
        + &profile("two", "{extends: one, template: {spec: {tolerations: [{key: b}]}}}");
    let file = File { name: "p".to_owned(), text };
    let problems: Vec<String> =
        ProfileSet::compile(&[file]).unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        [r#"p:4:49: spec.template.spec.tolerations[0].operator: "In" is not one of Equal, Exists"#]
    );
}

#[test]
fn labels_and_annotations_follow_the_api_server() {
    refused(
        In::Template,
        &[
            (
                r#"metadata: {labels: {"a b": c, d: "e f"}, annotations: {"-a": b}}"#,
                &[
                    r#"5:23: spec.template.metadata.labels["a b"]: "a b" is not valid here: write at most 63 letters, digits, '-', '_' and '.', with a DNS subdomain and '/' before it or not"#,
                    r#"5:33: spec.template.metadata.labels.d: "e f" is not valid here: write at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends"#,
                    r#"5:58: spec.template.metadata.annotations.-a: "-a" is not valid here: write at most 63 letters, digits, '-', '_' and '.', with a DNS subdomain and '/' before it or not"#,
                ],
            ),
            (
                "metadata: {annotations: {container.apparmor.security.beta.kubernetes.io/runner: a, controller.kubernetes.io/Pod-Deletion-Cost: x, kubernetes.io/limit-ranger: z}}",
                &[
                    r#"5:28: spec.template.metadata.annotations["container.apparmor.security.beta.kubernetes.io/runner"]: container.apparmor.security.beta.kubernetes.io/runner is read by the API server or the kubelet; write it in the scale set's own template"#,
                    r#"5:86: spec.template.metadata.annotations["controller.kubernetes.io/Pod-Deletion-Cost"]: controller.kubernetes.io/Pod-Deletion-Cost is read by the API server or the kubelet; write it in the scale set's own template"#,
                    r#"5:133: spec.template.metadata.annotations["kubernetes.io/limit-ranger"]: kubernetes.io/limit-ranger is read by the API server or the kubelet; write it in the scale set's own template"#,
                ],
            ),
            (
                r#"metadata: {labels: {actions-ephemeral-runner: "True", actions.github.com/a: b}, annotations: {arc-rocm.dev/gpus: "8"}}"#,
                &[
                    "5:23: spec.template.metadata.labels.actions-ephemeral-runner: actions-ephemeral-runner belongs to ARC, which knows its pods by it",
                    r#"5:57: spec.template.metadata.labels["actions.github.com/a"]: actions.github.com/a belongs to ARC, which knows its pods by it"#,
                    r#"5:97: spec.template.metadata.annotations["arc-rocm.dev/gpus"]: arc-rocm.dev/gpus is for scale sets and for arc-rocm itself, not for profiles"#,
                ],
            ),
        ],
    );
}
