//! Secrets that stand in hand-written files: they never reach what is written or printed.

use serde_json::{Map, Value, json};

use crate::{
    compare::secret::{in_url, is_secret, is_token},
    profile::template::name_of,
};

/// What takes the place of what only a person knows. `profiles check` refuses it as a name and as a
/// group.
pub(super) const TODO: &str = "TODO";

/// Whether a text is a secret, by the name of what has it and by itself.
pub(super) fn is(name: &str, text: &str) -> bool {
    let is_reference = text.is_empty() || text.contains("$(") || text.starts_with('/');
    // A switch or a number, such as `USE_TOKEN=true`.
    let is_word = matches!(text, "true" | "false") || text.parse::<f64>().is_ok();
    is_token(text) || in_url(text).is_some() || is_secret(name) && !is_reference && !is_word
}

/// Variables of a container whose value is a secret get it from a Secret.
pub(super) fn in_env(container: &mut Map<String, Value>) {
    for variable in container.get_mut("env").and_then(Value::as_array_mut).into_iter().flatten() {
        let name = name_of(variable).to_owned();
        let value = variable.get("value").and_then(Value::as_str).unwrap_or_default();
        if is(&name, value) {
            *variable = json!({
                "name": name,
                "valueFrom": {"secretKeyRef": {"name": TODO, "key": name}},
            });
        }
    }
}

/// Takes secrets out of the command lines of a container.
pub(super) fn in_words(container: &mut Map<String, Value>) {
    for field in ["command", "args"] {
        let words = container.get_mut(field).and_then(Value::as_array_mut);
        for word in words.into_iter().flatten() {
            if let Value::String(text) = word
                && let Some(without) = without_tokens(text)
            {
                *word = without.into();
            }
        }
    }
}

/// A command line or script with a placeholder for each token; `None` where it has none.
pub(super) fn without_tokens(script: &str) -> Option<String> {
    let mut without = script.to_owned();
    for line in script.lines() {
        let tokens = line.split(|c: char| c.is_whitespace() || "\"'=".contains(c));
        for token in login_tokens(line).chain(tokens.filter(|token| is_token(token))) {
            without = without.replace(token, TODO);
        }
    }
    (without != script).then_some(without)
}

/// The tokens for `docker login` that a line has as text: after `-p`, or from `echo`.
pub(super) fn login_tokens(line: &str) -> impl Iterator<Item = &str> {
    let (before, after) = line.split_once("docker login").unwrap_or_default();
    let is_literal = |word: &&str| !word.is_empty() && !word.starts_with(['$', '-', '`']);
    let words: Vec<&str> = after.split_whitespace().collect();
    let is_piped = words.contains(&"--password-stdin");
    let flags = ["-p", "--password"];
    let next = words.windows(2).filter_map(move |pair| match pair {
        [flag, word] if flags.contains(flag) => Some(*word),
        _ => None,
    });
    let joined = words.iter().filter_map(|word| word.strip_prefix("--password="));
    let echoed = before
        .split_once("echo ")
        .filter(|_| is_piped)
        .and_then(|(_, rest)| rest.split_whitespace().find(|word| !word.starts_with('-')));
    let all: Vec<&str> = next
        .chain(joined)
        .chain(echoed)
        .map(|word| word.trim_matches(['"', '\'']))
        .filter(is_literal)
        .collect();
    all.into_iter()
}

/// Takes secrets out of values; whether there were any. Names of Secrets are none.
pub(super) fn redact(value: &mut Value) -> bool {
    redact_member("", value)
}

fn redact_member(key: &str, value: &mut Value) -> bool {
    match value {
        Value::String(text) => {
            if ["command", "args"].contains(&key) {
                let without = without_tokens(text);
                let is_found = without.is_some();
                *value = without.map_or_else(|| value.take(), Value::from);
                return is_found;
            }
            let is_found = is_member(key, text);
            if is_found {
                *value = TODO.into();
            }
            is_found
        }
        Value::Array(items) => {
            items.iter_mut().fold(false, |found, item| redact_member(key, item) | found)
        }
        Value::Object(members) => {
            let of_variable = members.get("name").and_then(Value::as_str).map(str::to_owned);
            let members = members.iter_mut();
            members.fold(false, |found, (key, value)| {
                let key = match &of_variable {
                    Some(name) if key == "value" => name,
                    _ => key,
                };
                redact_member(key, value) | found
            })
        }
        _ => false,
    }
}

/// Whether a member of values is a secret.
pub(super) fn is_member(key: &str, text: &str) -> bool {
    let is_name = ["Name", "Ref", "name", "key", "githubConfigSecret"];
    let is_name = is_name.iter().any(|end| key.ends_with(end));
    if is_name { is_token(text) } else { is(key, text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_name_or_text() {
        for (name, text) in [
            ("API_TOKEN", "x1"),
            ("db_password", "changeit"),
            ("PLAIN", "ghp_x"),
            ("http_proxy", "http://me:x@proxy:3128"),
        ] {
            assert!(is(name, text), "{name}={text}");
        }
        for (name, text) in [
            ("PLAIN", "x"),
            ("HF_TOKEN_PATH", "/data/hf/token"),
            ("TOKEN", "$(OTHER)"),
            ("USE_TOKEN", "true"),
            ("KEY_BITS", "4096"),
            ("TOKEN", ""),
            ("http_proxy", "http://proxy:3128"),
        ] {
            assert!(!is(name, text), "{name}={text}");
        }
    }

    #[test]
    fn tokens_of_docker_login_are_found() {
        for (line, tokens) in [
            ("docker login -u me -p t0k ghcr.io", &["t0k"][..]),
            ("docker login --username me --password=t0k", &["t0k"]),
            ("docker login --password 't0k'", &["t0k"]),
            ("echo -n t0k | docker login -u me --password-stdin", &["t0k"]),
            ("docker login -u me -p $TOKEN ghcr.io", &[]),
            ("echo \"$T\" | docker login -u me --password-stdin", &[]),
            ("cat file | docker login --password-stdin", &[]),
            ("docker logout", &[]),
        ] {
            assert_eq!(login_tokens(line).collect::<Vec<_>>(), tokens, "{line}");
        }
        assert_eq!(
            without_tokens("a\ndocker login -p t0k x\nb\n").unwrap(),
            "a\ndocker login -p TODO x\nb\n"
        );
        assert_eq!(without_tokens("curl -H 'X: ghp_abc' y").unwrap(), "curl -H 'X: TODO' y");
        assert_eq!(without_tokens("exec run.sh"), None);
    }

    #[test]
    fn values_lose_their_secrets_and_keep_names_of_secrets() {
        let mut values = json!({
            "githubConfigSecret": "my-secret",
            "proxy": {"http": {"url": "http://a:b@p", "credentialSecretRef": "proxy-auth"}},
            "apiToken": "x1",
            "listenerTemplate": {"spec": {"containers": [{
                "command": ["sh", "-c", "docker login -p x1"],
                "env": [{"name": "DB_PASSWORD", "value": "x1"}, {"name": "A", "value": "b"}],
            }]}},
        });
        assert!(redact(&mut values));
        let text = values.to_string();
        assert!(!text.contains("x1") && !text.contains("a:b"), "{text}");
        for kept in ["my-secret", "proxy-auth", "\"b\""] {
            assert!(text.contains(kept), "{kept}: {text}");
        }
        assert!(!redact(&mut json!({"a": "b", "c": [1, true, null]})));
    }
}
