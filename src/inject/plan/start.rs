//! The start wrapper: the runner's own command, run by ours.

use serde_json::{Value, json};

use super::{ConflictCode, Place, Planner, Reason, Winner, list};
use crate::{
    inject::patch::Step,
    podspec::Json,
    profile::template::{REGISTRY_CREDENTIALS_FILE, REGISTRY_CREDENTIALS_PATH, RUNNER, Start},
    scripts::{self, START_NAME},
};

/// The command that ARC's charts fill in.
const CHART_COMMAND: &str = "/home/runner/run.sh";

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
        let wanted_args = template.map(|runner| list(runner, "args")).unwrap_or_default();

        let is_known = !inner.is_empty() || self.has_chart_command();
        let is_default = args.is_empty()
            && (inner.is_empty() || matches!(inner, [Json::String(one)] if one == CHART_COMMAND));
        // Args alone are for the chart's command.
        let gets_args = is_default && !wanted_args.is_empty() && (is_known || !wanted.is_empty());
        let is_wanted = !wanted.is_empty() && same(inner, wanted);
        let mut line: Vec<Value> = if is_default && !wanted.is_empty() {
            wanted.to_vec()
        } else {
            inner.iter().map(Json::to_value).collect()
        };
        if gets_args {
            let args = Value::from(wanted_args);
            self.edits.set(&place.steps(&[Step::Key("args")]), args, Reason::Profile);
            if line.is_empty() {
                line.push(CHART_COMMAND.into());
            }
        } else if !is_default && !wanted.is_empty() && !is_wanted {
            self.kept(ConflictCode::CommandKept, place.label(".command"));
        } else if !wanted_args.is_empty() && !same(args, wanted_args) {
            self.kept(ConflictCode::CommandKept, place.label(".args"));
        }
        if let Some(start) = &self.template.start {
            if line.is_empty() && !(args.is_empty() && is_known) {
                let field = if args.is_empty() { "command" } else { "args" };
                self.entrypoint_kept(place, field);
                return;
            }
            if line.is_empty() {
                line.push(CHART_COMMAND.into());
            }
            line = self.wrapped(start, line);
        }
        if !same(command, &line) && !line.is_empty() {
            let reason =
                if self.template.start.is_some() { Reason::Start } else { Reason::Profile };
            self.edits.set(&place.steps(&[Step::Key("command")]), Value::Array(line), reason);
        }
    }

    /// Without a command the image's own entrypoint runs, and a wrapper cannot run what it does
    /// not know.
    fn entrypoint_kept(&mut self, place: Place<'p>, field: &str) {
        let what = if field == "args" {
            "args without a command run"
        } else {
            "without a command the pod runs"
        };
        let message = format!(
            "{what} the image's own entrypoint, which is not known here, so the start wrapper is \
             left out: set a command"
        );
        self.conflict(
            ConflictCode::StartLeftOut,
            Winner::Author,
            place.label(&format!(".{field}")),
            message,
        );
    }

    /// `/bin/sh -c SCRIPT arc-rocm-start OPTIONS -- COMMAND...`; the pod's args follow by
    /// themselves, because Kubernetes appends them to the command.
    fn wrapped(&self, start: &Start, line: Vec<Value>) -> Vec<Value> {
        let Start { group_add, rocr_indices, cpuset, wait_for_docker, docker_config } = start;
        let wait = if self.has_docker() { *wait_for_docker } else { 0 };
        let mut command: Vec<Value> =
            vec![json!("/bin/sh"), json!("-c"), json!(scripts::START), json!(START_NAME)];
        command.push(format!("--gpus={}", self.runner_gpus()).into());
        match group_add {
            Some(gids) => {
                command.extend(gids.iter().map(|gid| Value::from(format!("--group-add={gid}"))));
            }
            None => command.push("--group-add=nodes".into()),
        }
        if *rocr_indices {
            command.push("--rocr-indices".into());
        }
        if *cpuset {
            command.push("--cpuset".into());
        }
        command.push(format!("--wait-for-docker={wait}").into());
        if *docker_config && self.has_docker() {
            let file = format!("{REGISTRY_CREDENTIALS_PATH}/{REGISTRY_CREDENTIALS_FILE}");
            command.push(format!("--docker-config={file}").into());
        }
        command.push(END_OF_OPTIONS.into());
        command.extend(line);
        command
    }
}

/// Whether two lists of words are the same.
fn same(there: &[Json<'_>], wanted: &[Value]) -> bool {
    there.len() == wanted.len()
        && there.iter().zip(wanted).all(|(there, wanted)| there.as_str() == wanted.as_str())
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
