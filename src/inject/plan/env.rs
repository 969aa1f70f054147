//! Environment variables, by name.

use std::borrow::Cow;

use super::{
    changes::Changes,
    conflict::{ChangeReason, ConflictCode},
    facts::Facts,
};
use crate::{
    podspec::{Json, equal::is_subset},
    profile::template::{GID_VARIABLE, GPUS_VARIABLE},
};

pub(super) fn rule<'p>(facts: &Facts<'p>, changes: &mut Changes<'p>) {
    for (place, placement) in facts.merged() {
        for wanted in placement.wanted.list("env") {
            let name = wanted.text("name");
            let is_unwanted = facts.is_runner(place) && !facts.docker.wants_runner_env(name)
                || facts.docker.is_own_dind(place) && name == GID_VARIABLE;
            let mut wanted = Cow::Borrowed(wanted);
            if name == GPUS_VARIABLE {
                wanted.to_mut().set("value", facts.gpus.of_runner.to_string().into());
            }
            match variable(place.container, name) {
                _ if is_unwanted => {}
                None => {
                    let wanted = wanted.into_owned();
                    changes.append_in(place, "env", wanted, ChangeReason::Profile);
                }
                Some(there) if is_subset(&wanted, there) => {}
                Some(_) => {
                    let path = place.path(&format!(".env[{name}]"));
                    changes.kept(ConflictCode::EnvKept, path, facts.profile());
                }
            }
        }
    }
}

/// A container's environment variable `name`.
pub(super) fn variable<'j>(container: &'j Json<'j>, name: &str) -> Option<&'j Json<'j>> {
    // Of two of one name the last one counts.
    container.list("env").iter().rev().find(|variable| variable.text("name") == name)
}
