//! Fields without a rule of their own, laid under the pod's by Kubernetes' merge keys.

use std::borrow::Cow;

use super::{
    changes::{Changes, steps},
    conflict::{ChangeReason, ConflictCode},
    facts::{Facts, Placement},
};
use crate::{
    inject::patch::Step,
    podspec::{
        ContainerRef, Json,
        equal::{is_subset, same_item, set_has},
        merge::{Merge, Owner, container_field, is_default},
    },
};

/// Fields of containers that have a rule of their own.
const OWN_RULE: [&str; 10] = [
    "args",
    "command",
    "env",
    "image",
    "imagePullPolicy",
    "name",
    "ports",
    "resources",
    "securityContext",
    "volumeMounts",
];
/// Fields that an init container can only have when it is a sidecar.
const OF_SIDECARS: [&str; 4] = ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"];

/// Fields of containers without a rule of their own: probes, lifecycle, workingDir and so on.
pub(super) fn containers_rule<'p>(facts: &Facts<'p>, changes: &mut Changes<'p>) {
    for (place, placement) in facts.merged() {
        for (key, wanted) in placement.wanted.members() {
            let field = key.as_ref();
            if OWN_RULE.contains(&field)
                || !facts.docker.wants_field(place, field)
                || OF_SIDECARS.contains(&field) && !is_restarted(place, placement)
            {
                continue;
            }
            let at = At::in_container(place, key);
            merge(facts, at, place.container.get(field), wanted, container_field(field), changes);
        }
    }
}

/// Whether a container may have probes: all but init containers that run once.
fn is_restarted(place: ContainerRef<'_>, placement: &Placement<'_>) -> bool {
    let policy = match place.container.get("restartPolicy") {
        Some(there) => there.as_str().unwrap_or_default(),
        None => placement.wanted.text("restartPolicy"),
    };
    place.list == "containers" || policy == "Always"
}

/// Where a field is.
pub(super) struct At<'p> {
    steps: Vec<Step<'p>>,
    /// The path shown to people.
    path: String,
    /// What has the field.
    owner: Owner,
}

impl<'p> At<'p> {
    /// The field `key` of a container that is in the pod.
    pub(super) fn in_container(place: ContainerRef<'_>, key: &Cow<'p, str>) -> Self {
        let mut steps = steps(place, &[]);
        steps.push(Step::Key(key.clone()));
        Self { steps, path: place.path(&format!(".{key}")), owner: Owner::Container }
    }

    /// The field `key` of `spec`.
    pub(super) fn in_spec(key: &'p str) -> Self {
        let steps = vec![Step::key("spec"), Step::key(key)];
        Self { steps, path: format!("spec.{key}"), owner: Owner::Pod }
    }

    pub(super) fn member(&self, key: &Cow<'p, str>) -> Self {
        let mut steps = self.steps.clone();
        steps.push(Step::Key(key.clone()));
        let path = if key.contains(['.', '/']) {
            format!("{}[{key}]", self.path)
        } else {
            format!("{}.{key}", self.path)
        };
        Self { steps, path, owner: Owner::Other }
    }

    /// Whether the API server or ARC's chart fills in `there` by itself.
    fn is_default(&self, there: &Json<'_>) -> bool {
        match self.steps.last() {
            Some(Step::Key(field)) => is_default(self.owner, field, there),
            _ => false,
        }
    }
}

/// Lays `wanted` under what is `there`.
pub(super) fn merge<'p>(
    facts: &Facts<'p>,
    at: At<'p>,
    there: Option<&Json<'_>>,
    wanted: &Json<'p>,
    merge_by: Merge,
    changes: &mut Changes<'p>,
) {
    let append = |item: &Json<'p>, changes: &mut Changes<'p>| {
        changes.edits.append(&at.steps, item.clone(), ChangeReason::Profile);
    };
    let items = there.map(Json::items).unwrap_or_default();
    match (merge_by, wanted) {
        (Merge::Map(rule), Json::Object(wanted)) => {
            for (key, wanted) in wanted {
                let there = there.and_then(|there| there.get(key));
                let at = at.member(key);
                merge(facts, at, there, wanted, rule(key), changes);
            }
        }
        (Merge::Set | Merge::AtMost(_), Json::Array(wanted)) => {
            let most = if let Merge::AtMost(most) = merge_by { most } else { usize::MAX };
            let missing = wanted.iter().filter(|wanted| !set_has(items, wanted));
            for (index, wanted) in missing.enumerate() {
                if items.len() + index >= most {
                    return changes.kept(ConflictCode::FieldKept, at.path, facts.profile());
                }
                append(wanted, changes);
            }
        }
        (Merge::Keyed(keys), Json::Array(wanted)) => {
            for wanted in wanted {
                match items.iter().find(|item| same_item(item, wanted, keys)) {
                    None => append(wanted, changes),
                    Some(item) if is_subset(wanted, item) => {}
                    Some(_) => {
                        let key = keys.first().map(|key| wanted.text(key)).unwrap_or_default();
                        let path = format!("{}[{key}]", at.path);
                        changes.kept(ConflictCode::FieldKept, path, facts.profile());
                    }
                }
            }
        }
        (_, wanted) => match there {
            None => changes.edits.set(&at.steps, wanted.clone(), ChangeReason::Profile),
            Some(there) if is_subset(wanted, there) => {}
            Some(there) if at.is_default(there) => {
                changes.edits.set(&at.steps, wanted.clone(), ChangeReason::Default);
            }
            Some(_) => changes.kept(ConflictCode::FieldKept, at.path, facts.profile()),
        },
    }
}
