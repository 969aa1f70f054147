//! Ports of containers.

use super::{Checker, Field, names};

impl Checker<'_> {
    pub(super) fn ports(&mut self, container: &Field<'_>, pod: &Field<'_>) {
        let host_network = pod.flag("hostNetwork") == Some(true);
        let mut taken: Vec<&str> = Vec::new();
        for port in container.keyed("ports", "containerPort") {
            self.range(&port, "containerPort", 1, 65535);
            // 0 is the same as none.
            self.range(&port, "hostPort", 0, 65535);
            self.one_of(&port, "protocol", &["TCP", "UDP", "SCTP"]);
            if let Some(name) = port.text("name").filter(|name| !name.is_empty()) {
                self.form(&port, "name", names::is_port_name, names::PORT_NAME);
                if taken.contains(&name) {
                    let message = format!("{name:?} is the name of another port of this container");
                    self.add(port.path_to("name"), message);
                }
                taken.push(name);
            }
            let (inside, outside) = (port.number("containerPort"), port.number("hostPort"));
            if host_network && outside.is_some_and(|port| port != 0) && inside != outside {
                let message = "must be the containerPort, because of hostNetwork: true";
                self.add(port.path_to("hostPort"), message);
            }
            if let Some(ip) = port.text("hostIP").filter(|ip| !ip.is_empty())
                && ip.parse::<std::net::IpAddr>().is_err()
            {
                self.add(port.path_to("hostIP"), format!("{ip:?} is not an IP address"));
            }
        }
    }

    /// Each port of the node is taken once.
    pub(super) fn host_ports(&mut self, pod: &Field<'_>) {
        let host_network = pod.flag("hostNetwork") == Some(true);
        let mut taken: Vec<(i64, &str, &str)> = Vec::new();
        for list in ["initContainers", "containers"] {
            for container in pod.keyed(list, "name") {
                for port in container.keyed("ports", "containerPort") {
                    let number = port.number("hostPort").filter(|number| *number != 0);
                    let inside = port.number("containerPort").filter(|_| host_network);
                    let Some(number) = number.or(inside) else { continue };
                    let protocol = port.text("protocol").unwrap_or("TCP");
                    let key = (number, protocol, port.text("hostIP").unwrap_or_default());
                    if taken.contains(&key) {
                        let message =
                            format!("port {number}/{protocol} of the node is taken already");
                        self.add(port.path.clone(), message);
                    }
                    taken.push(key);
                }
            }
        }
    }
}
