//! Security contexts: of the template's, what the pod's own settings exclude is left out.
//!
//! A container's own `runAsUser` and `runAsNonRoot` hold before the pod's, and the kubelet never
//! starts one that must not be root and is (`verifyRunAsNonRoot`).

use std::borrow::Cow;

use super::{
    changes::Changes,
    conflict::{ChangeReason, ConflictCode, Winner},
    env::variable,
    facts::{Facts, Target},
    merged::{At, merge},
};
use crate::{
    inject::patch::Step,
    podspec::{
        ContainerRef, Json, all_containers,
        equal::is_subset,
        merge::{container_field, pod_field},
    },
    profile::template::{DIND, GID_VARIABLE, HAS_RUNNERS_IMAGE},
};

const FIELD: &str = "securityContext";
const USER: &str = "runAsUser";
const NON_ROOT: &str = "runAsNonRoot";
const ESCALATION: &str = "allowPrivilegeEscalation";
/// The capability that the API server counts as privilege escalation
/// (`pkg/apis/core/validation`, `ValidateSecurityContext`).
const SYS_ADMIN: &str = "CAP_SYS_ADMIN";

/// A field of the template that the pod excludes, and what of the pod does.
type Exclusion = (&'static str, &'static str);

/// Security contexts of containers.
pub(super) fn rule<'p>(facts: &Facts<'p>, changes: &mut Changes<'p>) {
    for placement in &facts.placements {
        let name = placement.wanted.text("name");
        let wanted = placement.wanted.get(FIELD);
        match (placement.at, wanted) {
            (Target::There(place), Some(_))
                if name == DIND && facts.docker.is_profiles() && placement.is_added() =>
            {
                correct(facts, place, &placement.wanted, changes);
            }
            (Target::There(place), Some(wanted)) if facts.docker.wants_field(place, FIELD) => {
                let there = place.container.get(FIELD);
                let excluded = excluded(facts, there, wanted);
                let key = FIELD.into();
                let path = place.path(".securityContext");
                let mut wanted = without(wanted, &excluded, &path, changes);
                say_implied(facts, there, &mut wanted);
                let at = At::in_container(place, &key);
                merge(facts, at, there, &wanted, container_field(FIELD), changes);
            }
            (Target::New { .. }, Some(wanted)) => {
                let path = format!("spec[{name}].securityContext");
                without(wanted, &user_excluded(facts, None, wanted), &path, changes);
            }
            _ => {}
        }
        let is_new = matches!(placement.at, Target::New { .. });
        let templates = facts.template.dind();
        if is_new && name == DIND && templates.is_some_and(|d| !root_fields(facts, d).is_empty()) {
            let message = "dockerd must be root, so dind alone runs as user 0";
            let path = "spec.securityContext";
            changes.conflict(ConflictCode::DindRoot, Winner::Profile, path, message);
        }
    }
}

/// The security context of a new container: the profile's, without what the pod's own excludes. A
/// container that has the runner's image has the runner's context as well, so that Pod Security
/// takes it wherever it takes the runner.
pub(super) fn of_new<'p>(facts: &Facts<'p>, container: &Json<'p>) -> Option<Json<'p>> {
    let Some(wanted) = container.get(FIELD) else {
        let has_runners = HAS_RUNNERS_IMAGE.contains(&container.text("name"));
        return has_runners.then(|| of_runner(facts)).flatten();
    };
    let excluded = user_excluded(facts, None, wanted);
    let mut wanted = without(wanted, &excluded, "", &mut Changes::default());
    say_implied(facts, None, &mut wanted);
    Some(wanted)
}

/// The runner's security context as this plan makes it, and what it implies.
fn of_runner<'p>(facts: &Facts<'p>) -> Option<Json<'p>> {
    let there = facts.runner.container.get(FIELD);
    let wanted = facts.wanted_runner().and_then(|runner| runner.get(FIELD));
    let mut context = wanted.map_or(Json::Object(Vec::new()), |wanted| {
        let excluded = excluded(facts, there, wanted);
        without(&wanted.borrowed(), &excluded, "", &mut Changes::default())
    });
    for (field, value) in there.map(Json::members).unwrap_or_default() {
        context.set(field.as_ref(), value.borrowed());
    }
    say_implied(facts, None, &mut context);
    (!context.members().is_empty()).then_some(context)
}

/// Writes what the context implies, so that a policy that fills in what is unset finds nothing to
/// contradict: the API server refuses `allowPrivilegeEscalation: false` beside `privileged`, and
/// the kubelet `runAsNonRoot` beside user 0. dockerd writes to its root file system.
fn say_implied(facts: &Facts<'_>, there: Option<&Json<'_>>, wanted: &mut Json<'_>) {
    let says = |wanted: &Json<'_>, field: &str| {
        [Some(wanted), there].into_iter().flatten().any(|context| context.get(field).is_some())
    };
    let is_privileged = wanted.get("privileged").and_then(Json::as_bool) == Some(true);
    let is_non_root_pod =
        [facts.spec.get(FIELD), facts.template.field(FIELD)].into_iter().any(is_non_root);
    let is_root = is_root(Some(wanted));
    for (field, is_implied, value) in [
        (ESCALATION, is_privileged || adds_admin(wanted), true),
        (NON_ROOT, is_root || is_privileged && !is_non_root_pod, false),
        ("readOnlyRootFilesystem", is_privileged, false),
    ] {
        if is_implied && !says(wanted, field) {
            wanted.set(field, Json::from(value));
        }
    }
}

/// Sets back what others have filled into the dind that the webhook added: whatever keeps dockerd
/// from being privileged and root. Not capabilities: a privileged container has all of them, whatever its
/// list says (containerd, `WithPrivileged` comes after `WithCapabilities`).
fn correct<'p>(
    facts: &Facts<'p>,
    place: ContainerRef<'p>,
    container: &Json<'p>,
    changes: &mut Changes<'p>,
) {
    let Some(Json::Object(wanted)) = of_new(facts, container) else { return };
    let there = place.container.get(FIELD);
    let get = |field: &str| there.and_then(|there| there.get(field));
    let mut set = |field: Cow<'p, str>, value| {
        let mut steps = super::changes::steps(place, &[FIELD]);
        steps.push(Step::Key(field));
        changes.edits.set(&steps, value, ChangeReason::Dind);
    };
    let says = |field: &str| wanted.iter().any(|(key, _)| key == field);
    for field in [USER, "runAsGroup"] {
        let is_root = get(field).is_none_or(|id| id.as_i64() == Some(0));
        if !says(field) && !is_root {
            set(field.into(), Json::from(0_i64));
        }
    }
    for (field, value) in wanted {
        if get(&field).is_none_or(|there| !is_subset(&value, there)) {
            set(field, value);
        }
    }
}

/// With `supplementalGroupsPolicy: Strict` a process has no group of its image's `/etc/group`
/// (KEP-3619), so the runner gets the group of Docker's socket from the pod.
pub(super) fn docker_group_rule<'p>(facts: &Facts<'p>, changes: &mut Changes<'p>) {
    const GROUPS: &str = "supplementalGroups";
    let contexts = [facts.spec.get(FIELD), facts.template.field(FIELD)];
    let policy = facts.spec.at(&[FIELD, "supplementalGroupsPolicy"]).and_then(Json::as_str);
    if policy != Some("Strict") || !facts.docker.is_profiles() {
        return;
    }
    let variable = facts.template.dind().and_then(|dind| variable(dind, GID_VARIABLE));
    let Some(gid) = variable.and_then(|gid| gid.text("value").parse::<i64>().ok()) else { return };
    let mut groups = contexts.iter().flatten().flat_map(|context| context.list(GROUPS));
    if !groups.any(|group| group.as_i64() == Some(gid)) {
        let steps = [Step::key("spec"), Step::key(FIELD), Step::key(GROUPS)];
        changes.edits.append(&steps, Json::from(gid), ChangeReason::Dind);
    }
}

/// The pod's security context.
pub(super) fn of_pod<'p>(facts: &Facts<'p>, wanted: &'p Json<'static>, changes: &mut Changes<'p>) {
    let any = |is: fn(Option<&Json<'_>>) -> bool, other: &str| {
        all_containers(facts.spec).any(|place| {
            let own = place.container.get(FIELD);
            let is_there = own.is_some_and(|own| own.get(other).is_some());
            is(own) && !is_there && !is_added(facts, place, other)
        })
    };
    let mut excluded = contradicted(facts.spec.get(FIELD), wanted);
    if is_non_root(Some(wanted)) && any(is_root, NON_ROOT) {
        excluded.push((NON_ROOT, "runAsUser: 0 of a container"));
    } else if is_root(Some(wanted)) && any(is_non_root, USER) {
        excluded.push((USER, "runAsNonRoot: true of a container"));
    }
    let wanted = without(&wanted.borrowed(), &excluded, "spec.securityContext", changes);
    let there = facts.spec.get(FIELD);
    merge(facts, At::in_spec(FIELD), there, &wanted, pod_field(FIELD), changes);
}

/// Whether the profile adds this field to the security context of a container of the pod.
fn is_added(facts: &Facts<'_>, place: ContainerRef<'_>, field: &str) -> bool {
    facts.merged().filter(|(there, _)| there.is(place)).any(|(there, placement)| {
        let wanted = placement.wanted.get(FIELD).filter(|wanted| wanted.get(field).is_some());
        wanted.is_some_and(|wanted| {
            let excluded = excluded(facts, there.container.get(FIELD), wanted);
            facts.docker.wants_field(there, FIELD)
                && !excluded.iter().any(|(name, _)| *name == field)
        })
    })
}

/// What a dind container needs beside its own security context to be root: the pod's `runAsUser`,
/// `runAsGroup` and `runAsNonRoot` hold for each container that says nothing.
pub(super) fn root_fields(
    facts: &Facts<'_>,
    dind: &Json<'_>,
) -> Vec<(&'static str, Json<'static>)> {
    let own = dind.get(FIELD);
    let says = |field: &str| own.is_some_and(|own| own.get(field).is_some());
    let contexts = [facts.spec.get(FIELD), facts.template.field(FIELD)];
    let number =
        |field: &str| contexts.iter().flatten().find_map(|context| context.get(field)?.as_i64());
    let non_root = contexts.into_iter().any(is_non_root);
    let other_user = number(USER).is_some_and(|user| user != 0);
    let mut fields = Vec::new();
    if (non_root || other_user) && !says(USER) {
        fields.push((USER, Json::from(0_i64)));
    }
    if non_root && !says(NON_ROOT) {
        fields.push((NON_ROOT, Json::from(false)));
    }
    if number("runAsGroup").is_some_and(|group| group != 0) && !says("runAsGroup") {
        fields.push(("runAsGroup", Json::from(0_i64)));
    }
    fields
}

/// The context without the excluded fields, each of which is a conflict.
fn without<'p>(
    wanted: &Json<'p>,
    excluded: &[Exclusion],
    path: &str,
    changes: &mut Changes<'p>,
) -> Json<'p> {
    let mut rest = wanted.clone();
    for (field, by) in excluded {
        rest.take(field);
        changes.excluded(format!("{path}.{field}"), by);
    }
    rest
}

/// The fields of a container's wanted context that cannot stand in this pod.
fn excluded(facts: &Facts<'_>, there: Option<&Json<'_>>, wanted: &Json<'_>) -> Vec<Exclusion> {
    let mut excluded = contradicted(there, wanted);
    excluded.extend(user_excluded(facts, there, wanted));
    excluded
}

/// The fields of `wanted` that cannot stand beside what is `there` in the same context.
fn contradicted(there: Option<&Json<'_>>, wanted: &Json<'_>) -> Vec<Exclusion> {
    let Some(there) = there else { return Vec::new() };
    let is = |context: &Json<'_>, field: &str, value: bool| {
        context.get(field).and_then(Json::as_bool) == Some(value)
    };
    let mut excluded = Vec::new();
    if is(there, ESCALATION, false) {
        let by = "allowPrivilegeEscalation: false";
        if is(wanted, "privileged", true) {
            excluded.push(("privileged", by));
        }
        if adds_admin(wanted) {
            excluded.push(("capabilities", by));
        }
    }
    if is(wanted, ESCALATION, false) {
        if is(there, "privileged", true) {
            excluded.push((ESCALATION, "privileged: true"));
        } else if adds_admin(there) {
            excluded.push((ESCALATION, "capabilities.add: CAP_SYS_ADMIN"));
        }
    }
    if is_non_root(Some(wanted)) && is_root(Some(there)) {
        excluded.push((NON_ROOT, "runAsUser: 0"));
    }
    if is_root(Some(wanted)) && is_non_root(Some(there)) {
        excluded.push((USER, "runAsNonRoot: true"));
    }
    excluded
}

/// The field of a container's wanted context that the pod's own context excludes.
fn user_excluded(facts: &Facts<'_>, there: Option<&Json<'_>>, wanted: &Json<'_>) -> Vec<Exclusion> {
    let pods = facts.spec.get(FIELD);
    let says = |field: &str| {
        there.is_some_and(|there| there.get(field).is_some()) || wanted.get(field).is_some()
    };
    if is_non_root(Some(wanted)) && !says(USER) && is_root(pods) {
        vec![(NON_ROOT, "spec.securityContext.runAsUser: 0")]
    } else if is_root(Some(wanted)) && !says(NON_ROOT) && is_non_root(pods) {
        vec![(USER, "spec.securityContext.runAsNonRoot: true")]
    } else {
        Vec::new()
    }
}

fn adds_admin(context: &Json<'_>) -> bool {
    let added = context.at(&["capabilities", "add"]).map(Json::items).unwrap_or_default();
    added.iter().any(|capability| capability.as_str() == Some(SYS_ADMIN))
}

fn is_non_root(context: Option<&Json<'_>>) -> bool {
    context.and_then(|context| context.get(NON_ROOT)?.as_bool()) == Some(true)
}

fn is_root(context: Option<&Json<'_>>) -> bool {
    context.and_then(|context| context.get(USER)?.as_i64()) == Some(0)
}
