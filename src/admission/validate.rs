//! Reviews of RunnerProfile objects. A bad one is refused with every problem and its field, as the
//! API server refuses an object that its schema does not allow: `kubectl apply` prints all of them.
//!
//! A profile may be created before the one that it extends: the order within one `kubectl apply`
//! does not matter. It is left out until its base is there, with a warning now and a condition
//! later. What is in force is not taken out of force by an update: neither the object itself nor
//! profiles that extend it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{
    response::{self, Cause, Details, Response, Status},
    review::{self, GroupVersionKind, Unreadable},
};
use crate::profile::{
    Change, DepthLimited, File, Object, Problem, resolve_change,
    spec::{self, GROUP},
    status::line,
};

/// Most values in one spec. Ten times what the largest profile has, and little memory.
const MAX_VALUES: usize = 20_000;
/// Most problems that one answer lists.
const MAX_PROBLEMS: usize = 100;
/// Objects that a message about a missing base can list, and one more.
const LISTED: usize = 21;
/// The field of a profile's base.
const EXTENDS: &str = "spec.extends";

/// The request of a review of a RunnerProfile.
#[derive(Clone, Debug)]
pub struct ProfileRequest {
    /// Identifies the request; the answer repeats it.
    uid: String,
    /// The profile's name.
    pub name: String,
    /// The spec to check; `None` where there is nothing to check: the spec stays as it is, or the
    /// request is not the creation or an update of a RunnerProfile.
    spec: Option<Value>,
    /// Whether the spec was too large to be read.
    is_too_large: bool,
}

/// What is decided about a RunnerProfile.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProfileDecision {
    /// Why it is refused: field and message of each problem. Empty if it is allowed.
    pub problems: Vec<(String, String)>,
    /// What to tell the user of one that is allowed.
    pub warnings: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Request<'a> {
    uid: String,
    #[serde(borrow)]
    kind: GroupVersionKind<'a>,
    operation: String,
    name: String,
    #[serde(borrow)]
    object: Option<Reviewed<'a>>,
    #[serde(borrow)]
    old_object: Option<Reviewed<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Reviewed<'a> {
    metadata: Metadata,
    #[serde(borrow)]
    spec: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    name: String,
    generate_name: String,
    deletion_timestamp: Option<String>,
}

impl ProfileRequest {
    /// Reads the request of a review.
    ///
    /// # Errors
    ///
    /// The body is no review that can be answered.
    pub fn read(body: &[u8]) -> Result<Self, Unreadable> {
        let Request { uid, kind, operation, name, object, old_object } =
            review::request(body, |request: &Request<'_>| &request.uid)?;
        let object = object.unwrap_or_default();
        let old = old_object.and_then(|old| old.spec).map(RawValue::get);
        let text = object.spec.map_or("null", RawValue::get);
        let is_checked = &*kind.group == GROUP
            && &*kind.kind == spec::KIND
            && ["CREATE", "UPDATE"].contains(&operation.as_str())
            && object.metadata.deletion_timestamp.is_none()
            // The API server writes both specs in the same way.
            && old != Some(text);
        let is_too_large = is_checked && values(text) > MAX_VALUES;
        let spec = if is_checked && !is_too_large {
            let DepthLimited(spec) = serde_json::from_str(text)?;
            Some(spec)
        } else {
            None
        };
        let Metadata { name: own, generate_name, .. } = object.metadata;
        let generated = format!("{generate_name}0");
        let name = [name, own].into_iter().find(|name| !name.is_empty()).unwrap_or(generated);
        Ok(Self { uid, name, spec, is_too_large })
    }

    /// Whether the answer depends on files and other objects.
    pub const fn is_checked(&self) -> bool {
        self.spec.is_some()
    }

    /// Checks the object beside `files` and `objects`. Files that are bad themselves are none of
    /// the object's problems.
    pub fn decide(&self, files: &[File], objects: &[Object]) -> ProfileDecision {
        let mut decision = ProfileDecision::default();
        if self.is_too_large {
            let message = format!("a profile has at most {MAX_VALUES} values");
            decision.problems.push(("spec".to_owned(), message));
        }
        let Some(spec) = &self.spec else { return decision };
        let objects = self.related(spec, objects);
        let Ok(change) = resolve_change(files, &objects, &self.name, Some(spec)) else {
            return decision;
        };
        let Change { own, others, was_accepted } = change;
        let may_wait = !was_accepted && others.is_empty() && !self.is_in_circle(spec, &objects);
        let (waiting, own): (Vec<Problem>, Vec<Problem>) =
            own.into_iter().partition(|problem| may_wait && problem.path == EXTENDS);
        let field = |problem: &Problem| match problem.path.as_str() {
            "" => "spec".to_owned(),
            path => path.to_owned(),
        };
        decision.problems.extend(own.iter().map(|one| (field(one), one.message.clone())));
        if decision.problems.is_empty() {
            for (name, problems) in others {
                let what =
                    format!("RunnerProfile {name}, which extends this one, would be left out");
                let lines = problems.iter().map(|one| format!("{what}: {}", line(one)));
                decision.problems.extend(lines.map(|message| ("spec".to_owned(), message)));
            }
        }
        if decision.problems.is_empty() {
            let warning = |one: &Problem| {
                format!("arc-rocm: {}. The profile is left out until that is mended.", line(one))
            };
            decision.warnings.extend(waiting.iter().map(warning));
        }
        decision
    }

    /// The objects that the decision depends on, so that it takes no longer beside a thousand
    /// others: those that this object extends, in its old and new spec, and those that extend it.
    fn related(&self, spec: &Value, objects: &[Object]) -> Vec<Object> {
        let by_name: BTreeMap<&str, &Object> =
            objects.iter().map(|object| (object.name.as_str(), object)).collect();
        let mut extenders: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for object in objects {
            if let Some(base) = extends(&object.spec) {
                extenders.entry(base).or_default().push(&object.name);
            }
        }
        let (mut bases, mut above) = (BTreeSet::new(), vec![self.name.as_str()]);
        above.extend(extends(spec));
        while let Some(name) = above.pop() {
            if let Some(object) = by_name.get(name).filter(|_| bases.insert(name)) {
                above.extend(extends(&object.spec));
            }
        }
        let (mut related, mut below) = (bases, vec![self.name.as_str()]);
        let mut seen = BTreeSet::new();
        while let Some(name) = below.pop() {
            related.insert(name);
            if seen.insert(name) {
                below.extend(extenders.get(name).into_iter().flatten());
            }
        }
        related.extend(by_name.keys().take(LISTED));
        related.iter().filter_map(|name| by_name.get(name).copied().cloned()).collect()
    }

    /// Whether the object extends itself, perhaps by other objects.
    fn is_in_circle(&self, spec: &Value, objects: &[Object]) -> bool {
        let mut base = extends(spec);
        for _ in 0..=objects.len() {
            match base {
                None => return false,
                Some(name) if name == self.name => return true,
                Some(name) => {
                    let found = objects.iter().find(|object| object.name == name);
                    base = found.and_then(|object| extends(&object.spec));
                }
            }
        }
        // A circle of others.
        false
    }

    /// The `AdmissionReview` that answers the request.
    pub fn answer(&self, decision: &ProfileDecision) -> Vec<u8> {
        let ProfileDecision { problems, warnings } = decision;
        let status = (!problems.is_empty()).then(|| Status {
            code: 422,
            reason: "Invalid",
            message: message(problems),
            details: Some(Details {
                name: &self.name,
                group: GROUP,
                kind: spec::KIND,
                causes: problems
                    .iter()
                    .take(MAX_PROBLEMS)
                    .map(|(field, message)| Cause { reason: "FieldValueInvalid", field, message })
                    .collect(),
            }),
        });
        response::written(Response {
            uid: &self.uid,
            allowed: status.is_none(),
            warnings: warnings.clone(),
            status,
            ..Response::default()
        })
    }
}

/// About how many values a JSON text has, before it is parsed.
fn values(text: &str) -> usize {
    text.bytes().filter(|byte| matches!(byte, b',' | b'{' | b'[')).count()
}

fn extends(spec: &Value) -> Option<&str> {
    spec.get("extends")?.as_str()
}

/// All problems, for clients that print the message alone.
fn message(problems: &[(String, String)]) -> String {
    let lines = problems.iter().take(MAX_PROBLEMS).map(|(field, text)| format!("{field}: {text}"));
    let mut lines: Vec<String> = lines.collect();
    if problems.len() > MAX_PROBLEMS {
        lines.push(format!("and {} more", problems.len() - MAX_PROBLEMS));
    }
    match lines.as_slice() {
        [one] => one.clone(),
        lines => format!("{} problems:\n- {}", problems.len(), lines.join("\n- ")),
    }
}

#[cfg(test)]
mod tests;
