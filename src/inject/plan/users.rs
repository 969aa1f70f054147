//! The user that a container runs as. A container's own `runAsUser` and `runAsNonRoot` hold
//! before the pod's, and the kubelet never starts one that must not be root and is
//! (`verifyRunAsNonRoot`).

use std::borrow::Cow;

use serde_json::Value;

use super::{Planner, all_containers};
use crate::{podspec::Json, profile::template::name_of};

const USER: &str = "runAsUser";
const NON_ROOT: &str = "runAsNonRoot";

impl Planner<'_> {
    /// The field of a container's wanted security context that the pod's own excludes, and why.
    pub(super) fn container_user_excluded(
        &self,
        there: Option<&Json<'_>>,
        wanted: &Value,
    ) -> Option<(&'static str, &'static str)> {
        let pods = self.spec.get("securityContext");
        let says = |field: &str| {
            there.is_some_and(|there| there.get(field).is_some()) || wanted.get(field).is_some()
        };
        if wanted.get(NON_ROOT) == Some(&Value::Bool(true)) && !says(USER) && is_root(pods) {
            Some((NON_ROOT, "spec.securityContext.runAsUser: 0"))
        } else if is_root_value(wanted) && !says(NON_ROOT) && is_non_root(pods) {
            Some((USER, "spec.securityContext.runAsNonRoot: true"))
        } else {
            None
        }
    }

    /// The field of the pod's wanted security context that one of its containers excludes.
    pub(super) fn pod_user_excluded(&self, wanted: &Value) -> Option<(&'static str, &'static str)> {
        let any = |is: fn(Option<&Json<'_>>) -> bool, other: &str| {
            all_containers(self.spec).any(|place| {
                let own = place.container.get("securityContext");
                is(own) && own.is_none_or(|own| own.get(other).is_none())
            })
        };
        if wanted.get(NON_ROOT) == Some(&Value::Bool(true)) && any(is_root, NON_ROOT) {
            Some((NON_ROOT, "runAsUser: 0 of a container"))
        } else if is_root_value(wanted) && any(is_non_root, USER) {
            Some((USER, "runAsNonRoot: true of a container"))
        } else {
            None
        }
    }

    /// Takes the user that the pod's own context excludes out of a new container.
    pub(super) fn fit_user(&mut self, container: &mut Cow<'_, Value>) {
        let context = container.get("securityContext");
        let excluded = context.and_then(|wanted| self.container_user_excluded(None, wanted));
        let Some((field, why)) = excluded else { return };
        self.security_kept(format!("spec[{}].securityContext.{field}", name_of(container)), why);
        if let Some(Value::Object(context)) = container.to_mut().get_mut("securityContext") {
            context.remove(field);
        }
    }

    /// What a dind container needs beside its own security context to be root: the pod's
    /// `runAsUser`, `runAsGroup` and `runAsNonRoot` hold for each container that says nothing.
    pub(super) fn root_fields(&self, dind: &Value) -> Vec<(&'static str, Value)> {
        let own = dind.get("securityContext");
        let says = |field: &str| own.is_some_and(|own| own.get(field).is_some());
        let pods = self.spec.get("securityContext");
        let templates = self.template.spec.get("securityContext");
        let number = |field: &str| {
            let pods = pods.and_then(|context| context.get(field)?.as_i64());
            pods.or_else(|| templates.and_then(|context| context.get(field)?.as_i64()))
        };
        let non_root = pods.and_then(|context| context.get("runAsNonRoot")?.as_bool())
            == Some(true)
            || templates.and_then(|context| context.get("runAsNonRoot")?.as_bool()) == Some(true);
        let other_user = number("runAsUser").is_some_and(|user| user != 0);
        let mut fields = Vec::new();
        if (non_root || other_user) && !says("runAsUser") {
            fields.push(("runAsUser", Value::from(0)));
        }
        if non_root && !says("runAsNonRoot") {
            fields.push(("runAsNonRoot", Value::from(false)));
        }
        if number("runAsGroup").is_some_and(|group| group != 0) && !says("runAsGroup") {
            fields.push(("runAsGroup", Value::from(0)));
        }
        fields
    }
}

fn is_non_root(context: Option<&Json<'_>>) -> bool {
    context.and_then(|context| context.get(NON_ROOT)?.as_bool()) == Some(true)
}

fn is_root(context: Option<&Json<'_>>) -> bool {
    context.and_then(|context| context.get(USER)?.as_i64()) == Some(0)
}

fn is_root_value(context: &Value) -> bool {
    context.get(USER).and_then(Value::as_i64) == Some(0)
}
