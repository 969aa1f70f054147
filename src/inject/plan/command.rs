//! Commands: of the runner, run by the start wrapper; of others, command and args as one line.

use super::{
    changes::Changes,
    conflict::{ChangeReason, ConflictCode, Winner},
    facts::{Facts, Placement},
    image::has_chart_command,
};
use crate::{
    podspec::{ContainerRef, Json},
    profile::template::{REGISTRY_CREDENTIALS_FILE, REGISTRY_CREDENTIALS_PATH, Start},
    scripts::{self, END_OF_OPTIONS, START_NAME, image::START_FILE},
};

/// The command that ARC's charts fill in.
const CHART_COMMAND: &str = "/home/runner/run.sh";

pub(super) fn rule<'p>(facts: &Facts<'p>, changes: &mut Changes<'p>) {
    for (place, placement) in facts.merged().filter(|(place, _)| !facts.is_runner(*place)) {
        if facts.docker.wants_field(place, "command") {
            of_other(facts, place, placement, changes);
        }
    }
    if facts.wanted_runner().is_some() || facts.template.start.is_some() {
        of_runner(facts, changes);
    }
}

/// Command and args count as one command line, however they are split.
fn of_other<'p>(
    facts: &Facts<'p>,
    place: ContainerRef<'p>,
    placement: &Placement<'p>,
    changes: &mut Changes<'p>,
) {
    let wanted: Vec<&Json<'_>> = line(&placement.wanted).collect();
    let there: Vec<&Json<'_>> = line(place.container).collect();
    if there.is_empty() {
        for field in ["command", "args"] {
            if let Some(value) = placement.wanted.get(field) {
                changes.set_in(place, &[field], value.clone(), ChangeReason::Profile);
            }
        }
    } else if !wanted.is_empty() && wanted != there {
        changes.kept(ConflictCode::CommandKept, place.path(".command"), facts.profile());
    }
}

fn line<'j>(container: &'j Json<'_>) -> impl Iterator<Item = &'j Json<'j>> {
    container.list("command").iter().chain(container.list("args"))
}

/// Sets the runner's command: the template's where only the chart's default is there, run by the
/// start wrapper where the template has one.
fn of_runner<'p>(facts: &Facts<'p>, changes: &mut Changes<'p>) {
    let place = facts.runner;
    let (command, args) = (place.container.list("command"), place.container.list("args"));
    let inner = unwrapped(command).unwrap_or(command);
    let template = facts.wanted_runner();
    let wanted = template.map(|runner| runner.list("command")).unwrap_or_default();
    let wanted_args = template.map(|runner| runner.list("args")).unwrap_or_default();

    let is_known = is_known(facts);
    let is_chart = matches!(inner, [Json::String(one)] if one == CHART_COMMAND);
    let is_default = args.is_empty() && (inner.is_empty() || is_chart);
    // Args alone are for the chart's command.
    let gets_args = is_default && !wanted_args.is_empty() && is_known;
    let line = if is_default && !wanted.is_empty() { wanted } else { inner };
    let mut line: Vec<Json<'p>> = line.to_vec();
    if gets_args {
        let args = Json::Array(wanted_args.to_vec());
        changes.set_in(place, &["args"], args, ChangeReason::Profile);
        if line.is_empty() {
            line.push(CHART_COMMAND.into());
        }
    } else if !is_default && !wanted.is_empty() && inner != wanted {
        changes.kept(ConflictCode::CommandKept, place.path(".command"), facts.profile());
    } else if !wanted_args.is_empty() && args != wanted_args {
        changes.kept(ConflictCode::CommandKept, place.path(".args"), facts.profile());
    }
    if let Some(start) = &facts.template.start {
        if !is_known {
            return entrypoint_kept(place, args.is_empty(), changes);
        }
        if line.is_empty() {
            line.push(CHART_COMMAND.into());
        }
        line = wrapped(facts, start, line);
    }
    if command != line && !line.is_empty() {
        let has_start = facts.template.start.is_some();
        let reason = if has_start { ChangeReason::Start } else { ChangeReason::Profile };
        changes.set_in(place, &["command"], Json::Array(line), reason);
    }
}

/// Whether it is known what the runner runs: its own command, the template's, or the chart's, which
/// an image that is known has.
fn is_known(facts: &Facts<'_>) -> bool {
    let (command, args) =
        (facts.runner.container.list("command"), facts.runner.container.list("args"));
    let has_own = |one: &Json<'_>| !one.list("command").is_empty();
    !unwrapped(command).unwrap_or(command).is_empty()
        || args.is_empty()
            && (facts.wanted_runner().is_some_and(has_own) || has_chart_command(facts))
}

/// Whether the runner has the start wrapper, and that waits for Docker.
pub(super) fn waits_for_docker(facts: &Facts<'_>) -> bool {
    facts.template.start.as_ref().is_some_and(|start| start.wait_for_docker > 0) && is_known(facts)
}

/// Without a command the image's own entrypoint runs, and a wrapper cannot run what it does not
/// know.
fn entrypoint_kept(place: ContainerRef<'_>, without_args: bool, changes: &mut Changes<'_>) {
    let (field, what) = if without_args {
        (".command", "without a command the pod runs")
    } else {
        (".args", "args without a command run")
    };
    let message = format!(
        "{what} the image's own entrypoint, which is not known here, so the start wrapper is left \
         out: set a command"
    );
    changes.conflict(ConflictCode::StartLeftOut, Winner::ScaleSet, place.path(field), message);
}

/// The start wrapper with its options, `--` and the runner's command; the pod's args follow by themselves,
/// because Kubernetes appends them to the command.
fn wrapped<'p>(facts: &Facts<'p>, start: &'p Start, line: Vec<Json<'p>>) -> Vec<Json<'p>> {
    let Start { command, options, wait_for_docker, docker_config } = start;
    let has_docker = facts.docker.is_in_pod();
    let wait = if has_docker { *wait_for_docker } else { 0 };
    let mut command: Vec<Json<'p>> = command.iter().map(Json::borrowed).collect();
    command.push(format!("--gpus={}", facts.gpus.of_runner).into());
    command.extend(options.iter().map(|option| Json::from(option.as_str())));
    command.push(format!("--wait-for-docker={wait}").into());
    if *docker_config && has_docker {
        let file = format!("{REGISTRY_CREDENTIALS_PATH}/{REGISTRY_CREDENTIALS_FILE}");
        command.push(format!("--docker-config={file}").into());
    }
    command.push(END_OF_OPTIONS.into());
    command.extend(line);
    command
}

/// The command inside the start wrapper, when `command` is it.
fn unwrapped<'j, 'p>(command: &'j [Json<'p>]) -> Option<&'j [Json<'p>]> {
    let rest = scripts::arguments(command, Json::as_str, START_NAME, START_FILE)?;
    let end = rest.iter().position(|word| word.as_str() == Some(END_OF_OPTIONS))?;
    rest.get(end + 1..)
}
