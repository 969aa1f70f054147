//! What is worth a line of the log when the config have changed, and not again as long as it stays.

use std::collections::BTreeMap;

use crate::{
    cluster::profiles::{Verdicts, first_problem},
    inject::Config,
    profile::{BUILTIN, Object},
};

/// What was said last.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// The refusals by the objects' uids.
    refusals: BTreeMap<String, Same>,
    /// Whether the built-in profile is for every runner pod; `None` while nobody knows.
    is_builtin_for_all: Option<bool>,
}

/// What makes a refusal the same as before: generation and the first problem's field. Its words
/// may name other profiles, and change with them.
type Same = (i64, String);

/// Something new.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum News {
    /// An object is refused, or an edit of it, or now for another reason.
    Refused {
        /// Its name.
        profile: String,
        /// The first of its problems.
        problem: String,
    },
    /// The built-in profile was for every runner pod, and now is for those that name it.
    BuiltinByName,
    /// The other way round.
    BuiltinForAll,
}

// === impl Said ===

impl Said {
    /// What is new in the verdicts on all objects.
    pub(super) fn verdicts(&mut self, objects: &[Object], verdicts: &Verdicts) -> Vec<News> {
        let mut refusals = BTreeMap::new();
        let mut news = Vec::new();
        for Object { name, uid, .. } in objects {
            let Some(verdict) = verdicts.get(uid) else { continue };
            let Some(first) = verdict.problems.first() else { continue };
            let now = (verdict.generation, first.path.clone());
            if self.refusals.get(uid) != Some(&now) {
                let problem = first_problem(&verdict.problems).unwrap_or_default();
                news.push(News::Refused { profile: name.clone(), problem });
            }
            refusals.insert(uid.clone(), now);
        }
        self.refusals = refusals;
        news
    }

    /// What is new about whom the built-in profile is for. The first answer is none.
    pub(super) fn builtin(&mut self, config: &Config) -> Option<News> {
        let builtin = config.profiles.get(BUILTIN);
        let is_for_all = builtin.is_some_and(|profile| profile.matcher.is_some());
        match (self.is_builtin_for_all.replace(is_for_all)?, is_for_all) {
            (true, false) => Some(News::BuiltinByName),
            (false, true) => Some(News::BuiltinForAll),
            _ => None,
        }
    }
}

// === impl News ===

impl News {
    /// Logs it.
    pub(super) fn log(&self) {
        match self {
            Self::Refused { profile, problem } => {
                tracing::warn!(profile, problem, "RunnerProfile refused");
            }
            Self::BuiltinByName => tracing::warn!(
                "the built-in profile is no longer for every runner pod: those that no profile \
                 matches come up bare"
            ),
            Self::BuiltinForAll => {
                tracing::info!("the built-in profile is for every runner pod again");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        cluster::profiles::Verdict,
        inject::ControllerUsers,
        profile::{Problem, resolve},
    };

    fn object(name: &str, spec: Value) -> Object {
        Object { name: name.to_owned(), uid: format!("uid-{name}"), generation: 1, spec }
    }

    /// The names of the objects that there is something to say of.
    fn said(said: &mut Said, objects: &[Object]) -> Vec<String> {
        let refused = resolve(&[], objects).unwrap().refused;
        let verdict = |object: &Object| {
            let problems: Vec<Problem> = refused.get(&object.name).cloned().unwrap_or_default();
            (object.uid.clone(), Verdict { generation: object.generation, problems })
        };
        let verdicts: BTreeMap<_, _> = objects.iter().map(verdict).collect();
        let news = said.verdicts(objects, &verdicts.into());
        news.into_iter()
            .map(|one| match one {
                News::Refused { profile, problem } => {
                    assert!(!problem.is_empty());
                    profile
                }
                other => panic!("{other:?}"),
            })
            .collect()
    }

    fn builtin(said: &mut Said, objects: &[Object]) -> Option<News> {
        let profiles = resolve(&[], objects).unwrap().profiles;
        said.builtin(&Config::new(profiles, ControllerUsers::default()))
    }

    #[test]
    fn a_refusal_is_told_once_and_again_when_it_is_another_or_was_mended_meanwhile() {
        let mut told = Said::default();
        let good = object("a", json!({"extends": "rocm", "match": {"scaleSets": ["a"]}}));
        let bad = object("a", json!({"extends": "nobody"}));
        let worse = object("a", json!({"gpus": 1}));
        let other = object("b", json!({"extends": "nobody"}));
        assert!(said(&mut told, std::slice::from_ref(&good)).is_empty());
        assert_eq!(said(&mut told, std::slice::from_ref(&bad)), ["a"]);
        assert!(said(&mut told, std::slice::from_ref(&bad)).is_empty());
        // Its problem now names b, which it could have meant.
        assert_eq!(said(&mut told, &[bad.clone(), other.clone()]), ["b"]);
        assert_eq!(said(&mut told, &[worse, other.clone()]), ["a"]);
        let edited = Object { generation: 2, ..bad.clone() };
        assert_eq!(said(&mut told, &[edited, other]), ["a"]);
        assert!(said(&mut told, &[good]).is_empty());
        assert_eq!(said(&mut told, &[bad]), ["a"]);
    }

    #[test]
    fn the_first_object_takes_the_builtin_profile_from_everyone_and_the_last_gives_it_back() {
        let mut told = Said::default();
        let one = [object("a", json!({"gpus": 1}))];
        assert_eq!(builtin(&mut told, &[]), None);
        assert_eq!(builtin(&mut told, &[]), None);
        assert_eq!(builtin(&mut told, &one), Some(News::BuiltinByName));
        assert_eq!(builtin(&mut told, &one), None);
        assert_eq!(builtin(&mut told, &[]), Some(News::BuiltinForAll));
    }

    #[test]
    fn where_objects_are_there_from_the_start_nothing_is_taken_from_anybody() {
        assert_eq!(builtin(&mut Said::default(), &[object("a", json!({}))]), None);
    }
}
