//! What became of an event, and what follows from it.

use std::time::Duration;

use kube::core::Status;

/// Between two events: at most 20 a second from each replica, which no API server feels.
const PAUSE: Duration = Duration::from_millis(50);
/// After one that was not taken, so that an API server in trouble is left alone.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// What the API server did with an event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fate {
    /// It has it, from now on or already.
    Sent,
    /// The namespace is gone or about to be, and its runners with it.
    Gone,
    /// We may not create events there.
    Forbidden,
    /// It did not take it, or said nothing in time.
    Failed,
}

/// What was said about failures. A failure that lasts is one line.
#[derive(Debug, Default)]
pub(super) struct Said {
    forbidden: bool,
    failing: bool,
}

impl Fate {
    /// By the Status that an API server answered with.
    pub(super) fn of_refusal(status: &Status) -> Self {
        let causes = status.details.iter().flat_map(|details| &details.causes);
        if status.is_already_exists() {
            Self::Sent
        } else if status.is_not_found()
            // A 403 that has nothing to do with what we may do (Kubernetes' NamespaceLifecycle).
            || causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
        {
            Self::Gone
        } else if status.is_forbidden() {
            Self::Forbidden
        } else {
            Self::Failed
        }
    }

    /// How long to leave the API server alone.
    pub(super) const fn pause(self) -> Duration {
        match self {
            Self::Sent | Self::Gone => PAUSE,
            Self::Forbidden | Self::Failed => PAUSE_AFTER_FAILURE,
        }
    }
}

impl Said {
    /// Whether this fate is worth a line in the log.
    pub(super) const fn is_news(&mut self, fate: Fate) -> bool {
        let said = match fate {
            Fate::Sent => {
                self.failing = false;
                return false;
            }
            Fate::Gone => return false,
            // What we may do seldom changes while we run.
            Fate::Forbidden => &mut self.forbidden,
            Fate::Failed => &mut self.failing,
        };
        !std::mem::replace(said, true)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(status: serde_json::Value) -> Fate {
        Fate::of_refusal(&serde_json::from_value(status).unwrap())
    }

    #[test]
    fn an_event_that_is_there_already_is_as_good_as_sent() {
        assert_eq!(of(json!({"reason": "AlreadyExists", "code": 409})), Fate::Sent);
    }

    #[test]
    fn a_namespace_that_ends_is_no_failure_of_ours() {
        let cause = json!({"reason": "NamespaceTerminating", "field": "metadata.namespace"});
        let ending = json!({"reason": "Forbidden", "code": 403, "details": {"causes": [cause]}});
        assert_eq!(of(ending), Fate::Gone);
        assert_eq!(of(json!({"reason": "NotFound", "code": 404})), Fate::Gone);
        assert_eq!(of(json!({"reason": "Forbidden", "code": 403})), Fate::Forbidden);
    }

    #[test]
    fn any_other_refusal_has_failed_and_is_followed_by_a_longer_pause() {
        for code in [401, 422, 429, 500, 503] {
            assert_eq!(of(json!({"code": code})), Fate::Failed);
        }
        assert!(Fate::Failed.pause() > Fate::Sent.pause());
        assert_eq!(Fate::Forbidden.pause(), Fate::Failed.pause());
    }

    #[test]
    fn a_missing_permission_is_said_once() {
        let mut said = Said::default();
        assert!(said.is_news(Fate::Forbidden));
        // Another namespace may allow it.
        assert!(!said.is_news(Fate::Sent));
        assert!(!said.is_news(Fate::Forbidden));
    }

    #[test]
    fn a_failure_is_said_once_until_it_is_over() {
        let mut said = Said::default();
        let fates =
            [Fate::Failed, Fate::Failed, Fate::Gone, Fate::Failed, Fate::Sent, Fate::Failed];
        let told = fates.map(|fate| said.is_news(fate));
        assert_eq!(told, [true, false, false, false, false, true]);
    }
}
