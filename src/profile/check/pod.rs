//! Fields of the pod's spec.

use std::net::IpAddr;

use super::{Checker, Field, names, not_a_name};
use crate::profile::template::RUNNER;

/// The most nameservers, search domains and bytes of them in a pod
/// (`pkg/apis/core/validation`, `MaxDNSNameservers` and its neighbours).
const MAX_NAMESERVERS: usize = 3;
const MAX_SEARCHES: usize = 32;
const MAX_SEARCH_BYTES: usize = 2048;

impl Checker<'_> {
    pub(super) fn pod(&mut self, pod: &Field<'_>) {
        if pod.text("restartPolicy").is_some_and(|policy| policy != "Never") {
            let message = "a runner pod ends with its job: write Never";
            self.add(pod.path_to("restartPolicy"), message);
        }
        self.range(pod, "terminationGracePeriodSeconds", 0, i64::MAX);
        for key in ["priorityClassName", "runtimeClassName", "serviceAccountName", "schedulerName"]
        {
            self.subdomain(pod, key);
        }
        self.dns(pod);
        self.selected_labels(pod, "nodeSelector");
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
        self.data_root(pod);
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
