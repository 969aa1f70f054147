//! Conditions of readiness.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// A condition. While it does not hold, the pod is not ready.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Gate {
    /// The server accepts connections and is not asked to stop.
    Serving,
    /// The certificate in use verifies against the `caBundle` that the API server has.
    Trust,
    /// The profiles in the cluster were read once.
    Profiles,
}

/// The closed gates with their reasons. Only the admin port and a few tasks use it, so a lock is
/// cheap enough.
#[derive(Debug)]
pub struct Gates(Mutex<BTreeMap<Gate, String>>);

impl Gates {
    /// Closes a gate. `/readyz` answers with the reason, which is one line.
    pub fn close(&self, gate: Gate, reason: impl Into<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(gate, reason.into());
    }

    /// Opens a gate.
    pub fn open(&self, gate: Gate) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&gate);
    }

    /// One line for each closed gate; `None` when all are open.
    pub fn closed(&self) -> Option<String> {
        let gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lines: Vec<&str> = gates.values().map(String::as_str).collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}

impl Default for Gates {
    fn default() -> Self {
        Self(Mutex::new(BTreeMap::from([(Gate::Serving, "starting".to_owned())])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_gate_has_a_line_until_it_opens() {
        let gates = Gates::default();
        assert_eq!(gates.closed().as_deref(), Some("starting"));
        gates.open(Gate::Serving);
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
