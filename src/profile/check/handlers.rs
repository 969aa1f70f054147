//! Probes and lifecycle hooks.

use super::{Checker, Field, names};

/// What a pod without `terminationGracePeriodSeconds` has.
const GRACE_PERIOD_SECONDS: i64 = 30;
const INT_MAX: i64 = i32::MAX as i64;

impl Checker<'_> {
    pub(super) fn handlers(&mut self, container: &Field<'_>, pod: &Field<'_>) {
        for key in ["startupProbe", "livenessProbe", "readinessProbe"] {
            if let Some(probe) = container.get(key) {
                self.probe(&probe, key);
            }
        }
        let Some(lifecycle) = container.get("lifecycle") else { return };
        for key in ["postStart", "preStop"] {
            let Some(hook) = lifecycle.get(key) else { continue };
            self.exactly_one(&hook, &["exec", "httpGet", "sleep", "tcpSocket"]);
            self.handler(&hook);
            if let Some(sleep) = hook.get("sleep") {
                let grace = pod.number("terminationGracePeriodSeconds");
                self.range(&sleep, "seconds", 0, grace.unwrap_or(GRACE_PERIOD_SECONDS));
            }
        }
        if lifecycle.get("stopSignal").is_some() {
            let message = "needs the pod's os, which a profile cannot set; write STOPSIGNAL in \
                           the image";
            self.add(lifecycle.path_to("stopSignal"), message);
        }
    }

    fn probe(&mut self, probe: &Field<'_>, key: &str) {
        self.exactly_one(probe, &["exec", "httpGet", "tcpSocket", "grpc"]);
        self.handler(probe);
        self.range(probe, "initialDelaySeconds", 0, INT_MAX);
        for number in ["periodSeconds", "timeoutSeconds", "failureThreshold", "successThreshold"] {
            self.range(probe, number, 1, INT_MAX);
        }
        if key != "readinessProbe" && probe.number("successThreshold").is_some_and(|n| n > 1) {
            self.add(probe.path_to("successThreshold"), format!("must be 1 in a {key}"));
        }
        if key == "readinessProbe" && probe.get("terminationGracePeriodSeconds").is_some() {
            let message = "a readinessProbe ends nothing; take it out";
            self.add(probe.path_to("terminationGracePeriodSeconds"), message);
        }
        self.range(probe, "terminationGracePeriodSeconds", 1, i64::MAX);
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
            for header in get.list("httpHeaders") {
                let name = header.name();
                let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
                if name.is_empty() || !name.bytes().all(is_token) {
                    self.add(header.path_to("name"), format!("{name:?} is no name of a header"));
                }
            }
        }
        if let Some(socket) = handler.get("tcpSocket") {
            self.port(&socket);
        }
        if let Some(grpc) = handler.get("grpc") {
            self.range(&grpc, "port", 1, 65535);
        }
    }

    /// A port by number or name.
    fn port(&mut self, field: &Field<'_>) {
        self.range(field, "port", 1, 65535);
        self.form(field, "port", names::is_port_name, names::PORT_NAME);
    }
}
