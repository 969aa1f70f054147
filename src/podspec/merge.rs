//! How two values of one field are merged: Kubernetes' list keys, and its defaults.

use super::Json;

/// How a field is merged.
#[derive(Clone, Copy, Debug)]
pub enum Merge {
    /// As a whole: a scalar, a union such as a probe, or a list without keys.
    Atomic,
    /// Key by key; the function gives each key's own rule.
    Map(fn(&str) -> Self),
    /// A list whose items have no identity but themselves.
    Set,
    /// The same, of which the API server takes no more than so many.
    AtMost(usize),
    /// A list whose items are the same when these fields are.
    Keyed(&'static [&'static str]),
}

/// The rule of a field of `spec`. Containers and volumes have code of their own.
pub fn pod_field(field: &str) -> Merge {
    match field {
        "nodeSelector" | "affinity" | "overhead" => Merge::Map(|_| Merge::Atomic),
        "securityContext" => Merge::Map(security_field),
        "dnsConfig" => Merge::Map(|field| match field {
            // `MaxDNSNameservers` and `MaxDNSSearchPaths`.
            "nameservers" => Merge::AtMost(3),
            "searches" => Merge::AtMost(32),
            "options" => Merge::Keyed(&["name"]),
            _ => Merge::Atomic,
        }),
        "tolerations" => Merge::Set,
        "imagePullSecrets" | "resourceClaims" | "schedulingGates" => Merge::Keyed(&["name"]),
        "hostAliases" => Merge::Keyed(&["ip"]),
        "readinessGates" => Merge::Keyed(&["conditionType"]),
        "topologySpreadConstraints" => Merge::Keyed(&["topologyKey", "whenUnsatisfiable"]),
        _ => Merge::Atomic,
    }
}

/// The rule of a field of a container.
pub fn container_field(field: &str) -> Merge {
    match field {
        "securityContext" => Merge::Map(security_field),
        "envFrom" => Merge::Set,
        "env" => Merge::Keyed(&["name"]),
        "ports" => Merge::Keyed(&["containerPort", "protocol"]),
        "volumeMounts" => Merge::Keyed(&["mountPath"]),
        "volumeDevices" => Merge::Keyed(&["devicePath"]),
        "resizePolicy" => Merge::Keyed(&["resourceName"]),
        _ => Merge::Atomic,
    }
}

fn security_field(field: &str) -> Merge {
    match field {
        "supplementalGroups" => Merge::Set,
        "sysctls" => Merge::Keyed(&["name"]),
        "capabilities" => Merge::Map(|_| Merge::Set),
        _ => Merge::Atomic,
    }
}

/// Whose field it is: a name means something else in each.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Owner {
    /// `spec`
    Pod,
    /// A container.
    Container,
    /// Something below them, such as a node selector, in which every text has a meaning.
    Other,
}

/// Whether `there` is a default of the API server (or of ARC's chart, for the service account), so that
/// it counts as not written. Sources: `k8s.io/kubernetes`
/// `pkg/apis/core/v1/defaults.go`; ARC's chart `templates/_helpers.tpl`.
pub fn is_default(owner: Owner, field: &str, there: &Json<'_>) -> bool {
    match (owner, field, there) {
        (Owner::Pod, "restartPolicy", Json::String(text)) => text == "Always",
        (Owner::Pod, "dnsPolicy", Json::String(text)) => text == "ClusterFirst",
        (Owner::Pod, "schedulerName", Json::String(text)) => text == "default-scheduler",
        (Owner::Pod, "serviceAccountName" | "serviceAccount", Json::String(text)) => {
            text.ends_with("-no-permission") || text == "default"
        }
        (Owner::Pod, "terminationGracePeriodSeconds", Json::Number(seconds)) => {
            seconds.as_i64() == Some(30)
        }
        (Owner::Pod, "enableServiceLinks", Json::Bool(flag)) => *flag,
        (Owner::Container, "terminationMessagePath", Json::String(text)) => {
            text == "/dev/termination-log"
        }
        (Owner::Container, "terminationMessagePolicy", Json::String(text)) => text == "File",
        (Owner::Pod | Owner::Container, _, Json::String(text)) => text.is_empty(),
        (_, _, Json::Array(items)) => items.is_empty(),
        (_, _, Json::Object(members)) => members.is_empty(),
        _ => false,
    }
}
