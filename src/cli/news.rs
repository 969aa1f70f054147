//! What is worth a line of the log when the config have changed, and not again as long as it stays.

use std::collections::BTreeMap;

use crate::{
    cluster::profiles::{Verdicts, first_problem},
    inject::Config,
    profile::{
        BUILTIN,
        objects::{Object, Reason},
    },
};

/// What was said last.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// The refusals by the objects' uids.
    refusals: BTreeMap<String, Same>,
    /// Whether the built-in profile is for every runner pod; `None` while nobody knows.
    is_builtin_for_all: Option<bool>,
}

/// What makes a refusal the same as before: generation, reason and the first problem's field. Its
/// words may name other profiles, and change with them.
type Same = (i64, Reason, Option<String>);

/// Something new.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum News {
    /// An object is refused, or an edit of it, or now for another reason.
    Refused {
        /// Its name.
        profile: String,
        /// In one word.
        reason: Reason,
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
            let Some(refusal) = &verdict.refusal else { continue };
            let reason = refusal.reason;
            let field = refusal.problems.first().map(|problem| problem.path.clone());
            let now = (verdict.generation, reason, field);
            if self.refusals.get(uid) != Some(&now) {
                let problem = first_problem(refusal).unwrap_or_default();
                news.push(News::Refused { profile: name.clone(), reason, problem });
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
            Self::Refused { profile, reason, problem } => {
                let reason = reason.as_str();
                tracing::warn!(profile, reason, problem, "RunnerProfile refused");
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
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::{
        inject::ControllerUsers,
        profile::objects::{self, testing::new as object},
    };

    /// What is said of these objects, as `NAME REASON`.
    fn said(said: &mut Said, objects: &[Object]) -> Vec<String> {
        let judged = objects::judge(&[], objects).unwrap();
        let uid = |name: String| format!("uid-{name}");
        let verdicts = judged.verdicts.into_iter().map(|(name, one)| (uid(name), one)).collect();
        let news = said.verdicts(objects, &Arc::new(verdicts));
        news.into_iter()
            .map(|one| match one {
                News::Refused { profile, reason, problem } => {
                    assert!(!problem.is_empty());
                    format!("{profile} {}", reason.as_str())
                }
                other => panic!("{other:?}"),
            })
            .collect()
    }

    fn builtin(said: &mut Said, objects: &[Object]) -> Option<News> {
        let profiles = objects::judge(&[], objects).unwrap().profiles;
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
        assert_eq!(said(&mut told, std::slice::from_ref(&bad)), ["a Invalid"]);
        assert!(said(&mut told, std::slice::from_ref(&bad)).is_empty());
        // Its problem now names b, which it could have meant.
        assert_eq!(said(&mut told, &[bad.clone(), other.clone()]), ["b Invalid"]);
        assert_eq!(said(&mut told, &[worse, other.clone()]), ["a Invalid"]);
        let edited = Object { generation: 2, ..bad.clone() };
        assert_eq!(said(&mut told, &[edited, other]), ["a Invalid"]);
        assert!(said(&mut told, &[good]).is_empty());
        assert_eq!(said(&mut told, &[bad]), ["a Invalid"]);
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
