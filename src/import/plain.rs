//! The values that are left when a profile has the rest: without the template, and without secrets.

use serde_json::{Map, Value, json};

use super::{
    Written,
    secrets::{self, TODO},
    write::yaml,
};
use crate::{
    compare::secret::is_token,
    profile::source::{self, NodeValue},
};

const SECRET: &str = "githubConfigSecret";
/// What a profile has in place of the values.
const MOVED: [&str; 2] = ["template", "containerMode"];

/// The values without what the profile has, and with `template` in place of theirs.
pub(super) fn values(written: &Written, template: &Value) -> Value {
    let mut values = written.values.clone();
    if let Value::Object(members) = &mut values {
        members.retain(|key, _| !MOVED.contains(&key.as_str()));
        if !template.is_null() {
            members.insert("template".into(), template.clone());
        }
    }
    without_secrets(values)
}

/// The values as they are, but for secrets.
pub(super) fn kept(written: &Written) -> Value {
    without_secrets(written.values.clone())
}

fn without_secrets(mut values: Value) -> Value {
    if let Some(secret) = values.get_mut(SECRET).filter(|secret| secret.is_object()) {
        let members = secret.take();
        *secret = TODO.into();
        // By an anchor the same text may stand elsewhere.
        let texts = members.as_object().into_iter().flatten().filter_map(|(_, text)| text.as_str());
        let texts: Vec<String> = texts.filter(|text| !text.is_empty()).map(str::to_owned).collect();
        secrets::redact_texts(&mut values, &texts);
    }
    secrets::redact(&mut values);
    values
}

/// The text of `values`: the file's own with its comments, where that gives the same.
pub(super) fn text(written: &Written, values: &Value) -> String {
    own_text(written, values).unwrap_or_else(|| {
        let mut all = values.clone();
        for key in written.keys().rev() {
            all = json!({key: all});
        }
        head(written) + &yaml(&all)
    })
}

/// What a file that is written anew begins with: its own first comment, or how to install it.
fn head(written: &Written) -> String {
    let Written { name, namespace, text, is_values, .. } = written;
    if !is_values {
        return format!(
            "# helm upgrade --install {name} --namespace {namespace} --values {name}.yaml ...\n"
        );
    }
    let comment = text.lines().take_while(|line| line.starts_with('#'));
    let comment = comment.filter(|line| !secrets::is_in_comment(line));
    comment.flat_map(|line| [line.trim_end_matches('\r'), "\n"]).collect()
}

/// The file's text with the changed members cut out; `None` where that does not give `values`.
fn own_text(written: &Written, values: &Value) -> Option<String> {
    let NodeValue::Map(entries) = &written.node.value else { return None };
    if !written.is_values {
        return None;
    }
    let lines: Vec<&str> = written.text.lines().map(|line| line.trim_end_matches('\r')).collect();
    let empty = Map::new();
    let members = values.as_object().unwrap_or(&empty);
    let mut out: Vec<String> = Vec::new();
    let mut next = 0;
    for (index, entry) in entries.iter().enumerate() {
        let start = usize::try_from(entry.at.line).ok()?.checked_sub(1)?;
        let value = members.get(&entry.key);
        if value == Some(&entry.value.to_json()) {
            continue;
        }
        out.extend(lines.get(next..start)?.iter().map(|line| (*line).to_owned()));
        let column = usize::try_from(entry.at.column).ok()?.checked_sub(1)?;
        if let Some(value) = value {
            let member = yaml(&json!({entry.key.as_str(): value}));
            out.extend(member.lines().map(|line| format!("{:column$}{line}", "")));
        }
        let end = match entries.get(index + 1) {
            Some(next) => usize::try_from(next.at.line).ok()?.checked_sub(1)?,
            None => end_of(&lines, start, column),
        };
        // The comments before the next key are about that.
        let is_comment = |line: &&str| line.trim().is_empty() || line.trim_start().starts_with('#');
        let body = lines.get(start..end)?;
        let comments = body.iter().rev().take_while(|line| is_comment(line)).count();
        next = end - comments.min(body.len().saturating_sub(1));
    }
    out.extend(lines.get(next..)?.iter().map(|line| (*line).to_owned()));
    out.retain(|line| !(line.trim_start().starts_with('#') && secrets::is_in_comment(line)));
    // A comment at the end of a line.
    for line in &mut out {
        if let Some((member, comment)) = line.split_once(" #")
            && secrets::is_in_comment(comment)
        {
            *line = member.trim_end().to_owned();
        }
    }
    let mut text = out.join("\n");
    text = text.trim_end().to_owned() + "\n";
    let (nodes, _) = source::documents_of_helm(&written.file, &text).ok()?;
    let [node] = nodes.as_slice() else { return None };
    let node = written.keys().try_fold(node, |node, key| node.get(key))?;
    (node.to_json() == *values && !is_token(&text)).then_some(text)
}

/// The line after the member of a map that begins at `start`, in a column.
fn end_of(lines: &[&str], start: usize, column: usize) -> usize {
    let is_below = |line: &&str| {
        let indent = line.len() - line.trim_start().len();
        line.trim().is_empty()
            || line.trim_start().starts_with('#')
            || indent > column
            || (indent == column && line.trim_start().starts_with("- "))
    };
    let below = lines.iter().skip(start + 1).take_while(|line| is_below(line)).count();
    start + 1 + below
}

/// The values of the chart that make an `AutoscalingRunnerSet`.
pub fn of_set(set: &Value) -> Value {
    // Labels that the chart writes itself.
    const OF_CHART: [&str; 4] =
        ["app.kubernetes.io/", "helm.sh/", "actions.github.com/", "kubectl.kubernetes.io/"];
    const FIELDS: [&str; 10] = [
        "githubConfigUrl",
        "githubConfigSecret",
        "runnerGroup",
        "minRunners",
        "maxRunners",
        "runnerScaleSetName",
        "proxy",
        "githubServerTLS",
        "listenerTemplate",
        "template",
    ];
    let field = |name: &&str| Some(((*name).to_owned(), set.get("spec")?.get(*name)?.clone()));
    let mut values: Map<String, Value> = FIELDS.iter().filter_map(field).collect();
    let labels = set.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten();
    let own = labels.filter(|(key, _)| !OF_CHART.iter().any(|start| key.starts_with(start)));
    let own: Map<String, Value> = own.map(|(key, value)| (key.clone(), value.clone())).collect();
    if !own.is_empty() {
        values.insert("labels".into(), own.into());
    }
    values.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arc::{Release, VERSION, scale_set};

    /// The plain values of a file.
    fn plain(file: &str, key: Option<&str>, template: &Value) -> String {
        let nodes = source::documents("f", &file.replace('\r', "")).unwrap();
        let node = key.map_or(&nodes[0], |key| nodes[0].get(key).unwrap()).clone();
        let values_there = node.to_json();
        let release = Release { name: "a", namespace: "n", version: VERSION };
        let written = Written {
            file: "f".to_owned(),
            text: file.to_owned(),
            set: scale_set(&values_there, &release).unwrap(),
            values: values_there,
            node,
            repeated: Vec::new(),
            is_values: true,
            key: key.map(str::to_owned),
            name: "a".to_owned(),
            namespace: "n".to_owned(),
            version: VERSION.to_owned(),
        };
        text(&written, &values(&written, template))
    }

    #[test]
    fn file_keeps_its_comments_without_the_template() {
        let file = "# first\na: 1   # one\n\ntemplate:\n  spec:\n    # inside\n    x: 1\n\n# about b\nb: [2]\n";
        let expected = "# first\na: 1   # one\n\n\n# about b\nb: [2]\n";
        assert_eq!(plain(file, None, &Value::Null), expected);
        assert_eq!(plain(&file.replace('\n', "\r\n"), None, &Value::Null), expected);
        let last = "a: 1\ncontainerMode: {type: dind}\ntemplate:\n  spec:\n    x: 1\n";
        assert_eq!(plain(last, None, &Value::Null), "a: 1\n");
    }

    #[test]
    fn template_that_stays_is_at_its_place() {
        let file = "up:\n  # first\n  template:\n    spec: {x: 1}\n  b: 2\nother: 3\n";
        let template = json!({"spec": {"serviceAccountName": "own"}});
        assert_eq!(
            plain(file, Some("up"), &template),
            "up:\n  # first\n  template:\n    spec:\n      serviceAccountName: own\n  b: 2\nother: 3\n"
        );
    }

    #[test]
    fn file_that_cannot_be_cut_is_written_anew() {
        // An anchor in what goes, used in what stays.
        let anchored = "template: {spec: {x: &x z}}\nb: *x\n";
        assert_eq!(plain(anchored, None, &Value::Null), "b: z\n");
        assert_eq!(plain("{template: {spec: {x: 1}}, b: 2}\n", None, &Value::Null), "b: 2\n");
        let alias = "# first\ntemplate: {spec: {x: &x z}}\nb: *x\n";
        assert_eq!(plain(alias, None, &Value::Null), "# first\nb: z\n");
    }

    #[test]
    fn comments_with_secrets_go_and_others_stay() {
        for secret in [
            "# ghp_abc",
            "# password: hunter2",
            "# helm upgrade --set githubConfigSecret.github_token=hunter2 a",
            "# curl -u bot:hunter2 https://x",
            "# https://u:hunter2@github.com/x",
            "# docker login -u me -p hunter2",
        ] {
            let file = format!("# first\na: 1 {secret}\n{secret}\ntemplate: {{}}\nb: 2\n");
            assert_eq!(plain(&file, None, &Value::Null), "# first\na: 1\nb: 2\n", "{secret}");
        }
        let file = "x-tok: &tok hunter2\ngithubConfigSecret: {github_token: *tok}\ntemplate: {}\n";
        assert!(!plain(file, None, &Value::Null).contains("hunter2"));
    }

    #[test]
    fn secret_of_github_becomes_a_placeholder() {
        let file = "githubConfigSecret:\n  github_token: abc  # until June\nb: 2\ntemplate: {}\n";
        assert_eq!(plain(file, None, &Value::Null), "githubConfigSecret: TODO\nb: 2\n");
    }
}
