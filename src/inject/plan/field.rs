//! Fields without code of their own: merged by the table in [`super::merge`].

use serde_json::{Map, Value};

use super::{ConflictCode, Planner, Reason};
use crate::{
    inject::patch::Step,
    podspec::{
        Json,
        equal::covers,
        merge::{Merge, Owner, is_default, pod_field, same_item, set_has},
    },
};

/// Where a field is: the steps to it, and the path shown to people.
#[derive(Clone, Copy)]
pub(super) struct At<'s> {
    pub(super) steps: &'s [Step<'s>],
    pub(super) label: &'s str,
}

impl At<'_> {
    /// Runs `visit` with the place of the member `key`.
    pub(super) fn member<T>(&self, key: &str, visit: impl FnOnce(At<'_>) -> T) -> T {
        let mut steps = self.steps.to_vec();
        steps.push(Step::Key(key));
        let label = if key.contains(['.', '/']) {
            format!("{}[{key}]", self.label)
        } else {
            format!("{}.{key}", self.label)
        };
        visit(At { steps: &steps, label: &label })
    }
}

/// What the Priority admission plugin computes from the class.
const PRIORITY: [&str; 2] = ["priority", "preemptionPolicy"];

impl<'p> Planner<'p> {
    /// One field of `spec`.
    pub(super) fn pod_field(&mut self, field: &str, wanted: &'p Value) {
        let there = self.spec.get(field);
        if self.pod_field_excluded(field, wanted) {
            return;
        }
        let class = self.spec.text("priorityClassName");
        if PRIORITY.contains(&field)
            && there.is_some()
            && class.is_empty()
            && self.template.spec.contains_key("priorityClassName")
        {
            // Goes in with the class.
            return;
        }
        let is_unwritten = |there: &Json<'_>| is_default(Owner::Pod, field, there);
        let steps = [Step::Key("spec"), Step::Key(field)];
        let label = format!("spec.{field}");
        let at = At { steps: &steps, label: &label };
        self.field(at, there, wanted, pod_field(field));
        match field {
            "priorityClassName" if there.is_none_or(is_unwritten) => self.recompute_priority(),
            // The old name of the same field; the API server refuses a pod in which they differ.
            "serviceAccountName"
                if there.is_none_or(|there| is_unwritten(there) && !covers(there, wanted)) =>
            {
                let steps = [Step::Key("spec"), Step::Key("serviceAccount")];
                if !self.spec.get("serviceAccount").is_some_and(|there| covers(there, wanted)) {
                    self.edits.set(&steps, wanted.clone(), Reason::Profile);
                }
            }
            _ => {}
        }
    }

    /// The Priority admission plugin ran before us and wrote the default class' values; with
    /// another class it refuses them with 403 (`plugin/pkg/admission/priority`), and ARC never
    /// tries again. Null makes it compute them anew; so does the value of the profile's class.
    fn recompute_priority(&mut self) {
        for field in PRIORITY {
            let value = self.template.spec.get(field).unwrap_or(&Value::Null);
            if self.spec.get(field).is_some_and(|there| !covers(there, value)) {
                let steps = [Step::Key("spec"), Step::Key(field)];
                self.edits.set(&steps, value.clone(), Reason::Priority);
            }
        }
    }

    /// Lays `wanted` under what is `there`.
    pub(super) fn field(
        &mut self,
        at: At<'_>,
        there: Option<&Json<'_>>,
        wanted: &Value,
        merge: Merge,
    ) {
        match (merge, wanted) {
            (Merge::Map(rule), Value::Object(wanted)) => self.map(at, there, wanted, rule),
            (Merge::Set | Merge::AtMost(_), Value::Array(wanted)) => {
                let items = there.map(Json::items).unwrap_or_default();
                let mut room = match merge {
                    Merge::AtMost(most) => most.saturating_sub(items.len()),
                    _ => usize::MAX,
                };
                for wanted in wanted.iter().filter(|wanted| !set_has(items, wanted)) {
                    if room == 0 {
                        return self.kept(ConflictCode::FieldKept, at.label);
                    }
                    room -= 1;
                    self.append(at, wanted);
                }
            }
            (Merge::Keyed(keys), Value::Array(wanted)) => {
                let items = there.map(Json::items).unwrap_or_default();
                for wanted in wanted {
                    match items.iter().find(|item| same_item(item, wanted, keys)) {
                        None => self.append(at, wanted),
                        Some(item) if covers(item, wanted) => {}
                        Some(_) => {
                            let key = keys.first().and_then(|key| wanted.get(*key));
                            let key = key.map(plain).unwrap_or_default();
                            self.kept(ConflictCode::FieldKept, format!("{}[{key}]", at.label));
                        }
                    }
                }
            }
            (_, wanted) => self.whole(at, there, wanted),
        }
    }

    fn map(
        &mut self,
        at: At<'_>,
        there: Option<&Json<'_>>,
        wanted: &Map<String, Value>,
        rule: fn(&str) -> Merge,
    ) {
        for (key, wanted) in wanted {
            let there = there.and_then(|there| there.get(key));
            at.member(key, |at| self.field(at, there, wanted, rule(key)));
        }
    }

    /// A value that is merged as a whole.
    fn whole(&mut self, at: At<'_>, there: Option<&Json<'_>>, wanted: &Value) {
        let (owner, name) = match at.steps {
            [_, Step::Key(field)] => (Owner::Pod, *field),
            [_, _, Step::Index(_), Step::Key(field)] => (Owner::Container, *field),
            _ => (Owner::Other, ""),
        };
        match there {
            None => self.set(at, wanted, Reason::Profile),
            Some(there) if covers(there, wanted) => {}
            Some(there) if is_default(owner, name, there) => self.set(at, wanted, Reason::Default),
            Some(_) => self.kept(ConflictCode::FieldKept, at.label),
        }
    }

    pub(super) fn set(&mut self, at: At<'_>, value: &Value, reason: Reason) {
        self.edits.set(at.steps, value.clone(), reason);
    }

    fn append(&mut self, at: At<'_>, value: &Value) {
        self.edits.append(at.steps, value.clone(), Reason::Profile);
    }
}

/// A scalar without its quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
