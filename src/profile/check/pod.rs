//! Fields of the pod's spec.

use super::{Checker, Field};
use crate::profile::template::RUNNER;

/// The most nameservers, search domains and bytes of them in a pod
/// (`pkg/apis/core/validation`, `MaxDNSNameservers` and its neighbours).
const MAX_NAMESERVERS: usize = 3;
const MAX_SEARCHES: usize = 32;
const MAX_SEARCH_BYTES: usize = 2048;

impl Checker<'_> {
    pub(super) fn pod(&mut self, pod: &Field<'_>) {
        self.dns(pod);
        self.pod_security(pod);
        self.containers(pod);
        self.data_root(pod);
    }

    fn dns(&mut self, pod: &Field<'_>) {
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
        let searches = config.texts("searches");
        let bytes = searches.iter().map(|search| search.len() + 1).sum::<usize>();
        if searches.len() > MAX_SEARCHES || bytes > MAX_SEARCH_BYTES + 1 {
            let message = format!(
                "a pod has at most {MAX_SEARCHES} search domains and {MAX_SEARCH_BYTES} characters"
            );
            self.add(config.path_to("searches"), message);
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
