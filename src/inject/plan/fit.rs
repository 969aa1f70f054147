//! What must fit beside the rest of the pod: ports, the host's network, resize policies.

use std::borrow::Cow;

use serde_json::Value;

use super::{
    ConflictCode, Place, Planner, Reason, Winner, all_containers,
    field::At,
    list,
    security::{OWN_USERS, of_network},
    text,
};
use crate::{
    inject::patch::Step,
    podspec::{
        Json,
        merge::{Owner, container_field, is_default, same_item},
    },
    profile::template::name_of,
};

impl<'p> Planner<'p> {
    /// Ports by number and protocol; a port whose name or host port is taken stays out, because
    /// the API server wants both to be unique.
    pub(super) fn ports(&mut self, place: Place<'p>, wanted: &[Value]) {
        for wanted in wanted {
            let there = place.container.list("ports");
            if there.iter().any(|port| same_item(port, wanted, &["containerPort", "protocol"])) {
                continue;
            }
            let name = name_of(wanted);
            let name_taken = !name.is_empty() && there.iter().any(|port| port.text("name") == name);
            if name_taken || self.host_port_taken(wanted) {
                let number =
                    wanted.get("containerPort").and_then(Value::as_i64).unwrap_or_default();
                self.kept(ConflictCode::PortTaken, place.label(&format!(".ports[{number}]")));
            } else {
                self.edits.append(
                    &place.steps(&[Step::Key("ports")]),
                    wanted.clone(),
                    Reason::Profile,
                );
            }
        }
    }

    fn host_port_taken(&self, wanted: &Value) -> bool {
        let on_host = self.is_on_host_network();
        let number = |field| wanted.get(field).and_then(Value::as_i64).unwrap_or_default();
        let port = number("containerPort");
        let host_port = match number("hostPort") {
            0 if on_host => port,
            host_port => host_port,
        };
        if host_port == 0 {
            return false;
        }
        // On the host's network a port is itself or nothing.
        (on_host && host_port != port)
            || all_containers(self.spec).any(|place| {
                place.container.list("ports").iter().any(|port| {
                    host_port_of(port, on_host) == host_port
                        && same_item(port, wanted, &["protocol"])
                })
            })
    }

    /// Whether the pod ends up in the host's network.
    pub(super) fn is_on_host_network(&self) -> bool {
        let wanted = self.template.spec.get("hostNetwork").and_then(Value::as_bool);
        match self.spec.get("hostNetwork").and_then(Json::as_bool) {
            Some(there) => there,
            None => wanted == Some(true) && self.host_network_obstacle().is_none(),
        }
    }

    /// What speaks against the host's network, where every port is a host port.
    pub(super) fn host_network_obstacle(&self) -> Option<&'static str> {
        if self.has_own_users() {
            return Some(OWN_USERS);
        }
        let sysctls = self.spec.at(&["securityContext", "sysctls"]).map(Json::items);
        if sysctls.unwrap_or_default().iter().any(|sysctl| of_network(sysctl.text("name"))) {
            return Some("sysctls of the network");
        }
        let mut seen = Vec::new();
        for port in all_containers(self.spec).flat_map(|place| place.container.list("ports")) {
            let number = host_port_of(port, true);
            let protocol = match port.text("protocol") {
                "" => "TCP",
                protocol => protocol,
            };
            if number != number_of(port, "containerPort") {
                return Some("a hostPort that is not the containerPort");
            }
            if seen.contains(&(number, protocol)) {
                return Some("one port for two containers");
            }
            seen.push((number, protocol));
        }
        None
    }

    /// Takes host ports that the pod already uses out of a new container.
    pub(super) fn fit_ports(&mut self, container: &mut Cow<'_, Value>) {
        if !list(container, "ports").iter().any(|port| self.host_port_taken(port)) {
            return;
        }
        let name = name_of(container).to_owned();
        let Value::Object(members) = container.to_mut() else { return };
        if let Some(Value::Array(ports)) = members.get_mut("ports") {
            ports.retain(|port| !self.host_port_taken(port));
        }
        self.kept(ConflictCode::PortTaken, format!("spec[{name}].ports"));
    }

    /// Whether the pod's containers end for good. A resize that restarts a container is refused
    /// then (`validateContainerResizePolicy`).
    fn never_restarts(&self) -> bool {
        let there = self.spec.get("restartPolicy");
        match there.filter(|there| !is_default(Owner::Pod, "restartPolicy", there)) {
            Some(there) => there.as_str() == Some("Never"),
            None => {
                self.template.spec.get("restartPolicy").is_some_and(|wanted| wanted == "Never")
                    && !self.resizes_by_restart()
            }
        }
    }

    /// Whether the author has a container that is restarted to be resized.
    pub(super) fn resizes_by_restart(&self) -> bool {
        all_containers(self.spec)
            .flat_map(|place| place.container.list("resizePolicy"))
            .any(|policy| policy.text("restartPolicy") == RESTART)
    }

    pub(super) fn resize_policy(&mut self, place: Place<'p>, wanted: &Value) {
        let steps = place.steps(&[Step::Key("resizePolicy")]);
        let label = place.label(".resizePolicy");
        let mut wanted = wanted.clone();
        self.without_restarts(&mut wanted, &label);
        let at = At { steps: &steps, label: &label };
        self.field(
            at,
            place.container.get("resizePolicy"),
            &wanted,
            container_field("resizePolicy"),
        );
    }

    /// The same for a new container.
    pub(super) fn fit_resize_policy(&mut self, container: &mut Cow<'_, Value>) {
        if list(container, "resizePolicy")
            .iter()
            .any(|policy| text(policy, "restartPolicy") == RESTART)
        {
            let label = format!("spec[{}].resizePolicy", name_of(container));
            if let Some(policies) = container.to_mut().get_mut("resizePolicy") {
                self.without_restarts(policies, &label);
            }
        }
    }

    fn without_restarts(&mut self, policies: &mut Value, label: &str) {
        let Value::Array(policies) = policies else { return };
        if !self.never_restarts() {
            return;
        }
        let before = policies.len();
        policies.retain(|policy| text(policy, "restartPolicy") != RESTART);
        if policies.len() != before {
            self.conflict(
                ConflictCode::FieldKept,
                Winner::Author,
                label,
                "RestartContainer is left out, because the pod says restartPolicy: Never"
                    .to_owned(),
            );
        }
    }
}

/// The resize policy that restarts a container.
const RESTART: &str = "RestartContainer";

/// The port of the host that a container's port is; 0 for none.
fn host_port_of(port: &Json<'_>, on_host: bool) -> i64 {
    match number_of(port, "hostPort") {
        0 if on_host => number_of(port, "containerPort"),
        host_port => host_port,
    }
}

fn number_of(port: &Json<'_>, field: &str) -> i64 {
    port.get(field).and_then(Json::as_i64).unwrap_or_default()
}
