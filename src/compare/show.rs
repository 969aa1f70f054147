//! Values of a pod on one line, without secrets: scripts by their names, long texts by their lengths.

use super::{
    meaning::{Branch, Key, Node},
    secret::{in_url, is_secret, is_token},
};
use crate::{podspec::Json, scripts};

/// Longer lines are cut.
const LENGTH: usize = 160;
/// Words with spaces in them that are longer are scripts.
const WORD: usize = 40;
/// So many words that two command lines have in common are left out.
const MANY_WORDS: usize = 4;
const HIDDEN: &str = "(value not shown)";
/// The option of `docker login` that the password follows.
const PASSWORD_OPTION: &str = "-p";

/// What a node says, on one line.
pub(super) fn shown(node: &Node<'_>, is_secret: bool) -> String {
    let text = match node {
        Node::Branch(branch) => {
            let mut parts = Vec::new();
            flat("", branch, is_secret, &mut parts);
            parts.join(" ")
        }
        node => leaf(node, is_secret),
    };
    cut(text)
}

/// What two nodes say. Of two command lines the words around the first and the last that differ are
/// left out.
pub(super) fn shown_both(nodes: [&Node<'_>; 2], is_secret: bool) -> [String; 2] {
    if let ([Node::Line(a), Node::Line(b)], false) = (nodes, is_secret) {
        let [a, b] = [words(a), words(b)];
        let start = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
        let ends = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
        let end = ends.min(a.len().min(b.len()) - start);
        if start + end >= MANY_WORDS && a != b {
            return [a, b].map(|words| {
                let middle = words.get(start..words.len() - end).unwrap_or_default().join(" ");
                let [before, after] = [start, end].map(|same| if same > 0 { "..." } else { "" });
                cut(format!("{before} {middle} {after}").trim().replace("...  ...", "..."))
            });
        }
    }
    nodes.map(|node| shown(node, is_secret))
}

fn cut(text: String) -> String {
    match text.char_indices().nth(LENGTH) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

fn leaf(node: &Node<'_>, is_secret: bool) -> String {
    match node {
        Node::Text(text) => text.to_string(),
        Node::Quantity(quantity) => quantity.to_string(),
        Node::Value(_) | Node::Line(_) if is_secret => HIDDEN.to_owned(),
        Node::Value(value) => scalar(value),
        Node::Line(items) => words(items).join(" "),
        Node::Default(node) => leaf(node, is_secret),
        Node::Branch(_) => String::new(),
    }
}

/// The fields of a branch as `path=value`; of a container the image alone.
fn flat(path: &str, branch: &Branch<'_>, is_secret: bool, parts: &mut Vec<String>) {
    if let Some(image @ Node::Value(_)) = branch.field("image") {
        parts.push(format!("image={}", leaf(image, false)));
        return;
    }
    for (key, node) in &branch.members {
        let name = match key {
            Key::Field(name) if path.is_empty() => name.to_string(),
            Key::Field(name) => format!("{path}.{name}"),
            Key::Item(name) => format!("{path}[{name}]"),
            Key::Itself(_) => path.to_owned(),
        };
        match node {
            Node::Default(_) if branch.members.len() > 1 => {}
            Node::Branch(inner) => flat(&name, inner, is_secret, parts),
            // A variable's `value`; `valueFrom` names where it is.
            node => parts.push(format!("{name}={}", leaf(node, is_secret && name == "value"))),
        }
    }
    if branch.members.is_empty() {
        parts.push(if path.is_empty() { "(present)" } else { path }.to_owned());
    }
}

fn scalar(value: &Json<'_>) -> String {
    match value {
        Json::Null => "null".to_owned(),
        Json::Bool(flag) => flag.to_string(),
        Json::Number(number) => number.to_string(),
        value => word(value.as_str().unwrap_or_default()),
    }
}

/// The words of a command line. A word after an option for a password is hidden.
fn words(items: &[&Json<'_>]) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = "";
    for item in items {
        let text = item.as_str().unwrap_or_default();
        let is_script = before == "-c" && text.contains(char::is_whitespace);
        words.push(match before {
            _ if is_script && !text.starts_with(scripts::FIRST_WORDS) => long(text),
            PASSWORD_OPTION => HIDDEN.to_owned(),
            option if option.starts_with("--") && !option.contains('=') && is_secret(option) => {
                HIDDEN.to_owned()
            }
            _ => scalar(item),
        });
        before = text;
    }
    words
}

/// A text that may be a script or have a secret in it.
fn word(text: &str) -> String {
    if text.starts_with(scripts::FIRST_WORDS) {
        return "(script)".to_owned();
    }
    if text.contains('\n') || text.len() > WORD && text.contains(' ') {
        return long(text);
    }
    if is_token(text) {
        return HIDDEN.to_owned();
    }
    // Also of `--env=NAME=VALUE`.
    let mut names = text.match_indices('=').take(3).filter_map(|(end, _)| text.get(..end));
    if let Some(name) = names.find(|name| is_secret(name)) {
        return format!("{name}={HIDDEN}");
    }
    if let Some((scheme, host)) = in_url(text) {
        return format!("{scheme}://{HIDDEN}@{host}");
    }
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn long(text: &str) -> String {
    match text.lines().count() {
        0 | 1 => "(script of 1 line)".to_owned(),
        lines => format!("(script of {lines} lines)"),
    }
}

/// The first line in which two long texts differ, from 1.
pub(super) fn first_other_line(a: &Node<'_>, b: &Node<'_>) -> Option<usize> {
    fn texts<'n>(node: &'n Node<'_>) -> Vec<Option<&'n str>> {
        match node {
            Node::Value(value) => vec![value.as_str()],
            Node::Line(words) => words.iter().map(|word| word.as_str()).collect(),
            _ => Vec::new(),
        }
    }
    let pairs = texts(a).into_iter().zip(texts(b)).filter(|(a, b)| a != b);
    let is_long = |text: &&str| text.contains('\n');
    let mut long = pairs.filter_map(|(a, b)| Some((a.filter(is_long)?, b.filter(is_long)?)));
    let (a, b) = long.next()?;
    let same = a.lines().zip(b.lines()).take_while(|(a, b)| a == b);
    Some(same.count() + 1)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::compare;
    use super::*;

    /// What is shown of the container's field where only one pod has it.
    fn shown(fields: Value) -> String {
        let container = |fields: Value| json!({"spec": {"containers": [fields]}});
        let (mut there, none) = (fields, container(json!({"name": "c"})));
        there["name"] = "c".into();
        let found = compare(&Json::of(&container(there)), &Json::of(&none));
        let lines = found.into_iter().map(|one| format!("{} {}", one.path, one.a.unwrap()));
        lines.collect::<Vec<_>>().join("; ").replace("spec.containers[c]", "")
    }

    #[test]
    fn common_words_of_command_lines_are_left_out() {
        let pod = |words: &[&str]| json!({"spec": {"containers": [{"name": "c", "args": words}]}});
        for (a, b, shown) in [
            (&["a", "b", "c", "d", "e"][..], &["a", "b", "c", "d", "f"][..], ["... e", "... f"]),
            (&["a", "b", "c", "d", "e"], &["x", "b", "c", "d", "e"], ["a ...", "x ..."]),
            (&["a", "b", "c", "d"], &["a", "b", "x", "y", "c", "d"], ["...", "... x y ..."]),
            (&["a", "b", "a", "b"], &["a", "b", "a", "b", "a", "b"], ["...", "... a b"]),
            (&["a", "b"], &["a", "c"], ["a b", "a c"]),
        ] {
            let [a, b] = [pod(a), pod(b)];
            let found = compare(&Json::of(&a), &Json::of(&b));
            assert_eq!([found[0].a.as_deref(), found[0].b.as_deref()], shown.map(Some));
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        const SECRET: &str = "hunter2";
        for fields in [
            json!({"env": [{"name": "API_TOKEN", "value": SECRET}]}),
            json!({"env": [{"name": "db_password", "value": SECRET}]}),
            json!({"env": [{"name": "AWS_SECRET_ACCESS_KEY", "value": SECRET}]}),
            json!({"env": [{"name": "PLAIN", "value": "ghp_hunter2"}]}),
            json!({"env": [{"name": "PLAIN", "value": "-----BEGIN hunter2"}]}),
            json!({"env": [{"name": "http_proxy", "value": "http://me:hunter2@proxy:3128"}]}),
            json!({"command": ["sh", "-c", "docker login -u me -p hunter2 ghcr.io"]}),
            json!({"args": ["docker login -u me -p hunter2 ghcr.io && exec /home/runner/run.sh"]}),
            json!({"command": ["docker", "login", "-u", "me", "-p", SECRET]}),
            json!({"command": ["run", "--token", SECRET]}),
            json!({"command": ["run", "--token=hunter2"]}),
            json!({"command": ["run", "--env=API_TOKEN=hunter2=x"]}),
            json!({"command": ["run", "--registry-mirror=https://me:hunter2@mirror"]}),
            json!({"lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", "logout hunter2"]}}}}),
        ] {
            let line = shown(fields.clone());
            assert!(!line.is_empty() && !line.contains(SECRET), "{fields}: {line}");
        }
        let container = json!({"spec": {"containers": [
            {"name": "c", "image": "i", "env": [{"name": "TOKEN", "value": SECRET}]}]}});
        let found = compare(&Json::of(&container), &Json::of(&json!({})));
        assert_eq!(found[0].a.as_deref(), Some("image=i"));
    }

    #[test]
    fn annotation_named_like_a_secret_is_not_shown() {
        let pod = json!({"metadata": {"annotations": {"example.com/api-key": "hunter2"}}});
        let found = compare(&Json::of(&pod), &Json::of(&json!({})));
        assert_eq!(found[0].a.as_deref(), Some(HIDDEN));
    }

    #[test]
    fn source_of_a_secret_is_shown() {
        let from = json!({"secretKeyRef": {"name": "s", "key": "k"}});
        let line = shown(json!({"env": [{"name": "TOKEN", "valueFrom": from}]}));
        assert_eq!(line, ".env[TOKEN] valueFrom.secretKeyRef.key=k valueFrom.secretKeyRef.name=s");
    }

    #[test]
    fn scripts_are_named_and_long_texts_counted() {
        let script = scripts::start(&[]);
        let line =
            shown(json!({"command": ["/bin/sh", "-c", script, "arc-rocm-start", "--gpus=2"]}));
        assert_eq!(line, ".command /bin/sh -c (script) arc-rocm-start --gpus=2");
        assert_eq!(
            shown(json!({"command": ["sh", "-c", "a\nb\n"]})),
            ".command sh -c (script of 2 lines)"
        );
        assert_eq!(shown(json!({"command": ["x".repeat(500)]})).len(), ".command ".len() + 163);
    }

    #[test]
    fn first_line_that_differs_is_named() {
        let pod = |script: &str| json!({"spec": {"containers": [{"name": "c", "args": [script]}]}});
        let (a, b) = (pod("a\nb\nc\n"), pod("a\nb\nd\n"));
        let found = compare(&Json::of(&a), &Json::of(&b));
        assert_eq!(found[0].note, "the texts differ from line 3 on");
        assert_eq!(found[0].a, found[0].b);
    }
}
