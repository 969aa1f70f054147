//! `arc-rocm import`: profiles and plain values from hand-written scale sets.

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use serde_json::Value;

use super::{
    EXIT_FINDINGS, UsageError, certs,
    input::{self, Documents, RequestArgs, is_values},
    output::{self, count, printable},
    values::{ScaleSet, ValuesFile},
};
use crate::{
    arc::VERSION,
    compare::Class,
    import::{self, Imported, PROFILES, Verdict, Written},
    inject::ARC_CONTROLLER,
    podspec::names::is_subdomain,
    profile::source::{Node, NodeValue},
};

/// The flags of `import`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Values files of scale sets or manifests of `AutoscalingRunnerSet`s; NAME=FILE gives the set's name;
    /// - is standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<String>,

    /// Folder to write profiles, tests and values to, created if missing; default: print the profiles
    #[arg(long = "output-dir", short = 'o', value_name = "FOLDER")]
    pub folder: Option<PathBuf>,

    /// Overwrite files in the folder
    #[arg(long)]
    pub force: bool,

    /// GIDs that own /dev/kfd and /dev/dri/renderD* on the nodes, for sets that do not say them
    #[arg(long, value_delimiter = ',', value_name = "GID")]
    pub groups: Vec<i64>,

    /// Namespace of scale sets that name none; default: default
    #[arg(long, short, value_name = "NAMESPACE")]
    pub namespace: Option<String>,

    /// Where an umbrella chart's values file has the values of the scale set, such as gpu.runners
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
}

impl Args {
    /// Reads all files, imports, writes, and prints findings and verdicts. With an error nothing is
    /// written.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let mut sets = Vec::new();
        let mut errors = Vec::new();
        for file in &self.files {
            match self.read(file) {
                Ok(more) => sets.extend(more),
                Err(error) => errors.push(format!("{error:#}")),
            }
        }
        let mut names = BTreeSet::new();
        for Written { file, name, namespace, .. } in &sets {
            if !names.insert(name) {
                errors.push(format!(
                    "{file}: scale set {name} (namespace {namespace}) is given twice; import \
                     one of them by itself"
                ));
            }
        }
        if !errors.is_empty() {
            return Err(UsageError::error(errors.join("\n")));
        }
        let imported = import::import(&sets, &self.groups).map_err(|problems| {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            anyhow::anyhow!("a bug: the profiles are not good together:\n{}", problems.join("\n"))
        })?;
        match &self.folder {
            Some(folder) => self.write(folder, &imported)?,
            None => output::write(|out| {
                let profiles = imported.files.iter().find(|(path, _)| path == PROFILES);
                Ok(write!(out, "{}", profiles.map_or("", |(_, text)| text))?)
            })?,
        }
        report(&imported);
        let is_different = imported.verdicts.iter().any(|one| one.count(Class::Different) > 0);
        Ok(if is_different { ExitCode::from(EXIT_FINDINGS) } else { ExitCode::SUCCESS })
    }

    /// The scale sets of a file.
    fn read(&self, file: &str) -> anyhow::Result<Vec<Written>> {
        let (name, path) = match file.split_once('=') {
            Some((name, path)) if is_subdomain(&name.replace('_', "-")) => (Some(name), path),
            _ => (None, file),
        };
        let path = Path::new(path);
        if path.is_dir() {
            let path = path.display();
            return Err(UsageError::error(format!("{path} is a folder; name its files")));
        }
        let file = path.display().to_string();
        let text = input::utf8(&file, input::bytes(path)?)?;
        let Documents { nodes, objects, repeated } = Documents::read(&file, &text)?;
        let request = RequestArgs {
            namespace: self.namespace.clone(),
            scale_set: name.map(str::to_owned),
            key: self.key.clone(),
            user: ARC_CONTROLLER.to_owned(),
        };
        let has_key = self.key.is_some();
        if objects.iter().any(|object| is_values(object, has_key || name.is_some())) {
            let values = ValuesFile {
                path,
                text: &text,
                objects: &objects,
                nodes: &nodes,
                repeated: &repeated,
            };
            let ScaleSet { values, node, set, name, namespace, version, notes: _ } =
                values.scale_set(&request)?;
            let node = node.or_else(|| Node::from_json(&values));
            let node = node.ok_or_else(|| UsageError(format!("{file}: too deep")))?;
            let key = self.key.clone();
            return Ok(vec![Written {
                file,
                text,
                node,
                repeated,
                is_values: true,
                key,
                values,
                set,
                name,
                namespace,
                version,
            }]);
        }
        let nodes = if nodes.is_empty() {
            objects.iter().filter_map(Node::from_json).collect()
        } else {
            nodes
        };
        let mut sets: Vec<Written> = Vec::new();
        for node in nodes.iter().flat_map(runner_sets) {
            let set = node.to_json();
            let at = |pointer: &str| {
                set.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
            };
            let name = Some(at("/spec/runnerScaleSetName")).filter(|name| !name.is_empty());
            let namespace = Some(at("/metadata/namespace")).filter(|name| !name.is_empty());
            sets.push(Written {
                file: file.clone(),
                text: text.clone(),
                node: node.clone(),
                repeated: if sets.is_empty() { repeated.clone() } else { Vec::new() },
                is_values: false,
                key: None,
                values: import::of_set(&set),
                name: name.unwrap_or_else(|| at("/metadata/name")),
                namespace: namespace.unwrap_or_else(|| request.namespace().to_owned()),
                version: VERSION.to_owned(),
                set,
            });
        }
        match (sets.as_slice(), objects.first()) {
            ([], other) => {
                let found = other.map_or_else(|| "no object".to_owned(), input::description);
                Err(UsageError::error(format!(
                    "{file}: expected values of the chart gha-runner-scale-set or AutoscalingRunnerSets, found {found}"
                )))
            }
            _ => Ok(sets),
        }
    }

    /// Writes all files, or none.
    fn write(&self, folder: &Path, imported: &Imported) -> anyhow::Result<()> {
        let paths: Vec<PathBuf> =
            imported.files.iter().map(|(path, _)| folder.join(path)).collect();
        let there: Vec<String> = paths
            .iter()
            .filter(|path| path.exists())
            .map(|path| path.display().to_string())
            .collect();
        if !there.is_empty() && !self.force {
            let there = there.join("\n");
            return Err(UsageError::error(format!("there is already, without --force:\n{there}")));
        }
        for (path, (_, text)) in paths.iter().zip(&imported.files) {
            let unwritable = || UsageError(format!("cannot write {}", path.display()));
            let parent = path.parent().unwrap_or(folder);
            fs::create_dir_all(parent).with_context(unwritable)?;
            certs::write(path, text.as_bytes(), 0o644).with_context(unwritable)?;
        }
        Ok(())
    }
}

/// The `AutoscalingRunnerSet`s of a document, which may be a list.
fn runner_sets(node: &Node) -> Vec<&Node> {
    let kind = |node: &Node| node.get("kind").map(Node::to_json);
    match node.get("items").map(|items| &items.value) {
        Some(NodeValue::List(items)) if kind(node).is_some() => {
            items.iter().flat_map(runner_sets).collect()
        }
        _ if kind(node) == Some("AutoscalingRunnerSet".into()) => vec![node],
        _ => Vec::new(),
    }
}

/// Findings by file and line, then a line for each scale set with its differences below it.
fn report(imported: &Imported) {
    let mut err = std::io::stderr();
    for import::Finding { file, line, code, message } in &imported.findings {
        let place = if *line > 0 { format!("{file}:{line}") } else { file.clone() };
        let _ = writeln!(err, "{place}: {} [{code}]", printable(message));
    }
    for verdict in &imported.verdicts {
        let _ = writeln!(err, "{}", printable(&sentence(verdict)));
        let different = verdict.differences.iter().filter(|one| one.class == Class::Different);
        for difference in different {
            let note = if difference.note.is_empty() {
                String::new()
            } else {
                format!(" ({})", difference.note)
            };
            let _ = writeln!(err, "  {}", printable(&format!("{difference}{note}")));
        }
    }
}

fn sentence(verdict: &Verdict) -> String {
    let name = &verdict.name;
    if let Some(why) = &verdict.kept {
        return format!("{name}: stays as it is: {why}");
    }
    let intended = count(verdict.count(Class::Intended), "intended difference");
    let result = match verdict.count(Class::Different) {
        0 => "parity".to_owned(),
        different => count(different, "difference"),
    };
    match verdict.whole.as_str() {
        "" => format!("{name}: {result}, {intended}"),
        why => format!("{name}: {result}, {intended}; its template stays as it is: {why}"),
    }
}
