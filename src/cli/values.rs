//! A values file of ARC's chart gha-runner-scale-set as an input: its runner pod, and what is assumed.

use std::{ffi::OsStr, path::Path};

use serde_json::{Value, json};

use super::{UsageError, input::RequestArgs};
use crate::{
    arc::{self, HelmCommand, Release, ValuesProblem},
    profile::{
        Position, Problem,
        source::{Node, Segment, path_text},
    },
};

/// A values file.
pub(super) struct ValuesFile<'f> {
    pub(super) path: &'f Path,
    pub(super) text: &'f str,
    /// Its documents.
    pub(super) objects: &'f [Value],
    /// The same with places; none where the file is JSON.
    pub(super) nodes: &'f [Node],
    /// The keys that a map has twice.
    pub(super) repeated: &'f [Problem],
}

/// The scale set of a values file.
pub(super) struct ScaleSet {
    /// The values, below `--key`.
    pub(super) values: Value,
    /// The same with places; none where the file is JSON.
    pub(super) node: Option<Node>,
    /// The `AutoscalingRunnerSet`.
    pub(super) set: Value,
    /// The scale set's name, by the values, a flag, a comment or the file.
    pub(super) name: String,
    /// Its namespace.
    pub(super) namespace: String,
    /// The chart's version.
    pub(super) version: String,
    /// What is assumed or found on the way, a line each.
    pub(super) notes: Vec<String>,
}

impl ValuesFile<'_> {
    /// The scale set, and what is assumed or found on the way, a line each.
    ///
    /// # Errors
    ///
    /// The file has several documents, or has no `--key`, or Helm, the chart or the API server refuses
    /// the values.
    pub(super) fn scale_set(&self, request: &RequestArgs) -> anyhow::Result<ScaleSet> {
        let Self { path, objects, nodes, repeated, .. } = *self;
        let file = path.display();
        let [object] = objects else {
            let at = nodes.get(1).map(|node| node.at).unwrap_or_default();
            let message = "a values file has one document".to_owned();
            return Err(UsageError::error(self.problem(at, String::new(), message)));
        };
        let keys = || request.key.iter().flat_map(|key| key.split('.'));
        let node = nodes.first().and_then(|node| keys().try_fold(node, |node, key| node.get(key)));
        let Some(mut values) = keys().try_fold(object, |object, key| object.get(key)).cloned()
        else {
            let key = request.key.as_deref().unwrap_or_default();
            return Err(UsageError::error(format!("{file}: the file has no key {key}")));
        };
        let mut notes: Vec<String> =
            repeated.iter().map(|problem| format!("{problem}; Helm takes the last one")).collect();
        if let (Some(name), Value::Object(members)) = (&request.scale_set, &mut values)
            && members.contains_key("runnerScaleSetName")
        {
            members.insert("runnerScaleSetName".to_owned(), json!(name));
        }
        let release = self.release(&values, request, &mut notes)?;
        let place = |ValuesProblem { path, message }: ValuesProblem| {
            let segments: Vec<Segment> = path.split('/').skip(1).map(segment).collect();
            let at = node.map(|node| node.locate(&segments)).unwrap_or_default();
            self.problem(at, path_text(&segments), message)
        };
        notes.extend(arc::assumptions(&values).into_iter().map(place));
        let set = arc::scale_set(&values, &release).map_err(|one| UsageError::error(place(one)))?;
        let Release { name, namespace, version } = release;
        let [name, namespace, version] = [name, namespace, version].map(str::to_owned);
        Ok(ScaleSet { node: node.cloned(), set, name, namespace, version, values, notes })
    }

    /// The release that a command in a comment, the file's name and the flags tell of.
    fn release<'r>(
        &'r self,
        values: &'r Value,
        request: &'r RequestArgs,
        notes: &mut Vec<String>,
    ) -> anyhow::Result<Release<'r>> {
        let file = self.path.display();
        let HelmCommand { name, namespace, version, line } =
            HelmCommand::find(self.text).unwrap_or_default();
        let mut choose = |what, given, by_command: Option<&'r str>, default, how| {
            if let Some(given) = given {
                return given;
            }
            notes.push(match by_command {
                Some(value) => {
                    format!("{file}: {what} {value}, by the helm command on line {line}")
                }
                None => format!("{file}: {what} {default} {how}"),
            });
            by_command.unwrap_or(default)
        };
        let of =
            |key: &str| values.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        let given = of("runnerScaleSetName").or(request.scale_set.as_deref());
        let stem = self.path.file_stem().filter(|stem| *stem != "-").and_then(OsStr::to_str);
        let Some(stem) = stem.or(given).or(name) else {
            let message = "the values have no runnerScaleSetName; give --scale-set NAME";
            return Err(UsageError::error(format!("{file}: {message}")));
        };
        let guessed = "is guessed from the file's name; give --scale-set";
        let name = choose("scale set", given, name, stem, guessed);
        let given = of("namespaceOverride").or(request.namespace.as_deref());
        let assumed = "is assumed; give --namespace";
        let namespace = choose("namespace", given, namespace, request.namespace(), assumed);
        let version = choose("chart version", None, version, arc::VERSION, "is assumed");
        Ok(Release { name, namespace, version })
    }

    /// The line for a problem.
    fn problem(&self, at: Position, path: String, message: String) -> String {
        Problem { file: self.path.display().to_string(), at, path, message }.to_string()
    }
}

fn segment(part: &str) -> Segment {
    part.parse().map_or_else(|_| Segment::Key(part.to_owned()), Segment::Index)
}
