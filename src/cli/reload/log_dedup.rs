//! What is worth a line of the log after a reload, and not again while it stays so.

use std::collections::BTreeMap;

use crate::{
    controller::profiles::{Acceptance, first_problem},
    inject::Config,
    profile::{BUILTIN, Object},
};

/// What was logged last.
#[derive(Debug, Default)]
pub(super) struct LogDedup {
    /// Generation and field of the first problem of each refused object, by uid. The problem's
    /// words may name other profiles and change with them.
    refusals: BTreeMap<String, (i64, String)>,
    /// Whether the built-in profile matches pods; `None` before the first reload.
    is_builtin_for_all: Option<bool>,
}

/// A line of the log.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Message {
    /// An object is left out.
    Refused {
        /// Its name.
        profile: String,
        /// The first of its problems.
        problem: String,
    },
    /// The built-in profile matched pods, and no longer does.
    BuiltinByName,
    /// The built-in profile matches pods again.
    BuiltinForAll,
}

impl LogDedup {
    /// A message for each object that is refused now and was not, or was at another generation or
    /// for another field.
    pub(super) fn refusals(
        &mut self,
        objects: &[Object],
        acceptances: &BTreeMap<String, Acceptance>,
    ) -> Vec<Message> {
        let mut refusals = BTreeMap::new();
        let mut messages = Vec::new();
        for Object { name, uid, generation, .. } in objects {
            let Some(Acceptance { problems, .. }) = acceptances.get(uid) else { continue };
            let Some(first) = problems.first() else { continue };
            let now = (*generation, first.path.clone());
            if self.refusals.get(uid) != Some(&now) {
                let problem = first_problem(problems).unwrap_or_default();
                messages.push(Message::Refused { profile: name.clone(), problem });
            }
            refusals.insert(uid.clone(), now);
        }
        self.refusals = refusals;
        messages
    }

    /// A message when the built-in profile begins or ceases to match pods; none at first.
    pub(super) fn builtin(&mut self, config: &Config) -> Option<Message> {
        let builtin = config.profiles.get(BUILTIN);
        let is_for_all = builtin.is_some_and(|profile| profile.matcher.is_some());
        match (self.is_builtin_for_all.replace(is_for_all)?, is_for_all) {
            (true, false) => Some(Message::BuiltinByName),
            (false, true) => Some(Message::BuiltinForAll),
            _ => None,
        }
    }
}

impl Message {
    /// Logs it.
    pub(super) fn log(&self) {
        match self {
            Self::Refused { profile, problem } => {
                tracing::warn!(profile, problem, "RunnerProfile refused and left out");
            }
            Self::BuiltinByName => tracing::warn!(
                "there are profiles now: the built-in profile no longer applies to runners that no \
                 profile matches"
            ),
            Self::BuiltinForAll => tracing::info!(
                "there are no profiles any more: the built-in profile applies to runners again"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{inject::ControllerUsers, profile::resolve};

    fn object(name: &str, spec: Value) -> Object {
        Object { name: name.to_owned(), uid: format!("uid-{name}"), generation: 1, spec }
    }

    /// The names of the objects that get a line.
    fn logged(log: &mut LogDedup, objects: &[Object]) -> Vec<String> {
        let refused = resolve(&[], objects).unwrap().refused;
        let acceptance = |object: &Object| {
            let problems = refused.get(&object.name).cloned().unwrap_or_default();
            (object.uid.clone(), Acceptance { generation: object.generation, problems })
        };
        let acceptances = objects.iter().map(acceptance).collect();
        let messages = log.refusals(objects, &acceptances).into_iter();
        messages
            .map(|message| match message {
                Message::Refused { profile, problem } => {
                    assert!(!problem.is_empty());
                    profile
                }
                other => panic!("{other:?}"),
            })
            .collect()
    }

    fn builtin(log: &mut LogDedup, objects: &[Object]) -> Option<Message> {
        let profiles = resolve(&[], objects).unwrap().profiles;
        log.builtin(&Config::new(profiles, ControllerUsers::default()))
    }

    #[test]
    fn refusal_is_logged_once_for_object_generation_and_field() {
        let mut log = LogDedup::default();
        let good = object("a", json!({"extends": "rocm", "match": {"scaleSets": ["a"]}}));
        let bad = object("a", json!({"extends": "missing"}));
        let worse = object("a", json!({"gpus": 1}));
        let other = object("b", json!({"extends": "missing"}));
        assert!(logged(&mut log, std::slice::from_ref(&good)).is_empty());
        assert_eq!(logged(&mut log, std::slice::from_ref(&bad)), ["a"]);
        assert!(logged(&mut log, std::slice::from_ref(&bad)).is_empty());
        // The words of its problem list b now.
        assert_eq!(logged(&mut log, &[bad.clone(), other.clone()]), ["b"]);
        assert_eq!(logged(&mut log, &[worse, other.clone()]), ["a"]);
        let edited = Object { generation: 2, ..bad.clone() };
        assert_eq!(logged(&mut log, &[edited, other]), ["a"]);
        assert!(logged(&mut log, &[good]).is_empty());
        assert_eq!(logged(&mut log, &[bad]), ["a"]);
    }

    #[test]
    fn builtin_message_comes_with_the_first_object_and_after_the_last() {
        let mut log = LogDedup::default();
        let one = [object("a", json!({"gpus": 1}))];
        assert_eq!(builtin(&mut log, &[]), None);
        assert_eq!(builtin(&mut log, &[]), None);
        assert_eq!(builtin(&mut log, &one), Some(Message::BuiltinByName));
        assert_eq!(builtin(&mut log, &one), None);
        assert_eq!(builtin(&mut log, &[]), Some(Message::BuiltinForAll));
    }

    #[test]
    fn builtin_message_is_absent_where_profiles_exist_from_the_start() {
        assert_eq!(builtin(&mut LogDedup::default(), &[object("a", json!({}))]), None);
    }
}
