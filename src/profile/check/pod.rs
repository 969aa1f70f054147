//! Fields of the pod's spec.

use std::net::IpAddr;

use super::{Checker, Field, names, not_a_name};
use crate::profile::template::{DIND, RUNNER};

/// Fields that a profile must not set, and why.
const RESERVED: [(&str, &str); 8] = [
    ("nodeName", "would go past the scheduler; write nodeSelector {kubernetes.io/hostname: NAME}"),
    ("ephemeralContainers", "can only be added to a running pod; write containers"),
    ("priority", "the API server computes it; write priorityClassName"),
    ("resources", "would cap the runner and all that is added to it; write the containers' own"),
    ("os", "runner pods are Linux pods already; take it out"),
    ("overhead", "the API server takes it from the RuntimeClass; write runtimeClassName"),
    ("schedulingGates", "nothing opens a gate of a runner pod, so it would stay pending for ever"),
    ("serviceAccount", "is the old name of serviceAccountName; write that"),
];
/// The most nameservers, search domains and bytes of them in a pod
/// (`pkg/apis/core/validation`, `MaxDNSNameservers` and its neighbours).
const MAX_NAMESERVERS: usize = 3;
const MAX_SEARCHES: usize = 32;
const MAX_SEARCH_BYTES: usize = 2048;

impl Checker<'_> {
    pub(super) fn pod(&mut self, pod: &Field<'_>) {
        self.refuse(pod, &RESERVED);
        self.one_of(pod, "restartPolicy", &["Always", "OnFailure", "Never"]);
        self.one_of(pod, "preemptionPolicy", &["PreemptLowerPriority", "Never"]);
        self.range(pod, "terminationGracePeriodSeconds", 0, i64::MAX);
        self.range(pod, "activeDeadlineSeconds", 1, i64::from(i32::MAX));
        for key in ["priorityClassName", "runtimeClassName", "serviceAccountName", "schedulerName"]
        {
            self.subdomain(pod, key);
        }
        for key in ["hostname", "subdomain"] {
            self.label(pod, key);
        }
        self.subdomain(pod, "hostnameOverride");
        self.dns(pod);
        self.host_namespaces(pod);
        for (key, field) in pod.get("nodeSelector").iter().flat_map(Field::members) {
            if !names::is_qualified(key) {
                self.add(field.path.clone(), not_a_name(key, names::QUALIFIED));
            }
            let value = field.value.as_str().unwrap_or_default();
            if !names::is_label_value(value) {
                self.add(field.path, not_a_name(value, names::LABEL_VALUE));
            }
        }
        for toleration in pod.set("tolerations") {
            self.toleration(&toleration);
        }
        for secret in pod.keyed("imagePullSecrets", "name") {
            self.required_subdomain(&secret, "name");
        }
        for alias in pod.keyed("hostAliases", "ip") {
            let ip = alias.text("ip").unwrap_or_default();
            if ip.parse::<IpAddr>().is_err() {
                self.add(alias.path_to("ip"), format!("{ip:?} is not an IP address"));
            }
            for name in alias.texts("hostnames") {
                if !names::is_subdomain(name) {
                    self.add(alias.path_to("hostnames"), not_a_name(name, names::SUBDOMAIN));
                }
            }
        }
        for gate in pod.keyed("readinessGates", "conditionType") {
            self.form(&gate, "conditionType", names::is_qualified, names::QUALIFIED);
        }
        for claim in pod.keyed("resourceClaims", "name") {
            self.label(&claim, "name");
            self.exactly_one(&claim, &["resourceClaimName", "resourceClaimTemplateName"]);
            self.subdomain(&claim, "resourceClaimName");
            self.subdomain(&claim, "resourceClaimTemplateName");
        }
        if let Some(affinity) = pod.get("affinity") {
            self.affinity(&affinity);
        }
        self.topology_spread(pod);
        self.pod_security(pod);
        self.volumes(pod);
        self.containers(pod);
    }

    fn dns(&mut self, pod: &Field<'_>) {
        self.one_of(
            pod,
            "dnsPolicy",
            &["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"],
        );
        let config = pod.get("dnsConfig");
        let nameservers = config.as_ref().map(|config| config.texts("nameservers"));
        let nameservers = nameservers.unwrap_or_default();
        if pod.text("dnsPolicy") == Some("None") && nameservers.is_empty() {
            let message = "needs at least one of dnsConfig.nameservers";
            self.add(pod.path_to("dnsPolicy"), message);
        }
        let Some(config) = config else { return };
        if nameservers.len() > MAX_NAMESERVERS {
            let message = format!("a pod has at most {MAX_NAMESERVERS} nameservers");
            self.add(config.path_to("nameservers"), message);
        }
        for ip in nameservers.into_iter().filter(|ip| ip.parse::<IpAddr>().is_err()) {
            self.add(config.path_to("nameservers"), format!("{ip:?} is not an IP address"));
        }
        let searches = config.texts("searches");
        let bytes = searches.iter().map(|search| search.len() + 1).sum::<usize>();
        if searches.len() > MAX_SEARCHES || bytes > MAX_SEARCH_BYTES + 1 {
            let message = format!(
                "a pod has at most {MAX_SEARCHES} search domains and {MAX_SEARCH_BYTES} characters"
            );
            self.add(config.path_to("searches"), message);
        }
        for search in searches {
            let name = search.strip_suffix('.').unwrap_or(search).replace('_', "a");
            if search != "." && !names::is_subdomain(&name) {
                self.add(config.path_to("searches"), not_a_name(search, names::SUBDOMAIN));
            }
        }
        for option in config.keyed("options", "name") {
            self.required(&option, "name");
        }
    }

    /// The host's namespaces, and the user namespace that excludes them.
    fn host_namespaces(&mut self, pod: &Field<'_>) {
        if pod.flag("hostUsers") == Some(false) {
            for key in ["hostNetwork", "hostPID", "hostIPC"] {
                if pod.flag(key) == Some(true) {
                    let message = format!("cannot be false beside {key}: true");
                    self.add(pod.path_to("hostUsers"), message);
                }
            }
            let mut containers =
                ["initContainers", "containers"].iter().flat_map(|list| pod.keyed(list, "name"));
            if containers.any(|one| one.get("volumeDevices").is_some()) {
                self.add(pod.path_to("hostUsers"), "cannot be false beside volumeDevices");
            }
            let has_dind = ["initContainers", "containers"]
                .iter()
                .any(|list| pod.keyed(list, "name").iter().any(|one| one.name() == DIND));
            if has_dind {
                let message = "dockerd cannot run in a user namespace; take this out, or dind \
                               with dind.enabled: false";
                self.add(pod.path_to("hostUsers"), message);
            }
        }
        if pod.flag("hostPID") == Some(true) && pod.flag("shareProcessNamespace") == Some(true) {
            let message = "cannot be true beside hostPID: true";
            self.add(pod.path_to("shareProcessNamespace"), message);
        }
        if pod.flag("hostNetwork") == Some(true) && pod.get("hostnameOverride").is_some() {
            let message = "has no place beside hostNetwork: true, which takes the node's name";
            self.add(pod.path_to("hostnameOverride"), message);
        }
    }

    fn toleration(&mut self, toleration: &Field<'_>) {
        let key = toleration.text("key").unwrap_or_default();
        let value = toleration.text("value").unwrap_or_default();
        let exists = toleration.text("operator") == Some("Exists");
        self.one_of(toleration, "operator", &["", "Equal", "Exists"]);
        self.one_of(toleration, "effect", &["", "NoSchedule", "PreferNoSchedule", "NoExecute"]);
        if key.is_empty() {
            if !exists {
                let message = "without a key, operator must be Exists, which tolerates every taint";
                self.add(toleration.path.clone(), message);
            }
        } else if !names::is_qualified(key) {
            self.add(toleration.path_to("key"), not_a_name(key, names::QUALIFIED));
        }
        if exists && !value.is_empty() {
            let message = "has no place beside operator Exists; write operator: Equal";
            self.add(toleration.path_to("value"), message);
        } else if !names::is_label_value(value) {
            self.add(toleration.path_to("value"), not_a_name(value, names::LABEL_VALUE));
        }
        if toleration.number("tolerationSeconds").is_some()
            && toleration.text("effect") != Some("NoExecute")
        {
            let message = "only goes with effect: NoExecute";
            self.add(toleration.path_to("tolerationSeconds"), message);
        }
    }

    fn containers(&mut self, pod: &Field<'_>) {
        let init = pod.keyed("initContainers", "name");
        let ordinary = pod.keyed("containers", "name");
        for container in &init {
            if container.name() == RUNNER {
                let message = "the runner must be in containers, where ARC looks for it";
                self.add(container.path_to("name"), message);
            } else if ordinary.iter().any(|other| other.name() == container.name()) {
                let message =
                    format!("{:?} is in containers as well; choose another name", container.name());
                self.add(container.path_to("name"), message);
            }
            self.container(container, pod, true);
        }
        for container in &ordinary {
            self.container(container, pod, false);
        }
        self.host_ports(pod);
    }
}
