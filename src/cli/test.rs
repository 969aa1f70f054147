//! `arc-rocm test`: suites of expectations about profiles, written beside them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::Spanned;

use super::{
    EXIT_FINDINGS, UsageError,
    config::ConfigArgs,
    inject::{missing_images, patched},
    input::{Input, Object, RequestArgs},
    output::{self, printable, yaml},
};
use crate::{
    admission::{Decision, decide, read},
    annotations::STATUS,
    compare::{Class, compare},
    inject::{ARC_CONTROLLER, Config},
    podspec::{Json, equal::quantity},
    profile::SUITE_ENDING,
};

/// The namespace of a runner whose test names none.
const NAMESPACE: &str = "arc-runners";

/// The flags of `test`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Suites, or directories to search for *.test.yaml
    #[arg(value_name = "PATH", default_value = ".")]
    pub paths: Vec<PathBuf>,

    /// Write the pods that tests expect (`pod`) anew
    #[arg(long)]
    pub update: bool,

    /// Write a report in `JUnit`'s format
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

/// A file of tests.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Suite {
    /// Files or directories with the profiles, from the suite's folder; default: that folder.
    #[serde(default)]
    profiles: Vec<PathBuf>,
    tests: Vec<Spanned<Test>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Test {
    /// Default: what is given.
    name: Option<String>,
    /// A scale set whose plain runner is patched; with `file` the name of a values file's.
    scale_set: Option<String>,
    organization: Option<String>,
    repository: Option<String>,
    /// Or a file with one pod or scale set, from the suite's folder.
    file: Option<PathBuf>,
    namespace: Option<String>,
    /// Who creates the pod.
    #[serde(rename = "as")]
    user: Option<String>,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Expect {
    profile: Option<String>,
    gpus: Option<u32>,
    /// The word for why the pod is skipped.
    skip: Option<String>,
    /// The codes of all conflicts; each once.
    #[serde(default)]
    conflicts: Vec<String>,
    /// Parts of the patched pod by their paths; null where nothing may be.
    #[serde(default)]
    fields: BTreeMap<String, Value>,
    /// A file with the whole patched pod, from the suite's folder.
    pod: Option<PathBuf>,
}

/// A test that has run.
struct Ran {
    suite: String,
    line: u64,
    name: String,
    /// What is not as expected, a line each.
    failures: Vec<String>,
}

impl Args {
    /// Runs all tests, and prints what is not as expected.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let mut all = Vec::new();
        for suite in suites(&self.paths)? {
            all.extend(run(&suite, self.update)?);
        }
        if let Some(path) = &self.junit {
            let unwritable = || UsageError(format!("cannot write {}", path.display()));
            fs::write(path, junit(&all)).with_context(unwritable)?;
        }
        let failed = all.iter().filter(|test| !test.failures.is_empty()).count();
        output::write(|out| {
            for Ran { suite, line, name, failures } in &all {
                for failure in failures {
                    writeln!(out, "{suite}:{line}: {}: {}", printable(name), printable(failure))?;
                }
            }
            Ok(writeln!(out, "{}, {failed} failed", output::count(all.len(), "test"))?)
        })?;
        Ok(if failed > 0 { ExitCode::from(EXIT_FINDINGS) } else { ExitCode::SUCCESS })
    }
}

/// The files of suites, those of a directory in the order of their names. A directory without any is
/// an error: its tests would pass for ever.
fn suites(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in paths {
        let before = found.len();
        search(path, path.is_dir(), &mut found)
            .with_context(|| UsageError(format!("cannot read {}", path.display())))?;
        if found.len() == before {
            let path = path.display();
            return Err(UsageError::error(format!("{path} has no *{SUITE_ENDING} file")));
        }
    }
    Ok(found)
}

fn search(path: &Path, is_directory: bool, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !is_directory {
        found.push(path.to_owned());
        return Ok(());
    }
    let entries = fs::read_dir(path)?.collect::<Result<Vec<_>, _>>()?;
    let mut paths: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && !path.is_symlink() && !name.starts_with('.') {
            search(&path, true, found)?;
        } else if name.ends_with(SUITE_ENDING) {
            found.push(path);
        }
    }
    Ok(())
}

/// Runs the tests of a suite.
fn run(path: &Path, update: bool) -> anyhow::Result<Vec<Ran>> {
    let name = path.display().to_string();
    let text =
        fs::read_to_string(path).with_context(|| UsageError(format!("cannot read {name}")))?;
    let suite: Suite = serde_saphyr::from_str(&text).map_err(|error| {
        let text = error.to_string();
        UsageError::error(format!("{name}: {}", text.lines().next().unwrap_or_default()))
    })?;
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    let here = [PathBuf::new()];
    let profiles = if suite.profiles.is_empty() { &here[..] } else { &suite.profiles };
    let profiles = profiles.iter().map(|path| match folder.join(path) {
        path if path.as_os_str().is_empty() => PathBuf::from("."),
        path => path,
    });
    let config = ConfigArgs::of_profiles(profiles.collect())?;
    let mut all = Vec::new();
    for Spanned { value: test, referenced, .. } in suite.tests {
        let line = referenced.line();
        let failures = test
            .run(folder, &config, update)
            .with_context(|| UsageError(format!("{name}:{line}")))?;
        all.push(Ran { suite: name.clone(), line, name: test.name(), failures });
    }
    Ok(all)
}

impl Test {
    fn name(&self) -> String {
        let file = || self.file.as_ref().map(|file| file.display().to_string());
        let name = self.name.clone().or_else(|| self.scale_set.clone()).or_else(file);
        name.unwrap_or_default()
    }

    /// The review of the pod.
    fn review(&self, folder: &Path, request: &RequestArgs) -> anyhow::Result<Value> {
        let Some(file) = &self.file else {
            let Some(name) = &self.scale_set else {
                return Err(UsageError::error("a test has scaleSet or file"));
            };
            let (organization, repository) =
                (self.organization.as_deref(), self.repository.as_deref());
            return Ok(request.review(&request.plain_runner_pod(
                name,
                organization,
                repository,
            )?));
        };
        match pod(&folder.join(file), request)? {
            Object::Review(review) => Ok(review),
            Object::Pod(pod) | Object::Other(pod) => Ok(request.review(&pod)),
        }
    }

    /// What is not as expected.
    fn run(&self, folder: &Path, config: &Config, update: bool) -> anyhow::Result<Vec<String>> {
        let request_args = RequestArgs {
            namespace: Some(self.namespace.clone().unwrap_or_else(|| NAMESPACE.to_owned())),
            scale_set: self.scale_set.clone().filter(|_| self.file.is_some()),
            key: None,
            user: self.user.clone().unwrap_or_else(|| ARC_CONTROLLER.to_owned()),
        };
        let review = self.review(folder, &request_args)?;
        let body = serde_json::to_vec(&review)?;
        let request = read(&body).map_err(|error| UsageError::error(error.to_string()))?;
        let before = review.pointer("/request/object").unwrap_or(&Value::Null);
        let Expect { profile, gpus, skip, conflicts, fields, pod } = &self.expect;
        let mut failures = Vec::new();
        let mut expect = |what: &str, expected: &str, got: &str| {
            if expected != got {
                failures.push(format!("{what}: expected {expected}, got {got}"));
            }
        };
        let after = match decide(&request, config) {
            Decision::Skip(reason) => {
                let why = format!("{} ({})", reason.as_str(), reason.sentence());
                expect(
                    "skip",
                    skip.as_deref().unwrap_or("none"),
                    match skip {
                        Some(_) => reason.as_str(),
                        None => &why,
                    },
                );
                before.clone()
            }
            Decision::Planned { selection, operations, conflicts: found } => {
                let name = selection.profile.name.as_str();
                if let Some(skip) = skip {
                    expect("skip", skip, &format!("profile {name}"));
                }
                expect("profile", profile.as_deref().unwrap_or(name), name);
                let number = selection.gpus;
                expect("gpus", &gpus.unwrap_or(number).to_string(), &number.to_string());
                for conflict in &found {
                    if !conflicts.iter().any(|code| code == conflict.code.as_str()) {
                        let code = conflict.code.as_str();
                        failures.push(format!("conflicts: none expected, got {code}: {conflict}"));
                    }
                }
                for code in conflicts {
                    if !found.iter().any(|conflict| conflict.code.as_str() == code) {
                        failures.push(format!("conflicts: expected {code}, and there is none"));
                    }
                }
                if let Some(tie) = selection.tie {
                    let name = &tie.name;
                    failures.push(format!("profile {name} matches too, with the same priority"));
                }
                let after = patched(before, &operations)?;
                failures.extend(missing_images(&after));
                after
            }
        };
        for (path, expected) in fields {
            failures.extend(field(path, expected, &after));
        }
        if let Some(pod) = pod {
            failures.extend(golden(&folder.join(pod), after, update, &request_args)?);
        }
        Ok(failures)
    }
}

/// What is wrong with the part of `pod` at `path`.
fn field(path: &str, expected: &Value, pod: &Value) -> Option<String> {
    let Some(keys) = keys(path) else { return Some(format!("{path}: this is no path")) };
    let found = keys.iter().try_fold(pod, |value, key| match value {
        Value::Object(members) => members.get(*key),
        Value::Array(items) => items.iter().find(|item| is_item(item, key)),
        _ => None,
    });
    let found = found.unwrap_or(&Value::Null);
    (!has(found, expected)).then(|| format!("{path}: expected {expected}, got {found}"))
}

/// Whether a value is the expected one, or has all of an expected map. Amounts are compared by value.
fn has(value: &Value, expected: &Value) -> bool {
    match (value, expected) {
        (Value::Object(there), Value::Object(expected)) => expected
            .iter()
            .all(|(key, expected)| has(there.get(key).unwrap_or(&Value::Null), expected)),
        (Value::Array(there), Value::Array(expected)) => {
            there.len() == expected.len() && there.iter().zip(expected).all(|(a, b)| has(a, b))
        }
        (there, expected) => {
            let amount = quantity(&Json::of(expected));
            there == expected || amount.is_some() && amount == quantity(&Json::of(there))
        }
    }
}

/// The keys of a path as `explain` prints it: `spec.containers[runner].env[A].value`.
fn keys(path: &str) -> Option<Vec<&str>> {
    let mut keys = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        let key;
        if let Some(inner) = rest.strip_prefix('[') {
            (key, rest) = inner.split_once(']')?;
        } else {
            rest = rest.strip_prefix('.').unwrap_or(rest);
            (key, rest) = rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len()));
        }
        if key.is_empty() {
            return None;
        }
        keys.push(key);
    }
    Some(keys)
}

/// Whether an item of a list goes by `key`.
fn is_item(item: &Value, key: &str) -> bool {
    let keys = ["mountPath", "name", "key", "containerPort", "topologyKey"];
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let own = keys.iter().find_map(|key| item.get(key));
    text(own.unwrap_or(item)) == key
}

/// The one object of a file.
fn pod(file: &Path, request: &RequestArgs) -> anyhow::Result<Object> {
    let mut objects = Input::read(file, request)?.objects;
    match (objects.pop(), objects.is_empty()) {
        (Some(object), true) => Ok(object),
        _ => Err(UsageError::error(format!("{}: write one pod", file.display()))),
    }
}

/// How the pod differs from the one in the file, by meaning. With `update` it is written there.
fn golden(
    file: &Path,
    mut pod: Value,
    update: bool,
    request: &RequestArgs,
) -> anyhow::Result<Vec<String>> {
    // Its digest changes with each change of a profile.
    if let Some(Value::Object(annotations)) = pod.pointer_mut("/metadata/annotations") {
        annotations.remove(STATUS);
    }
    let name = file.display();
    if update {
        let unwritable = || UsageError(format!("cannot write {name}"));
        file.parent().map_or(Ok(()), fs::create_dir_all).with_context(unwritable)?;
        fs::write(file, yaml(&pod)?).with_context(unwritable)?;
        return Ok(Vec::new());
    }
    if !file.exists() {
        return Ok(vec![format!("pod: there is no {name}; arc-rocm test --update writes it")]);
    }
    // It is no values file, which `scale_set` is for.
    let request = RequestArgs { scale_set: None, ..request.clone() };
    let Object::Pod(expected) = self::pod(file, &request)? else {
        return Err(UsageError::error(format!("{name}: expected a Pod")));
    };
    let found = compare(&Json::of(&expected), &Json::of(&pod));
    let found = found.into_iter().filter(|one| one.class != Class::NoEffect);
    Ok(found.map(|one| format!("pod: {one}")).collect())
}

/// A report that CI systems read.
fn junit(all: &[Ran]) -> String {
    let failed = all.iter().filter(|test| !test.failures.is_empty()).count();
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"arc-rocm\" tests=\"{}\" failures=\"{failed}\">\n",
        all.len()
    );
    for Ran { suite, line, name, failures } in all {
        let [suite, name] = [suite, name].map(|text| escaped(text));
        let case = format!(
            "  <testcase classname=\"{suite}\" name=\"{name}\" file=\"{suite}\" line=\"{line}\""
        );
        if failures.is_empty() {
            text.extend([case.as_str(), "/>\n"]);
        } else {
            let lines = escaped(&failures.join("\n"));
            let message = escaped(failures.first().map_or("", String::as_str));
            text.extend([case.as_str(), "><failure message=\"", &message, "\">", &lines]);
            text.push_str("</failure></testcase>\n");
        }
    }
    text + "</testsuite>\n"
}

/// Text in XML, without the characters that it cannot have.
fn escaped(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_control() || *c == '\n').collect();
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn path_leads_through_keys_of_lists() {
        let pod = json!({"spec": {
            "nodeSelector": {"a.b/c": "d"},
            "containers": [{"name": "runner", "resources": {"requests": {"memory": "1024Mi"}},
                "env": [{"name": "A", "value": ""}],
                "volumeMounts": [{"mountPath": "/cache", "name": "cache"}]}],
            "tolerations": [{"key": "amd", "effect": "NoSchedule"}],
            "securityContext": {"supplementalGroups": [44, 110]},
        }});
        for (path, value) in [
            ("spec.nodeSelector[a.b/c]", json!("d")),
            ("spec.nodeSelector", json!({"a.b/c": "d"})),
            ("spec.containers[runner].resources.requests[memory]", json!("1Gi")),
            ("spec.containers[runner].resources.requests", json!({"memory": "1024Mi"})),
            ("spec.containers[runner].env[A]", json!({"name": "A"})),
            ("spec.containers[runner].volumeMounts[/cache].name", json!("cache")),
            ("spec.tolerations[amd]", json!({"effect": "NoSchedule"})),
            ("spec.securityContext.supplementalGroups", json!([44, 110])),
            ("spec.securityContext.supplementalGroups[110]", json!(110)),
            ("spec.initContainers[dind]", Value::Null),
            ("spec.containers[runner].resources.requests", json!({"memory": "1Gi", "cpu": null})),
        ] {
            assert_eq!(field(path, &value, &pod), None);
        }
        for (path, value, wrong) in [
            ("spec.nodeSelector", json!({"a": "b"}), r#"expected {"a":"b"}, got {"a.b/c":"d"}"#),
            ("spec.containers[x].name", json!("x"), r#"expected "x", got null"#),
            ("spec.containers[runner].env[A]", Value::Null, r#"got {"name":"A","value":""}"#),
            ("spec.tolerations[amd].key.x", json!(1), "got null"),
            ("spec..x", json!(1), "this is no path"),
            ("spec.containers[runner", json!(1), "this is no path"),
        ] {
            assert!(field(path, &value, &pod).unwrap().contains(wrong), "{path}");
        }
    }

    #[test]
    fn junit_report_is_escaped() {
        let ran = |failures: &[&str]| Ran {
            suite: "a&b.test.yaml".to_owned(),
            line: 3,
            name: "<one>".to_owned(),
            failures: failures.iter().map(|&text| text.to_owned()).collect(),
        };
        let text = junit(&[ran(&[]), ran(&["x \"y\"", "z"])]);
        assert!(text.contains(r#"tests="2" failures="1""#), "{text}");
        assert!(
            text.contains(r#"name="&lt;one&gt;" file="a&amp;b.test.yaml" line="3"/>"#),
            "{text}"
        );
        assert!(
            text.contains("message=\"x &quot;y&quot;\">x &quot;y&quot;\nz</failure>"),
            "{text}"
        );
    }
}
