//! Containers: the template's runner laid under the pod's, and the others put in.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{ConflictCode, Place, Planner, Reason, Winner, docker, field::At, text};
use crate::{
    inject::patch::Step,
    podspec::{
        equal::covers,
        image::{default_pull_policy, is_chart_image, is_chart_image_or_pinned},
        merge::container_field,
    },
    profile::template::{DIND, GID_VARIABLE, HAS_RUNNERS_IMAGE, INIT_EXTERNALS, RUNNER, name_of},
};

/// Whether an image's pull policy is the one that the API server fills in.
fn is_unwritten(image: &str, policy: &str) -> bool {
    policy.is_empty() || policy == default_pull_policy(image)
}

impl<'p> Planner<'p> {
    pub(super) fn containers(&mut self) {
        let template = self.template;
        let runner = Place { list: "containers", index: self.runner_index, container: self.runner };
        if let Some(wanted) = template.container(RUNNER) {
            let wanted = self.adapted(wanted);
            self.merge(runner, &wanted);
        }
        self.start(runner);
        // The template's init containers go in before the author's own, in their order.
        let mut next = 0;
        for wanted in &template.init_containers {
            next = self.container("initContainers", wanted, Some(next));
        }
        for wanted in template.containers.iter().filter(|wanted| name_of(wanted) != RUNNER) {
            self.container("containers", wanted, None);
        }
        self.complete_pairs();
    }

    /// Puts one container in, or merges it with the one of its name. `before` is the index at
    /// which a new one goes in; at the end without. Returns the index for the one that follows.
    fn container(&mut self, list: &'static str, wanted: &'p Value, before: Option<usize>) -> usize {
        let name = name_of(wanted);
        let next = before.unwrap_or_default();
        if !self.wants_container(name) {
            return next;
        }
        let other = if list == "containers" { "initContainers" } else { "containers" };
        let place = if name == DIND { self.own_dind() } else { None };
        if let Some(place) = place.or_else(|| Place::find(self.spec, list, name)) {
            let wanted = self.adapted_with_image(wanted);
            self.merge(place, &wanted);
            return if place.list == list { next.max(place.index + 1) } else { next };
        }
        if let Some(place) = Place::find(self.spec, other, name) {
            self.conflict(
                ConflictCode::NameTaken,
                Winner::Author,
                place.label(""),
                format!("the name is taken, so profile {} adds none to {list}", self.profile()),
            );
            return next;
        }
        if name == DIND && !self.root_fields(wanted).is_empty() {
            self.conflict(
                ConflictCode::DindRoot,
                Winner::Profile,
                "spec.securityContext",
                "dockerd must be root, so dind alone runs as user 0".to_owned(),
            );
        }
        self.insert(list, wanted, before);
        next
    }

    fn insert(&mut self, list: &'static str, wanted: &'p Value, before: Option<usize>) {
        let name = name_of(wanted);
        let mut new = self.adapted_with_image(wanted);
        self.fit_devices(&mut new);
        for field in ["volumeMounts", "volumeDevices"] {
            for mount in super::list(&new, field) {
                self.use_volume(text(mount, "name"));
            }
        }
        self.fit_user(&mut new);
        self.fit_resources(&mut new);
        self.fit_ports(&mut new);
        self.fit_resize_policy(&mut new);
        let reason = match name {
            DIND => Reason::Dind,
            INIT_EXTERNALS => Reason::Externals,
            _ => Reason::Profile,
        };
        let steps = [Step::Key("spec"), Step::Key(list)];
        match before {
            Some(index) => self.edits.insert(&steps, index, new, reason),
            None => self.edits.append(&steps, new, reason),
        }
    }

    /// As [`Planner::adapted`]; those that need the runner's image get the one it ends up with.
    fn adapted_with_image(&self, wanted: &'p Value) -> Cow<'p, Value> {
        let mut adapted = self.adapted(wanted);
        if HAS_RUNNERS_IMAGE.contains(&name_of(wanted)) && wanted.get("image").is_none() {
            let (image, policy) = self.runner_image();
            if let Value::Object(members) = adapted.to_mut() {
                members.insert("image".into(), image.into());
                if !policy.is_empty() {
                    members.insert("imagePullPolicy".into(), policy.into());
                }
            }
        }
        adapted
    }

    /// The image and pull policy that the runner ends up with.
    fn runner_image(&self) -> (&'p str, &'p str) {
        let there = self.runner.text("image");
        let policy_there = self.runner.text("imagePullPolicy");
        let Some(wanted) = self.template.container(RUNNER) else { return (there, policy_there) };
        let (image, policy) = (text(wanted, "image"), text(wanted, "imagePullPolicy"));
        if image.is_empty() {
            (there, policy_there)
        } else if there.is_empty() || is_chart_image(there) {
            (image, policy)
        } else if there == image && !policy.is_empty() && is_unwritten(there, policy_there) {
            (there, policy)
        } else {
            (there, policy_there)
        }
    }

    /// Whether the runner ends up with an image that is known to have ARC's command: the chart's
    /// or the profile's. Another runs its own entrypoint where there is no command.
    pub(super) fn has_chart_command(&self) -> bool {
        let (image, _) = self.runner_image();
        let profiles = self.template.container(RUNNER).map(|wanted| text(wanted, "image"));
        is_chart_image_or_pinned(image) || profiles == Some(image)
    }

    /// Lays `wanted` under the container at `place`, field by field.
    fn merge(&mut self, place: Place<'p>, wanted: &Value) {
        let Value::Object(members) = wanted else { return };
        let kept = self.fields_kept(place);
        let is_runner = place.list == "containers" && place.index == self.runner_index;
        for (field, value) in members.iter().filter(|(field, _)| !kept.contains(&field.as_str())) {
            match field.as_str() {
                "name" | "imagePullPolicy" | "args" => {}
                "image" => self.image(
                    place,
                    value.as_str().unwrap_or_default(),
                    text(wanted, "imagePullPolicy"),
                ),
                // The start wrapper runs the runner's.
                "command" if is_runner => {}
                "command" => self.command(place, wanted),
                "env" => self.env(place, super::list(wanted, "env"), is_runner),
                "volumeMounts" => self.mounts(place, wanted, is_runner),
                "volumeDevices" => self.devices(place, super::list(wanted, field)),
                "resizePolicy" => self.resize_policy(place, value),
                // Refused for an init container that the author does not restart.
                "startupProbe" | "livenessProbe" | "readinessProbe" | "lifecycle"
                    if !is_restarted(place, wanted) => {}
                "ports" => self.ports(place, super::list(wanted, field)),
                "resources" => self.resources(place, value),
                "securityContext" => self.container_security(place, value),
                _ => {
                    let steps = place.steps(&[Step::Key(field)]);
                    let label = place.label(&format!(".{field}"));
                    let there = place.container.get(field);
                    self.field(
                        At { steps: &steps, label: &label },
                        there,
                        value,
                        container_field(field),
                    );
                }
            }
        }
        if members.contains_key("args")
            && !members.contains_key("command")
            && !is_runner
            && !kept.contains(&"args")
        {
            self.command(place, wanted);
        }
    }

    /// An author's image is kept together with its pull policy.
    fn image(&mut self, place: Place<'p>, image: &str, policy: &str) {
        let there = place.container.text("image");
        let policy_there = place.container.text("imagePullPolicy");
        let mut set = |field, value: &str, reason| {
            self.edits.set(&place.steps(&[Step::Key(field)]), Value::from(value), reason);
        };
        if there.is_empty() || (is_chart_image(there) && there != image) {
            set("image", image, Reason::Default);
            if !policy.is_empty() && policy != policy_there {
                set("imagePullPolicy", policy, Reason::Default);
            }
        } else if there == image {
            if !policy.is_empty() && policy != policy_there {
                if is_unwritten(there, policy_there) {
                    set("imagePullPolicy", policy, Reason::Default);
                } else {
                    self.kept(ConflictCode::ImageKept, place.label(".imagePullPolicy"));
                }
            }
        } else {
            self.kept(ConflictCode::ImageKept, place.label(".image"));
        }
    }

    /// Command and args count as one command line, however they are split.
    fn command(&mut self, place: Place<'p>, wanted: &Value) {
        let line = |field| place.container.list(field).iter();
        let mut there = line("command").chain(line("args"));
        let mut line = super::list(wanted, "command").iter().chain(super::list(wanted, "args"));
        if there.clone().next().is_none() {
            for field in ["command", "args"] {
                if let Some(value) = wanted.get(field) {
                    self.edits.set(
                        &place.steps(&[Step::Key(field)]),
                        value.clone(),
                        Reason::Profile,
                    );
                }
            }
        } else if !(line.all(|word| there.next().is_some_and(|there| covers(there, word)))
            && there.next().is_none())
        {
            self.kept(ConflictCode::CommandKept, place.label(".command"));
        }
    }

    fn env(&mut self, place: Place<'p>, wanted: &[Value], is_runner: bool) {
        for wanted in wanted {
            let name = name_of(wanted);
            if (is_runner && !self.wants_runner_env(name))
                || (self.is_own_dind(place) && name == GID_VARIABLE)
            {
                continue;
            }
            match docker::env(place.container, name) {
                None => self.edits.append(
                    &place.steps(&[Step::Key("env")]),
                    wanted.clone(),
                    Reason::Profile,
                ),
                Some(there) if covers(there, wanted) => {}
                Some(_) => self.kept(ConflictCode::EnvKept, place.label(&format!(".env[{name}]"))),
            }
        }
    }
}

/// Whether a container may have probes: all but init containers that run once.
fn is_restarted(place: Place<'_>, wanted: &Value) -> bool {
    let policy = match place.container.get("restartPolicy") {
        Some(there) => there.as_str().unwrap_or_default(),
        None => text(wanted, "restartPolicy"),
    };
    place.list == "containers" || policy == "Always"
}

/// The members of a template's object; none when it is not one.
pub(super) fn members(value: Option<&Value>) -> Option<&Map<String, Value>> {
    value.and_then(Value::as_object)
}
