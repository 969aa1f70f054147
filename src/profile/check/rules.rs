//! Kubernetes' rules for one object, whatever is around it, by its type. Each object of a profile is
//! checked as it was written.

use std::net::IpAddr;

use serde_json::Value;

use super::{Field, MAX_ID, not_a_name};
use crate::{
    podspec::{Quantity, names},
    profile::{
        normal::text_of,
        report::{Part, Report},
        schema::{self, target::Target},
        template::GPUS,
    },
};

/// The rule of one field, where it is given.
#[derive(Clone, Copy)]
enum Rule {
    /// One of these words. The empty one is not shown.
    OneOf(&'static [&'static str]),
    /// A whole number, from the least to the most.
    Range(i64, i64),
    /// A text that the function accepts, and what that is.
    Form(fn(&str) -> bool, &'static str),
    /// A text, and what is wrong with it.
    Text(fn(&str) -> Option<String>),
    /// The name of another object, which must be given.
    Name,
    /// A text that must be given.
    Given,
    /// A quantity of bytes.
    Bytes,
    /// The mode of a file.
    Mode,
}

use Rule::{Bytes, Form, Given, Mode, Name, OneOf, Range, Text};

const INT_MAX: i64 = i32::MAX as i64;
const LABEL: Rule = Form(names::is_label, names::LABEL);
const SUBDOMAIN: Rule = Form(names::is_subdomain, names::SUBDOMAIN);
const QUALIFIED: Rule = Form(names::is_qualified, names::QUALIFIED);

/// Types, their fields, and the rule of each (`pkg/apis/core/validation`).
#[rustfmt::skip]
const FIELDS: &[(&[&str], &[&str], Rule)] = &[
    (&["PodSpec"], &["priorityClassName", "runtimeClassName", "serviceAccountName", "schedulerName"], SUBDOMAIN),
    (&["PodSpec"], &["dnsPolicy"], OneOf(&["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"])),
    (&["PodSpec"], &["terminationGracePeriodSeconds"], Range(0, i64::MAX)),
    (&["PodSpec"], &["restartPolicy"], Text(|text| (text != "Never").then(|| "a runner pod ends with its job: write Never".to_owned()))),
    (&["PodSecurityContext", "SecurityContext"], &["runAsUser", "runAsGroup", "fsGroup"], Range(0, MAX_ID)),
    (&["SeccompProfile"], &["type"], OneOf(&["RuntimeDefault", "Unconfined", "Localhost"])),
    (&["Toleration"], &["operator"], OneOf(&["", "Equal", "Exists"])),
    (&["Toleration"], &["effect"], OneOf(&["", "NoSchedule", "PreferNoSchedule", "NoExecute"])),
    (&["PreferredSchedulingTerm", "WeightedPodAffinityTerm"], &["weight"], Range(1, 100)),
    (&["PodAffinityTerm", "TopologySpreadConstraint"], &["topologyKey"], QUALIFIED),
    (&["TopologySpreadConstraint"], &["maxSkew"], Range(1, INT_MAX)),
    (&["TopologySpreadConstraint"], &["whenUnsatisfiable"], OneOf(&["DoNotSchedule", "ScheduleAnyway"])),
    (&["PodResourceClaim", "Container"], &["name"], LABEL),
    (&["PodResourceClaim"], &["resourceClaimName", "resourceClaimTemplateName"], SUBDOMAIN),
    (&["PodDNSConfigOption"], &["name"], Given),
    (&["Container", "Runner", "Dind"], &["image"], Text(bad_image)),
    (&["Container", "Runner", "Dind"], &["imagePullPolicy"], OneOf(&["Always", "IfNotPresent", "Never"])),
    (&["Dind"], &["gid"], Range(0, MAX_ID)),
    (&["ContainerPort"], &["containerPort"], Range(1, 65535)),
    (&["ContainerPort"], &["protocol"], OneOf(&["TCP", "UDP", "SCTP"])),
    (&["ContainerPort"], &["name"], Form(|name| name.is_empty() || names::is_port_name(name), names::PORT_NAME)),
    (&["HTTPGetAction", "TCPSocketAction"], &["port"], Range(1, 65535)),
    (&["HTTPGetAction", "TCPSocketAction"], &["port"], Form(names::is_port_name, names::PORT_NAME)),
    (&["HTTPGetAction"], &["scheme"], OneOf(&["HTTP", "HTTPS"])),
    (&["Probe"], &["initialDelaySeconds"], Range(0, INT_MAX)),
    (&["Probe"], &["periodSeconds", "timeoutSeconds", "failureThreshold", "successThreshold"], Range(1, INT_MAX)),
    (&["ObjectFieldSelector"], &["apiVersion"], OneOf(&["", "v1"])),
    (&["ResourceFieldSelector"], &["resource"], Text(bad_resource)),
    (&["EnvFromSource"], &["prefix"], Text(|text| (!text.is_empty()).then(|| bad_env_name(text)).flatten())),
    (&["ConfigMapKeySelector", "SecretKeySelector", "KeyToPath"], &["key"], Text(bad_data_key)),
    (&["ConfigMapKeySelector", "SecretKeySelector", "ConfigMapEnvSource", "SecretEnvSource", "ConfigMapVolumeSource", "ConfigMapProjection", "SecretProjection", "LocalObjectReference"], &["name"], Name),
    (&["SecretVolumeSource", "RegistryCredentials"], &["secretName"], Name),
    (&["PersistentVolumeClaimVolumeSource"], &["claimName"], Name),
    (&["CSIVolumeSource"], &["driver"], Name),
    (&["NFSVolumeSource"], &["server"], Given),
    (&["NFSVolumeSource", "HostPathVolumeSource"], &["path"], Text(bad_absolute_path)),
    (&["HostPathVolumeSource"], &["type"], OneOf(&["", "DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice"])),
    (&["EmptyDirVolumeSource"], &["sizeLimit"], Bytes),
    (&["KeyToPath", "DownwardAPIVolumeFile", "ServiceAccountTokenProjection"], &["path"], Text(bad_file)),
    (&["KeyToPath", "DownwardAPIVolumeFile", "ConfigMapVolumeSource", "SecretVolumeSource", "ProjectedVolumeSource"], &["mode", "defaultMode"], Mode),
    // 10 minutes to 2^32 seconds (`validateProjectedVolumeSource`).
    (&["ServiceAccountTokenProjection"], &["expirationSeconds"], Range(600, 1 << 32)),
    (&["VolumeMount", "SharedVolume", "SharedMount"], &["mountPath"], Text(bad_mount_path)),
    (&["DataRoot"], &["path"], Text(bad_mount_path)),
    (&["VolumeMount", "SharedVolume", "SharedMount", "DataRoot"], &["subPath", "subPathExpr"], Text(bad_relative_path)),
];

/// Types that have exactly one of these fields.
const EXACTLY_ONE: [(&str, &[&str]); 6] = [
    ("EnvVarSource", &["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef"]),
    ("EnvFromSource", &["configMapRef", "secretRef"]),
    ("Probe", &["exec", "httpGet", "tcpSocket"]),
    ("LifecycleHandler", &["exec", "httpGet"]),
    ("PodResourceClaim", &["resourceClaimName", "resourceClaimTemplateName"]),
    ("VolumeProjection", &["secret", "configMap", "downwardAPI", "serviceAccountToken"]),
];

/// Fields of a volume that are no source.
const NOT_SOURCES: [&str; 7] =
    ["also", "name", "mountPath", "readOnly", "subPath", "subPathExpr", "path"];
/// As long as a label, less the prefix that a volume gets whose name the pod has taken.
const MAX_VOLUME_NAME: usize = 54;
const VOLUME_NAME: &str = "at most 54 lower-case letters, digits and '-', with a letter or digit at \
                           both ends";
/// Prefixes of volumes that others name: ours, and those of the service account admission plugin.
const TAKEN: [&str; 2] = ["arc-rocm-", "kube-api-access-"];
/// Characters that a reference to an image consists of, beside letters and digits.
const IMAGE_MARKS: [char; 6] = ['.', '-', '_', '/', ':', '@'];

/// Fields that a variable can have as its value.
const ENV_FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// Fields that a file of a volume can have as its content.
const FILE_FIELDS: [&str; 5] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "metadata.labels",
    "metadata.annotations",
];

/// Checks each object of a spec as it was written.
pub(in crate::profile) fn written(spec: &Value, report: &mut Report<'_>) {
    let document = schema::spec().as_value();
    let mut rules = Rules { document, report };
    rules.walk(&Field { value: spec, path: vec![Part::from("spec")] }, document);
}

struct Rules<'s, 'r, 'd> {
    /// The whole schema, which references point into.
    document: &'s Value,
    report: &'r mut Report<'d>,
}

impl<'s> Rules<'s, '_, '_> {
    fn walk(&mut self, field: &Field<'_>, schema: &'s Value) {
        let Some(target) = Target::resolve(self.document, schema) else { return };
        match field.value {
            Value::Object(_) => {
                self.object(target.short_name().unwrap_or_default(), field);
                for (key, member) in field.members() {
                    if let Some(schema) = target.field(key) {
                        self.walk(&member, schema);
                    }
                }
            }
            Value::Array(items) => {
                for (index, value) in items.iter().enumerate() {
                    let path = [field.path.as_slice(), &[Part::Index(index)]].concat();
                    if let Some(schema) = target.items() {
                        self.walk(&Field { value, path }, schema);
                    }
                }
            }
            _ => {}
        }
    }

    fn object(&mut self, kind: &str, object: &Field<'_>) {
        for (_, fields, rule) in FIELDS.iter().filter(|(kinds, ..)| kinds.contains(&kind)) {
            for key in *fields {
                self.field(object, key, *rule);
            }
        }
        for (_, keys) in EXACTLY_ONE.iter().filter(|(one, _)| *one == kind) {
            self.exactly_one(object, keys);
        }
        match kind {
            "PodSpec" => self.labels(object, "nodeSelector"),
            "PodSecurityContext" => {
                for group in object.list("supplementalGroups") {
                    if group.value.as_i64().is_some_and(|id| !(0..=MAX_ID).contains(&id)) {
                        let message = format!("{} is not between 0 and {MAX_ID}", group.value);
                        self.add(&group.path, message);
                    }
                }
            }
            "SeccompProfile" => self.seccomp(object),
            "Toleration" => self.toleration(object),
            "NodeSelector" if object.list("nodeSelectorTerms").is_empty() => {
                self.add(&object.path, "needs at least one of nodeSelectorTerms");
            }
            "NodeSelectorTerm" => self.node_term(object),
            "LabelSelector" => {
                self.labels(object, "matchLabels");
                for expression in object.list("matchExpressions") {
                    self.expression(&expression, &["In", "NotIn", "Exists", "DoesNotExist"]);
                }
            }
            "PodAffinityTerm" => self.texts(object, "namespaces", LABEL),
            "HostAlias" => {
                self.field(object, "ip", Text(bad_address));
                self.texts(object, "hostnames", SUBDOMAIN);
            }
            "PodDNSConfig" => {
                self.texts(object, "nameservers", Text(bad_address));
                self.texts(object, "searches", Form(is_search, names::SUBDOMAIN));
            }
            "Gpu" => self.gpu_claim(object),
            "EnvVar" => {
                self.field(object, "name", Text(bad_env_name));
                if object.get("valueFrom").is_some()
                    && object.text("value").is_some_and(|value| !value.is_empty())
                {
                    self.add(&object.path, "write only one of value, valueFrom");
                }
            }
            "ObjectFieldSelector" => self.field_path(object),
            "ResourceFieldSelector" => {
                let divisor = object.value.get("divisor").and_then(text_of);
                if let Some(Err(error)) = divisor.map(|divisor| divisor.parse::<Quantity>()) {
                    self.add(&object.path_to("divisor"), error.to_string());
                }
            }
            "ExecAction" if object.texts("command").is_empty() => {
                self.add(&object.path, "needs a command");
            }
            "Probe" => {
                if let Some(Part::Key(key)) = object.path.last()
                    && key != "readinessProbe"
                    && object.number("successThreshold").is_some_and(|n| n > 1)
                {
                    let message = format!("must be 1 in a {key}");
                    self.add(&object.path_to("successThreshold"), message);
                }
            }
            "VolumeMount" | "SharedMount" => self.sub_path(object),
            "Volume" => self.volume(object),
            "SharedVolume" => {
                self.volume(object);
                self.sub_path(object);
            }
            "DataRoot" => {
                self.one_source(object);
            }
            "EmptyDirVolumeSource" if !object.text("medium").is_some_and(is_huge_pages) => {
                let known = &["", "Memory", "HugePages", "HugePages-SIZE"];
                self.field(object, "medium", OneOf(known));
            }
            "EphemeralVolumeSource" if object.get("volumeClaimTemplate").is_none() => {
                self.add(&object.path, "needs a volumeClaimTemplate");
            }
            "PersistentVolumeClaimSpec" => self.claim(object),
            "DownwardAPIVolumeFile" if object.get("fieldRef").is_none() => {
                self.add(&object.path, "needs a fieldRef");
            }
            _ => {}
        }
    }

    fn add(&mut self, path: &[Part], message: impl Into<String>) {
        self.report.add(path, message);
    }

    fn field(&mut self, object: &Field<'_>, key: &str, rule: Rule) {
        let path = &object.path_to(key);
        match (rule, object.text(key)) {
            (Range(..) | Mode, _) => {
                if let Some(number) = object.number(key) {
                    self.range(path, number, rule);
                }
            }
            (Bytes, _) => {
                if let Some(text) = object.value.get(key).and_then(text_of) {
                    self.bytes(path, &text);
                }
            }
            (Name | Given, None | Some("")) => {
                self.add(&object.path, format!("{key} is required"));
            }
            (Name, _) => self.field(object, key, SUBDOMAIN),
            (_, Some(text)) => self.text(path, text, rule),
            (_, None) => {}
        }
    }

    fn text(&mut self, path: &[Part], text: &str, rule: Rule) {
        match rule {
            OneOf(allowed) if !allowed.contains(&text) => {
                let shown: Vec<&str> =
                    allowed.iter().copied().filter(|one| !one.is_empty()).collect();
                self.add(path, format!("{text:?} is not one of {}", shown.join(", ")));
            }
            Form(is, form) if !is(text) => self.add(path, not_a_name(text, form)),
            Text(wrong) => {
                if let Some(message) = wrong(text) {
                    self.add(path, message);
                }
            }
            _ => {}
        }
    }

    fn range(&mut self, path: &[Part], number: i64, rule: Rule) {
        match rule {
            Mode if !(0..=0o777).contains(&number) => {
                self.add(path, format!("0{number:o} is no mode of a file: write 0000 to 0777"));
            }
            Range(low, _) if number < low => {
                self.add(path, format!("{number} is below {low}, the least"));
            }
            Range(_, high) if number > high => {
                self.add(path, format!("{number} is above {high}, the most"));
            }
            _ => {}
        }
    }

    fn bytes(&mut self, path: &[Part], text: &str) {
        match text.parse::<Quantity>() {
            Err(error) => self.add(path, error.to_string()),
            Ok(amount) if amount.is_negative() => {
                self.add(path, format!("{text:?} must not be negative"));
            }
            Ok(_) => {}
        }
    }

    /// The texts of the list `key`.
    fn texts(&mut self, object: &Field<'_>, key: &str, rule: Rule) {
        for text in object.texts(key) {
            self.text(&object.path_to(key), text, rule);
        }
    }

    /// The labels of the map `key`.
    fn labels(&mut self, object: &Field<'_>, key: &str) {
        for (key, label) in object.get(key).iter().flat_map(Field::members) {
            self.text(&label.path, key, QUALIFIED);
            let value = label.value.as_str().unwrap_or_default();
            self.text(&label.path, value, Form(names::is_label_value, names::LABEL_VALUE));
        }
    }

    fn exactly_one(&mut self, object: &Field<'_>, keys: &[&str]) {
        let given: Vec<&str> =
            keys.iter().copied().filter(|key| object.get(key).is_some()).collect();
        match given.as_slice() {
            [_] => {}
            [] => self.add(&object.path, format!("write one of {}", keys.join(", "))),
            more => {
                self.add(&object.path, format!("write only one of {}", more.join(", ")));
            }
        }
    }

    fn seccomp(&mut self, profile: &Field<'_>) {
        let is_local = profile.text("type") == Some("Localhost");
        match profile.text("localhostProfile") {
            None | Some("") if is_local => {
                self.add(&profile.path, "type Localhost needs a localhostProfile");
            }
            Some(_) if !is_local => {
                let message = "only goes with type: Localhost";
                self.add(&profile.path_to("localhostProfile"), message);
            }
            _ => self.field(profile, "localhostProfile", Text(bad_relative_path)),
        }
    }

    fn toleration(&mut self, toleration: &Field<'_>) {
        let key = toleration.text("key").unwrap_or_default();
        let exists = toleration.text("operator") == Some("Exists");
        if !key.is_empty() {
            self.text(&toleration.path_to("key"), key, QUALIFIED);
        } else if !exists {
            let message = "without a key, operator must be Exists, which tolerates every taint";
            self.add(&toleration.path, message);
        }
        if exists && toleration.text("value").is_some_and(|value| !value.is_empty()) {
            let message = "has no place beside operator Exists; write operator: Equal";
            self.add(&toleration.path_to("value"), message);
        } else {
            self.field(toleration, "value", Form(names::is_label_value, names::LABEL_VALUE));
        }
        if toleration.number("tolerationSeconds").is_some()
            && toleration.text("effect") != Some("NoExecute")
        {
            let message = "only goes with effect: NoExecute";
            self.add(&toleration.path_to("tolerationSeconds"), message);
        }
    }

    fn node_term(&mut self, term: &Field<'_>) {
        for expression in term.list("matchExpressions") {
            let operators = &["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"];
            self.expression(&expression, operators);
        }
        for expression in term.list("matchFields") {
            self.field(&expression, "key", OneOf(&["metadata.name"]));
            self.field(&expression, "operator", OneOf(&["In", "NotIn"]));
            if expression.texts("values").len() != 1 {
                self.add(&expression.path, "needs exactly one of values");
            }
        }
    }

    /// An operator with as many values as it takes.
    fn expression(&mut self, expression: &Field<'_>, operators: &'static [&'static str]) {
        self.field(expression, "key", QUALIFIED);
        self.field(expression, "operator", OneOf(operators));
        let values = expression.texts("values");
        let operator = expression.text("operator").unwrap_or_default();
        let message = match operator {
            "In" | "NotIn" if values.is_empty() => "needs at least one of values",
            "Exists" | "DoesNotExist" if !values.is_empty() => "takes no values",
            "Gt" | "Lt" if !matches!(values.as_slice(), [one] if one.parse::<i64>().is_ok()) => {
                "needs exactly one whole number in values"
            }
            _ => "",
        };
        if !message.is_empty() {
            self.add(&expression.path, format!("operator {operator} {message}"));
        }
        self.texts(expression, "values", Form(names::is_label_value, names::LABEL_VALUE));
    }

    /// The name of a claim's template, whatever number of GPUs is in it.
    fn gpu_claim(&mut self, gpu: &Field<'_>) {
        if let Some(name) = gpu.text("resourceClaimTemplateName")
            && !names::is_subdomain(&name.replace(GPUS, "1"))
        {
            let path = &gpu.path_to("resourceClaimTemplateName");
            self.add(path, not_a_name(name, names::SUBDOMAIN));
        }
    }

    fn field_path(&mut self, field: &Field<'_>) {
        let is_file = field.path.contains(&Part::from("downwardAPI"));
        let known: &[&str] = if is_file { &FILE_FIELDS } else { &ENV_FIELDS };
        let path = field.text("fieldPath").unwrap_or_default();
        let key = ["metadata.labels['", "metadata.annotations['"]
            .iter()
            .find_map(|prefix| path.strip_prefix(prefix)?.strip_suffix("']"));
        if !known.contains(&path) && !key.is_some_and(names::is_qualified) {
            let message = format!(
                "{path:?} is not one of {}, metadata.labels['KEY'], metadata.annotations['KEY']",
                known.join(", ")
            );
            self.add(&field.path_to("fieldPath"), message);
        }
    }

    fn sub_path(&mut self, mount: &Field<'_>) {
        let given = |key| mount.text(key).is_some_and(|text| !text.is_empty());
        if given("subPath") && given("subPathExpr") {
            self.add(&mount.path, "write only one of subPath, subPathExpr");
        }
    }

    fn volume(&mut self, volume: &Field<'_>) {
        let name = volume.name();
        if name.len() > MAX_VOLUME_NAME || !names::is_label(name) {
            self.add(&volume.path_to("name"), not_a_name(name, VOLUME_NAME));
        } else if let Some(prefix) = TAKEN.iter().find(|prefix| name.starts_with(**prefix)) {
            let message = format!("names that start with {prefix} are taken; choose another");
            self.add(&volume.path_to("name"), message);
        }
        if self.one_source(volume) == 0 {
            self.add(&volume.path, "needs a source, such as emptyDir: {}");
        }
    }

    /// Checks that a volume has not several sources. Returns how many it has.
    fn one_source(&mut self, volume: &Field<'_>) -> usize {
        let members = volume.members().into_iter().map(|(key, _)| key);
        let sources: Vec<&str> = members.filter(|key| !NOT_SOURCES.contains(key)).collect();
        if sources.len() > 1 {
            self.add(&volume.path, format!("write only one of {}", sources.join(", ")));
        }
        sources.len()
    }

    fn claim(&mut self, claim: &Field<'_>) {
        let modes = claim.texts("accessModes");
        if modes.is_empty() {
            self.add(&claim.path, "needs accessModes, such as [ReadWriteOnce]");
        } else if modes.contains(&"ReadWriteOncePod") && modes.len() > 1 {
            self.add(&claim.path_to("accessModes"), "ReadWriteOncePod must be the only one");
        }
        let known = &["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"];
        self.texts(claim, "accessModes", OneOf(known));
        if claim.text("storageClassName").is_some_and(|name| !name.is_empty()) {
            self.field(claim, "storageClassName", SUBDOMAIN);
        }
        let requests = claim.get("resources").and_then(|resources| resources.get("requests"));
        let storage = requests.as_ref().and_then(|requests| requests.get("storage"));
        match storage.as_ref().and_then(|storage| text_of(storage.value)) {
            None => {
                let message = "needs resources.requests.storage, such as 100Gi";
                self.add(&claim.path, message);
            }
            Some(text) => {
                let path = &storage.map(|storage| storage.path).unwrap_or_default();
                if text.parse().is_ok_and(|amount: Quantity| amount.is_zero()) {
                    self.add(path, "must be above 0");
                } else {
                    self.bytes(path, &text);
                }
            }
        }
    }
}

pub(crate) fn bad_image(image: &str) -> Option<String> {
    let message = if image.is_empty() {
        "must not be empty"
    } else if image.contains("://") {
        "must be without a scheme, such as ghcr.io/OWNER/NAME:TAG"
    } else if image.contains(|c: char| !c.is_ascii_alphanumeric() && !IMAGE_MARKS.contains(&c)) {
        "has a character that no image has; write it such as ghcr.io/OWNER/NAME:TAG"
    } else if repository(image).contains(|c: char| c.is_ascii_uppercase()) {
        "must be lower-case before its tag"
    } else {
        return None;
    };
    Some(format!("{image:?} {message}"))
}

/// The part of an image that must be lower-case: without registry, tag and digest.
fn repository(image: &str) -> &str {
    let image = image.split_once('@').map_or(image, |(name, _)| name);
    let path = match image.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => path,
        _ => image,
    };
    path.split_once(':').map_or(path, |(name, _)| name)
}

fn bad_address(ip: &str) -> Option<String> {
    ip.parse::<IpAddr>().is_err().then(|| format!("{ip:?} is not an IP address"))
}

/// Whether a search domain is one: a subdomain, in which resolvers also know `_`.
fn is_search(search: &str) -> bool {
    let name = search.strip_suffix('.').unwrap_or(search).replace('_', "a");
    search == "." || names::is_subdomain(&name)
}

fn bad_env_name(name: &str) -> Option<String> {
    match name {
        "" => Some("must not be empty".to_owned()),
        _ if names::is_env_name(name) => None,
        _ => Some(format!("{name:?} must be printable ASCII without '='")),
    }
}

fn bad_resource(resource: &str) -> Option<String> {
    let name = resource.strip_prefix("limits.").or_else(|| resource.strip_prefix("requests."));
    let is_known = name.is_some_and(|name| {
        matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-")
    });
    (!is_known).then(|| {
        format!(
            "{resource:?} is not requests. or limits. of cpu, memory, ephemeral-storage or \
             hugepages-SIZE"
        )
    })
}

fn bad_data_key(key: &str) -> Option<String> {
    (!names::is_data_key(key)).then(|| {
        format!(
            "{key:?} is no key of a ConfigMap or Secret: write letters, digits, '-', '_' and '.'"
        )
    })
}

/// A size of huge pages as a medium.
fn is_huge_pages(medium: &str) -> bool {
    medium.strip_prefix("HugePages-").is_some_and(|size| {
        size.parse::<Quantity>().is_ok_and(|size| !size.is_zero() && !size.is_negative())
    })
}

fn bad_absolute_path(path: &str) -> Option<String> {
    match path {
        _ if !path.starts_with('/') => Some(format!("{path:?} must be an absolute path")),
        _ => bad_steps(path),
    }
}

fn bad_relative_path(path: &str) -> Option<String> {
    match path {
        _ if path.starts_with('/') => {
            Some(format!("{path:?} must be relative, without '/' at its start"))
        }
        _ => bad_steps(path),
    }
}

fn bad_steps(path: &str) -> Option<String> {
    path.split('/').any(|part| part == "..").then(|| format!("{path:?} must not contain '..'"))
}

/// A file in a volume.
fn bad_file(path: &str) -> Option<String> {
    if path.is_empty() {
        return Some("must not be empty".to_owned());
    }
    let starts = path.starts_with("..").then(|| "must not start with '..'".to_owned());
    bad_relative_path(path).or(starts)
}

fn bad_mount_path(path: &str) -> Option<String> {
    Some(if !path.starts_with('/') {
        format!("{path:?} must be absolute, such as /{path}")
    } else if path.trim_end_matches('/').is_empty() {
        format!("{path:?} would hide the image itself; write a directory below /")
    } else if path.contains(':') {
        format!("{path:?} must not contain ':'")
    } else {
        return bad_steps(path);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_of_types_and_fields_that_profiles_have() {
        let document = schema::spec().as_value();
        let definition = |kind: &str| {
            let all = document["$defs"].as_object().unwrap();
            let found = all.iter().find(|(name, _)| name.rsplit('.').next() == Some(kind));
            &found.unwrap_or_else(|| panic!("no type {kind}")).1["properties"]
        };
        for (kinds, fields, _) in FIELDS {
            for field in *fields {
                assert!(kinds.iter().any(|kind| definition(kind).get(field).is_some()), "{field}");
            }
            let has_one =
                |kind: &&str| fields.iter().any(|one| definition(kind).get(one).is_some());
            assert!(kinds.iter().all(has_one), "{kinds:?}");
        }
        for (kind, fields) in EXACTLY_ONE {
            for field in fields {
                assert!(definition(kind).get(field).is_some(), "{kind}.{field}");
            }
        }
    }
}
