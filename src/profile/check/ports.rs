//! Ports of containers.

use super::{Checker, Field};

impl Checker<'_> {
    pub(super) fn ports(&mut self, container: &Field<'_>) {
        let mut taken: Vec<&str> = Vec::new();
        for port in container.keyed("ports", "containerPort") {
            if let Some(name) = port.text("name").filter(|name| !name.is_empty()) {
                if taken.contains(&name) {
                    let message = format!("{name:?} is the name of another port of this container");
                    self.add(port.path_to("name"), message);
                }
                taken.push(name);
            }
        }
    }

    /// With the node's network each port is the node's, and taken once.
    pub(super) fn host_ports(&mut self, pod: &Field<'_>) {
        if pod.flag("hostNetwork") != Some(true) {
            return;
        }
        let mut taken: Vec<(i64, &str)> = Vec::new();
        for list in ["initContainers", "containers"] {
            for container in pod.keyed(list, "name") {
                for port in container.keyed("ports", "containerPort") {
                    let Some(number) = port.number("containerPort") else { continue };
                    let key = (number, port.text("protocol").unwrap_or("TCP"));
                    if taken.contains(&key) {
                        let message = format!(
                            "with hostNetwork: true port {number}/{} of the node is taken already",
                            key.1
                        );
                        self.add(port.path.clone(), message);
                    }
                    taken.push(key);
                }
            }
        }
    }
}
