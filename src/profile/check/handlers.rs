//! Probes and lifecycle hooks.

use super::{Checker, Field, names};

const INT_MAX: i64 = i32::MAX as i64;

impl Checker<'_> {
    pub(super) fn handlers(&mut self, container: &Field<'_>) {
        for key in ["startupProbe", "livenessProbe", "readinessProbe"] {
            if let Some(probe) = container.get(key) {
                self.probe(&probe, key);
            }
        }
        let Some(lifecycle) = container.get("lifecycle") else { return };
        for key in ["postStart", "preStop"] {
            let Some(hook) = lifecycle.get(key) else { continue };
            self.exactly_one(&hook, &["exec", "httpGet"]);
            self.handler(&hook);
        }
    }

    fn probe(&mut self, probe: &Field<'_>, key: &str) {
        self.exactly_one(probe, &["exec", "httpGet", "tcpSocket"]);
        self.handler(probe);
        self.range(probe, "initialDelaySeconds", 0, INT_MAX);
        for number in ["periodSeconds", "timeoutSeconds", "failureThreshold", "successThreshold"] {
            self.range(probe, number, 1, INT_MAX);
        }
        if key != "readinessProbe" && probe.number("successThreshold").is_some_and(|n| n > 1) {
            self.add(probe.path_to("successThreshold"), format!("must be 1 in a {key}"));
        }
    }

    fn handler(&mut self, handler: &Field<'_>) {
        if let Some(exec) = handler.get("exec")
            && exec.texts("command").is_empty()
        {
            self.add(exec.path.clone(), "needs a command");
        }
        if let Some(get) = handler.get("httpGet") {
            self.port(&get);
            self.one_of(&get, "scheme", &["HTTP", "HTTPS"]);
        }
        if let Some(socket) = handler.get("tcpSocket") {
            self.port(&socket);
        }
    }

    /// A port by number or name.
    fn port(&mut self, field: &Field<'_>) {
        self.range(field, "port", 1, 65535);
        self.form(field, "port", names::is_port_name, names::PORT_NAME);
    }
}
