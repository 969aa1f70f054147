//! What readiness waits for, beside the server's own life.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// Something outside of the server without which it had better not be called.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Gate {
    /// The certificate in use verifies against the `caBundle` that the API server has.
    Trust,
    /// The profiles in the cluster were read once.
    Profiles,
}

/// The gates that are closed, each with its reason. Only the admin port and the tasks that open
/// and close them look at it, so that a lock is no matter.
#[derive(Debug, Default)]
pub struct Gates(Mutex<BTreeMap<Gate, String>>);

impl Gates {
    /// Closes a gate. The reason is one line, for whoever asks `/readyz`.
    pub fn close(&self, gate: Gate, reason: impl Into<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(gate, reason.into());
    }

    /// Opens a gate.
    pub fn open(&self, gate: Gate) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&gate);
    }

    /// Why we are not ready: a line for each closed gate; `None` when all are open.
    pub fn closed(&self) -> Option<String> {
        let gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lines: Vec<&str> = gates.values().map(String::as_str).collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_closed_gate_has_its_line_until_it_opens() {
        let gates = Gates::default();
        assert_eq!(gates.closed(), None);
        gates.close(Gate::Profiles, "no profiles");
        gates.close(Gate::Trust, "not trusted");
        gates.close(Gate::Trust, "not trusted yet");
        assert_eq!(gates.closed().as_deref(), Some("not trusted yet\nno profiles"));
        gates.open(Gate::Trust);
        gates.open(Gate::Trust);
        assert_eq!(gates.closed().as_deref(), Some("no profiles"));
        gates.open(Gate::Profiles);
        assert_eq!(gates.closed(), None);
    }
}
