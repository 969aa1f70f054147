//! What the API server did with an event, how long to wait, and when to log.

use std::time::Duration;

use kube::core::Status;

/// Between two events: at most 20 a second from each replica.
const PAUSE: Duration = Duration::from_millis(50);
/// After a failure, to spare an overloaded API server.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// What the API server did with an event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum SendOutcome {
    /// It stored it, now or before.
    Sent,
    /// The namespace is gone or terminating.
    Gone,
    /// The webhook may not create events in the namespace.
    Forbidden,
    /// It refused it, or did not answer in time.
    Failed,
}

/// Which failures were logged: a failure that lasts is one line.
#[derive(Debug, Default)]
pub(super) struct LogDedup {
    forbidden: bool,
    failing: bool,
}

impl SendOutcome {
    /// The outcome of an error Status.
    pub(super) fn of_refusal(status: &Status) -> Self {
        let causes = status.details.iter().flat_map(|details| &details.causes);
        if status.is_already_exists() {
            Self::Sent
        } else if status.is_not_found()
            // A 403 that is no missing permission (Kubernetes' NamespaceLifecycle).
            || causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
        {
            Self::Gone
        } else if status.is_forbidden() {
            Self::Forbidden
        } else {
            Self::Failed
        }
    }

    /// How long to wait before the next event.
    pub(super) const fn pause(self) -> Duration {
        match self {
            Self::Sent | Self::Gone => PAUSE,
            Self::Forbidden | Self::Failed => PAUSE_AFTER_FAILURE,
        }
    }
}

impl LogDedup {
    /// Whether to log this outcome as a warning.
    pub(super) const fn should_log(&mut self, outcome: SendOutcome) -> bool {
        let logged = match outcome {
            SendOutcome::Sent => {
                self.failing = false;
                return false;
            }
            SendOutcome::Gone => return false,
            // Permissions seldom change while the webhook runs: log this once.
            SendOutcome::Forbidden => &mut self.forbidden,
            SendOutcome::Failed => &mut self.failing,
        };
        !std::mem::replace(logged, true)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(status: serde_json::Value) -> SendOutcome {
        SendOutcome::of_refusal(&serde_json::from_value(status).unwrap())
    }

    #[test]
    fn existing_event_counts_as_sent() {
        assert_eq!(of(json!({"reason": "AlreadyExists", "code": 409})), SendOutcome::Sent);
    }

    #[test]
    fn terminating_namespace_is_no_failure() {
        let cause = json!({"reason": "NamespaceTerminating", "field": "metadata.namespace"});
        let ending = json!({"reason": "Forbidden", "code": 403, "details": {"causes": [cause]}});
        assert_eq!(of(ending), SendOutcome::Gone);
        assert_eq!(of(json!({"reason": "NotFound", "code": 404})), SendOutcome::Gone);
        assert_eq!(of(json!({"reason": "Forbidden", "code": 403})), SendOutcome::Forbidden);
    }

    #[test]
    fn other_refusal_fails_with_longer_pause() {
        for code in [401, 422, 429, 500, 503] {
            assert_eq!(of(json!({"code": code})), SendOutcome::Failed);
        }
        assert!(SendOutcome::Failed.pause() > SendOutcome::Sent.pause());
        assert_eq!(SendOutcome::Forbidden.pause(), SendOutcome::Failed.pause());
    }

    #[test]
    fn missing_permission_is_logged_once() {
        let mut dedup = LogDedup::default();
        assert!(dedup.should_log(SendOutcome::Forbidden));
        // Another namespace may allow it.
        assert!(!dedup.should_log(SendOutcome::Sent));
        assert!(!dedup.should_log(SendOutcome::Forbidden));
    }

    #[test]
    fn lasting_failure_is_logged_once() {
        let mut dedup = LogDedup::default();
        let outcomes = [
            SendOutcome::Failed,
            SendOutcome::Failed,
            SendOutcome::Gone,
            SendOutcome::Failed,
            SendOutcome::Sent,
            SendOutcome::Failed,
        ];
        let logged = outcomes.map(|outcome| dedup.should_log(outcome));
        assert_eq!(logged, [true, false, false, false, false, true]);
    }
}
