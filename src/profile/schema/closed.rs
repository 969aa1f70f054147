//! The fields of Kubernetes' types that a profile may have: those that real scale sets use, and
//! those that ROCm's own operators ask for. The types come from Kubernetes' schema; all other
//! fields of it are left out.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// In a pruned definition: the fields that Kubernetes has and profiles do not.
pub(super) const ELSEWHERE: &str = "x-elsewhere";
/// What the names of Kubernetes' definitions start with.
pub(super) const KUBERNETES: &str = "io.k8s.";

/// Type by type, the fields that profiles have.
#[rustfmt::skip]
const FIELDS: &[(&str, &[&str])] = &[
    ("PodTemplateSpec", &["metadata", "spec"]),
    ("ObjectMeta", &["annotations", "labels"]),
    ("PodSpec", &[
        // Where it runs.
        "affinity", "nodeSelector", "priorityClassName", "runtimeClassName", "schedulerName",
        "tolerations", "topologySpreadConstraints",
        // As what it runs.
        "hostIPC", "hostNetwork", "hostPID", "imagePullSecrets", "securityContext",
        "serviceAccountName",
        // Names and addresses.
        "dnsConfig", "dnsPolicy", "enableServiceLinks", "hostAliases",
        // How it ends.
        "restartPolicy", "terminationGracePeriodSeconds",
        // What is in it.
        "containers", "initContainers", "resourceClaims", "volumes",
    ]),
    ("Container", &[
        "args", "command", "env", "envFrom", "image", "imagePullPolicy", "lifecycle",
        "livenessProbe", "name", "ports", "readinessProbe", "resources", "restartPolicy",
        "securityContext", "startupProbe", "volumeMounts", "workingDir",
    ]),
    ("EnvVar", &["name", "value", "valueFrom"]),
    ("EnvVarSource", &["configMapKeyRef", "fieldRef", "resourceFieldRef", "secretKeyRef"]),
    ("ConfigMapKeySelector", &["key", "name", "optional"]),
    ("SecretKeySelector", &["key", "name", "optional"]),
    ("ObjectFieldSelector", &["apiVersion", "fieldPath"]),
    ("ResourceFieldSelector", &["containerName", "divisor", "resource"]),
    ("EnvFromSource", &["configMapRef", "prefix", "secretRef"]),
    ("ConfigMapEnvSource", &["name", "optional"]),
    ("SecretEnvSource", &["name", "optional"]),
    ("ContainerPort", &["containerPort", "name", "protocol"]),
    ("ResourceRequirements", &["claims", "limits", "requests"]),
    ("ResourceClaim", &["name", "request"]),
    ("VolumeMount", &["mountPath", "name", "readOnly", "subPath", "subPathExpr"]),
    ("Lifecycle", &["postStart", "preStop"]),
    ("LifecycleHandler", &["exec", "httpGet"]),
    ("Probe", &[
        "exec", "failureThreshold", "httpGet", "initialDelaySeconds", "periodSeconds",
        "successThreshold", "tcpSocket", "timeoutSeconds",
    ]),
    ("ExecAction", &["command"]),
    ("HTTPGetAction", &["path", "port", "scheme"]),
    ("TCPSocketAction", &["port"]),
    ("SecurityContext", &[
        "allowPrivilegeEscalation", "capabilities", "privileged", "readOnlyRootFilesystem",
        "runAsGroup", "runAsNonRoot", "runAsUser", "seccompProfile",
    ]),
    ("Capabilities", &["add", "drop"]),
    ("SeccompProfile", &["localhostProfile", "type"]),
    ("PodSecurityContext", &[
        "fsGroup", "runAsGroup", "runAsNonRoot", "runAsUser", "seccompProfile",
        "supplementalGroups",
    ]),
    ("Toleration", &["effect", "key", "operator", "tolerationSeconds", "value"]),
    ("TopologySpreadConstraint", &["labelSelector", "maxSkew", "topologyKey", "whenUnsatisfiable"]),
    ("Affinity", &["nodeAffinity", "podAffinity", "podAntiAffinity"]),
    ("NodeAffinity", &[
        "preferredDuringSchedulingIgnoredDuringExecution",
        "requiredDuringSchedulingIgnoredDuringExecution",
    ]),
    ("PodAffinity", &[
        "preferredDuringSchedulingIgnoredDuringExecution",
        "requiredDuringSchedulingIgnoredDuringExecution",
    ]),
    ("PodAntiAffinity", &[
        "preferredDuringSchedulingIgnoredDuringExecution",
        "requiredDuringSchedulingIgnoredDuringExecution",
    ]),
    ("NodeSelector", &["nodeSelectorTerms"]),
    ("NodeSelectorTerm", &["matchExpressions", "matchFields"]),
    ("NodeSelectorRequirement", &["key", "operator", "values"]),
    ("PreferredSchedulingTerm", &["preference", "weight"]),
    ("PodAffinityTerm", &["labelSelector", "namespaceSelector", "namespaces", "topologyKey"]),
    ("WeightedPodAffinityTerm", &["podAffinityTerm", "weight"]),
    ("LabelSelector", &["matchExpressions", "matchLabels"]),
    ("LabelSelectorRequirement", &["key", "operator", "values"]),
    ("LocalObjectReference", &["name"]),
    ("HostAlias", &["hostnames", "ip"]),
    ("PodDNSConfig", &["nameservers", "options", "searches"]),
    ("PodDNSConfigOption", &["name", "value"]),
    ("PodResourceClaim", &["name", "resourceClaimName", "resourceClaimTemplateName"]),
    ("Volume", &[
        "configMap", "csi", "emptyDir", "ephemeral", "hostPath", "name", "nfs",
        "persistentVolumeClaim", "projected", "secret",
    ]),
    ("ConfigMapVolumeSource", &["defaultMode", "items", "name", "optional"]),
    ("SecretVolumeSource", &["defaultMode", "items", "optional", "secretName"]),
    ("KeyToPath", &["key", "mode", "path"]),
    ("CSIVolumeSource", &[
        "driver", "fsType", "nodePublishSecretRef", "readOnly", "volumeAttributes",
    ]),
    ("EmptyDirVolumeSource", &["medium", "sizeLimit"]),
    ("EphemeralVolumeSource", &["volumeClaimTemplate"]),
    ("PersistentVolumeClaimTemplate", &["metadata", "spec"]),
    ("PersistentVolumeClaimSpec", &["accessModes", "resources", "storageClassName"]),
    ("VolumeResourceRequirements", &["requests"]),
    ("HostPathVolumeSource", &["path", "type"]),
    ("NFSVolumeSource", &["path", "readOnly", "server"]),
    ("PersistentVolumeClaimVolumeSource", &["claimName", "readOnly"]),
    ("ProjectedVolumeSource", &["defaultMode", "sources"]),
    ("VolumeProjection", &["configMap", "downwardAPI", "secret", "serviceAccountToken"]),
    ("ConfigMapProjection", &["items", "name", "optional"]),
    ("SecretProjection", &["items", "name", "optional"]),
    ("DownwardAPIProjection", &["items"]),
    ("DownwardAPIVolumeFile", &["fieldRef", "mode", "path"]),
    ("ServiceAccountTokenProjection", &["audience", "expirationSeconds", "path"]),
];

/// Takes the fields of Kubernetes' types that profiles do not have out of `document`, and the
/// definitions that nothing refers to any more.
pub(super) fn close(document: &mut Value) {
    let Some(Value::Object(mut definitions)) = document.get_mut("$defs").map(Value::take) else {
        return;
    };
    for (name, definition) in &mut definitions {
        let fields = name.strip_prefix(KUBERNETES).and_then(|name| fields_of(name));
        if let (Some(fields), Value::Object(definition)) = (fields, definition) {
            close_type(definition, fields);
        }
    }
    let mut kept = Map::new();
    let mut names = references(document);
    while let Some(name) = names.pop_first() {
        if let Some((name, definition)) = definitions.remove_entry(&name) {
            names.extend(references(&definition));
            kept.insert(name, definition);
        }
    }
    if let Value::Object(members) = document {
        members.insert("$defs".to_owned(), kept.into());
    }
}

/// The fields that profiles have of the type that ends in `name`.
fn fields_of(name: &str) -> Option<&'static [&'static str]> {
    let short = name.rsplit('.').next()?;
    FIELDS.iter().find(|(known, _)| *known == short).map(|(_, fields)| *fields)
}

fn close_type(definition: &mut Map<String, Value>, fields: &[&str]) {
    let Some(Value::Object(properties)) = definition.get_mut("properties") else { return };
    let has = |name: &str| fields.contains(&name);
    let elsewhere: Value = properties.keys().filter(|name| !has(name)).cloned().collect();
    properties.retain(|name, _| has(name));
    if let Some(Value::Array(required)) = definition.get_mut("required") {
        required.retain(|name| name.as_str().is_some_and(has));
    }
    definition.insert(ELSEWHERE.to_owned(), elsewhere);
}

/// The names of the definitions that `schema` refers to.
fn references(schema: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    match schema {
        Value::Object(members) => {
            for (key, value) in members {
                match value.as_str().and_then(|text| text.strip_prefix("#/$defs/")) {
                    Some(name) if key == "$ref" => {
                        names.insert(name.to_owned());
                    }
                    _ => names.extend(references(value)),
                }
            }
        }
        Value::Array(items) => names.extend(items.iter().flat_map(references)),
        _ => {}
    }
    names
}

#[cfg(test)]
mod tests {
    use schemars::schema_for;

    use super::*;
    use crate::profile::spec::RunnerProfileSpec;

    fn definitions(document: &Value) -> &Map<String, Value> {
        document["$defs"].as_object().unwrap()
    }

    #[test]
    fn closed_fields_exist_in_kubernetes() {
        let whole = schema_for!(RunnerProfileSpec).to_value();
        for (name, fields) in FIELDS {
            let found = definitions(&whole).iter().find(|(full, _)| {
                full.starts_with(KUBERNETES) && full.rsplit('.').next() == Some(name)
            });
            let (_, definition) = found.unwrap_or_else(|| panic!("no type {name}"));
            for field in *fields {
                assert!(definition["properties"].get(field).is_some(), "{name}.{field}");
            }
        }
    }

    #[test]
    fn kubernetes_types_in_use_are_closed() {
        let mut document = schema_for!(RunnerProfileSpec).to_value();
        close(&mut document);
        let mut count = 0;
        for (name, definition) in definitions(&document) {
            if name.starts_with(KUBERNETES) && definition.get("properties").is_some() {
                assert!(definition.get(ELSEWHERE).is_some(), "{name} is not in the list");
                count += 1;
            }
        }
        assert_eq!(count, FIELDS.len());
    }
}
