//! The start wrapper: the runner's own command, run by ours.

use serde_json::{Value, json};

use super::{Code, Place, Planner, Reason, Winner, list};
use crate::{
    patch::Step,
    pod::Json,
    profile::template::{RUNNER, Start},
    scripts::{self, START_NAME},
};

/// The command that ARC's charts fill in.
const CHART_COMMAND: &str = "/home/runner/run.sh";

/// Where the runner finds the registry credentials of the profile's Secret.
const DOCKER_CONFIG_FILE: &str = "/etc/arc-rocm/docker/config.json";

/// Ends the wrapper's own options.
const END_OF_OPTIONS: &str = "--";

impl<'p> Planner<'p> {
    /// Sets the runner's command: the template's where only the chart's default is there, run by
    /// the start wrapper where the template has one.
    pub(super) fn start(&mut self, place: Place<'p>) {
        let command = place.container.list("command");
        let args = place.container.list("args");
        let inner = unwrapped(command).unwrap_or(command);
        let template = self.template.container(RUNNER);
        let wanted = template.map(|runner| list(runner, "command")).unwrap_or_default();
        let wanted_args = template.and_then(|runner| runner.get("args"));

        let is_default = args.is_empty()
            && (inner.is_empty() || matches!(inner, [Json::String(one)] if one == CHART_COMMAND));
        let is_wanted = !wanted.is_empty()
            && inner.len() == wanted.len()
            && inner.iter().zip(wanted).all(|(there, wanted)| there.as_str() == wanted.as_str());
        let mut line: Vec<Value>;
        if is_default && !wanted.is_empty() {
            line = wanted.to_vec();
            if let Some(args) = wanted_args {
                self.edits.set(&place.steps(&[Step::Key("args")]), args.clone(), Reason::Profile);
            }
        } else {
            line = inner.iter().map(Json::to_value).collect();
            if !wanted.is_empty() && !is_wanted {
                self.kept(Code::CommandKept, place.label(".command"));
            }
        }
        if let Some(start) = &self.template.start {
            if line.is_empty() && !args.is_empty() {
                self.conflict(
                    Code::StartLeftOut,
                    Winner::Author,
                    place.label(".args"),
                    "args without a command run the image's own entrypoint, which is not known \
                     here, so the start wrapper is left out: set a command"
                        .to_owned(),
                );
                return;
            }
            if line.is_empty() {
                line.push(CHART_COMMAND.into());
            }
            line = self.wrapped(start, line);
        }
        let same = command.len() == line.len()
            && command.iter().zip(&line).all(|(there, word)| there.as_str() == word.as_str());
        if !same && !line.is_empty() {
            let reason =
                if self.template.start.is_some() { Reason::Start } else { Reason::Profile };
            self.edits.set(&place.steps(&[Step::Key("command")]), Value::Array(line), reason);
        }
    }

    /// `/bin/sh -c SCRIPT arc-rocm-start OPTIONS -- COMMAND...`; the pod's args follow by
    /// themselves, because Kubernetes appends them to the command.
    fn wrapped(&self, start: &Start, line: Vec<Value>) -> Vec<Value> {
        let Start { group_add, wait_for_docker, docker_config } = start;
        let wait = if self.has_docker() { *wait_for_docker } else { 0 };
        let mut command: Vec<Value> =
            vec![json!("/bin/sh"), json!("-c"), json!(scripts::START), json!(START_NAME)];
        command.push(format!("--gpus={}", self.runner_gpus()).into());
        command.extend(group_add.iter().map(|gid| Value::from(format!("--group-add={gid}"))));
        command.push(format!("--wait-for-docker={wait}").into());
        if *docker_config && self.has_docker() {
            command.push(format!("--docker-config={DOCKER_CONFIG_FILE}").into());
        }
        command.push(END_OF_OPTIONS.into());
        command.extend(line);
        command
    }
}

/// The command inside our wrapper, when `command` is it.
fn unwrapped<'j, 'p>(command: &'j [Json<'p>]) -> Option<&'j [Json<'p>]> {
    let [shell, flag, _script, name, rest @ ..] = command else { return None };
    let is_ours = shell.as_str() == Some("/bin/sh")
        && flag.as_str() == Some("-c")
        && name.as_str() == Some(START_NAME);
    if !is_ours {
        return None;
    }
    let end = rest.iter().position(|word| word.as_str() == Some(END_OF_OPTIONS))?;
    rest.get(end + 1..)
}
