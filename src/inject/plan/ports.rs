//! Ports, by number and protocol. One whose name or host port is taken stays out, because the API
//! server wants both to be unique.

use std::collections::HashSet;

use super::{
    changes::Changes,
    conflict::{ChangeReason, ConflictCode, Winner},
    facts::{Facts, Placement, Target},
    pod_fields::host_network_obstacle,
};
use crate::podspec::{Json, all_containers, equal::same_item};

/// The port of the node that a container's port takes.
#[derive(Clone, Copy)]
pub(super) struct HostPort<'j> {
    /// 0 for none.
    pub(super) number: i64,
    pub(super) protocol: &'j str,
    /// Whether it is another number than the container's.
    pub(super) is_moved: bool,
}

impl<'j> HostPort<'j> {
    /// On the host's network every port is one of the node.
    pub(super) fn of(port: &'j Json<'_>, on_host: bool) -> Self {
        let number = |field| port.get(field).and_then(Json::as_i64).unwrap_or_default();
        let inside = number("containerPort");
        let outside = match number("hostPort") {
            0 if on_host => inside,
            outside => outside,
        };
        let protocol = match port.text("protocol") {
            "" => "TCP",
            protocol => protocol,
        };
        Self { number: outside, protocol, is_moved: outside != 0 && outside != inside }
    }
}

/// What becomes of one port of the template.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Decision {
    /// It is added.
    Added,
    /// It is there.
    Same,
    /// Its name or its port of the node is taken.
    Taken,
}

pub(super) fn rule<'p>(facts: &Facts<'p>, changes: &mut Changes<'p>) {
    for (placement, decisions) in facts.placements.iter().zip(decisions(facts)) {
        let Target::There(place) = placement.at else { continue };
        for (wanted, decision) in placement.wanted.list("ports").iter().zip(decisions) {
            match decision {
                Decision::Same => {}
                Decision::Added => {
                    changes.append_in(place, "ports", wanted.clone(), ChangeReason::Profile);
                }
                Decision::Taken => {
                    let number = wanted.get("containerPort").and_then(Json::as_i64);
                    let path = place.path(&format!(".ports[{}]", number.unwrap_or_default()));
                    taken(path, changes);
                }
            }
        }
    }
}

/// Adds the conflict for ports at `path`.
pub(super) fn taken(path: String, changes: &mut Changes<'_>) {
    let message = "left out, because its name or its port of the node is taken";
    changes.conflict(ConflictCode::PortTaken, Winner::ScaleSet, path, message);
}

/// What becomes of the ports of each placement; nothing where the template has no ports.
pub(super) fn decisions(facts: &Facts<'_>) -> Vec<Vec<Decision>> {
    let ports = |placement: &Placement<'_>| !placement.wanted.list("ports").is_empty();
    if !facts.placements.iter().any(ports) {
        return Vec::new();
    }
    let mut taken = Taken::new(facts);
    let of = |placement: &Placement<'_>| match placement.at {
        Target::Taken(_) => Vec::new(),
        Target::New { .. } => {
            let ports = placement.wanted.list("ports").iter();
            ports.map(|wanted| decide(&[], wanted, &mut taken)).collect()
        }
        Target::There(place) => {
            let there = place.container.list("ports");
            let ports = placement.wanted.list("ports").iter();
            ports.map(|wanted| decide(there, wanted, &mut taken)).collect()
        }
    };
    facts.placements.iter().map(of).collect()
}

fn decide(there: &[Json<'_>], wanted: &Json<'_>, taken: &mut Taken) -> Decision {
    let keys = ["containerPort", "protocol"];
    let name = wanted.text("name");
    if there.iter().any(|port| same_item(port, wanted, &keys)) {
        Decision::Same
    } else if !name.is_empty() && there.iter().any(|port| port.text("name") == name)
        || !taken.take(wanted)
    {
        Decision::Taken
    } else {
        Decision::Added
    }
}

/// The ports of the node that are taken.
struct Taken {
    on_host: bool,
    ports: HashSet<(i64, String)>,
}

impl Taken {
    fn new(facts: &Facts<'_>) -> Self {
        let wanted = facts.template.field("hostNetwork").and_then(Json::as_bool);
        let on_host = match facts.spec.get("hostNetwork").and_then(Json::as_bool) {
            Some(there) => there,
            None => wanted == Some(true) && host_network_obstacle(facts).is_none(),
        };
        let mut this = Self { on_host, ports: HashSet::new() };
        for port in all_containers(facts.spec).flat_map(|place| place.container.list("ports")) {
            this.take(port);
        }
        this
    }

    /// Takes the port of the node that a container's port needs, if it needs one. Whether it was
    /// free.
    fn take(&mut self, port: &Json<'_>) -> bool {
        let HostPort { number, protocol, .. } = HostPort::of(port, self.on_host);
        number == 0 || self.ports.insert((number, protocol.to_owned()))
    }
}
