//! Secrets that stand in hand-written files: they never reach what is written or printed.

use serde_json::{Map, Value, json};

use crate::{
    compare::secret::{is_secret, is_token},
    profile::template::name_of,
};

/// What takes the place of what only a person knows. `profiles check` refuses it as a name and as a
/// group.
pub(super) const TODO: &str = "TODO";

/// Whether a text is a secret, by the name of what has it and by itself.
pub(super) fn is(name: &str, text: &str) -> bool {
    is_token(text) || is_secret(name) && is_literal(text) || without_tokens(text).is_some()
}

/// Whether a text may be a secret, as far as its form goes: no reference, path, switch or number.
fn is_literal(text: &str) -> bool {
    let text = text.trim_matches(['"', '\'']);
    let is_word = matches!(text, "true" | "false" | "-" | TODO) || text.parse::<f64>().is_ok();
    !(text.is_empty()
        || is_word
        || text.starts_with(['$', '/', '<', '`', '{', '(', '-'])
        || text.contains("$("))
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
        if let Some(words) = container.get_mut(field).and_then(Value::as_array_mut) {
            in_list(words);
        }
    }
}

/// The places of secrets in the words of a command line.
pub(super) fn places<'w>(words: impl Iterator<Item = &'w str>) -> Vec<usize> {
    let mut is_next = false;
    let mut found = Vec::new();
    for (place, word) in words.enumerate() {
        if is_next && is_literal(word) || without_tokens(word).is_some() {
            found.push(place);
        }
        is_next = is_secret_flag(word);
    }
    found
}

/// Takes secrets out of the words of a command line; whether there were any.
fn in_list(words: &mut [Value]) -> bool {
    let found = places(words.iter().map(|word| word.as_str().unwrap_or_default()));
    for place in &found {
        if let Some(word) = words.get_mut(*place) {
            let without = without_tokens(word.as_str().unwrap_or_default());
            *word = without.unwrap_or_else(|| TODO.to_owned()).into();
        }
    }
    !found.is_empty()
}

/// Whether a word is an option that a secret follows, such as `--password`.
fn is_secret_flag(word: &str) -> bool {
    word.starts_with("--") && !word.contains('=') && is_secret(word)
}

/// A command line or script with a placeholder for each secret; `None` where it has none.
pub(super) fn without_tokens(script: &str) -> Option<String> {
    let mut is_found = false;
    let lines = script.split('\n').map(|line| {
        let mut without = line.to_owned();
        for secret in in_line(line).into_iter().filter(|secret| is_literal(secret)) {
            is_found = true;
            without = without.replace(secret.trim_matches(['"', '\'']), TODO);
        }
        without
    });
    let without = lines.collect::<Vec<_>>().join("\n");
    is_found.then_some(without)
}

/// What may be a secret in a line, by what stands before it.
fn in_line<'l>(line: &'l str) -> Vec<&'l str> {
    let words = line.split(|c: char| c.is_whitespace() || "\"'".contains(c));
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let mut found: Vec<&str> = login_tokens(line).collect();
    for pair in words.windows(2) {
        let [before, word] = pair else { continue };
        if is_secret_flag(before) || *before == "Bearer" {
            found.push(word);
        }
        // `curl -u USER:PASSWORD`
        if ["-u", "--user"].contains(before) && line.contains("curl") {
            found.extend(word.split_once(':').map(|(_, password)| password));
        }
    }
    for word in words {
        // `NAME=VALUE`, `--name=VALUE`, `-Dname=VALUE`, `?name=VALUE&...`
        for part in word.split(['?', '&', ';']) {
            let named = part.split_once('=');
            let secret = named.filter(|(name, _)| is_secret(name) || *name == "sig");
            found.extend(secret.map(|(_, value)| value));
        }
        let rest = word.split_once("://").map(|(_, rest)| rest);
        let user = rest.and_then(|rest| rest.split_once('@')).map(|(user, _)| user);
        let user = user.filter(|user| !user.contains('/'));
        found.extend(user.and_then(|user| user.split_once(':')).map(|(_, password)| password));
        let bare = |part: &'l str| part.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        found.extend(word.split(['=', ':', ',']).filter(|part| is_token(part)).map(bare));
    }
    found
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
            let is_found = is_member(key, text);
            if is_found {
                *value = TODO.into();
            }
            is_found
        }
        Value::Array(words) if ["command", "args"].contains(&key) => in_list(words),
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

/// Takes the texts `secrets` out of values, wherever they stand.
pub(super) fn redact_texts(value: &mut Value, secrets: &[String]) {
    match value {
        Value::String(text) if secrets.contains(text) => *value = TODO.into(),
        Value::Array(items) => items.iter_mut().for_each(|item| redact_texts(item, secrets)),
        Value::Object(members) => members.values_mut().for_each(|one| redact_texts(one, secrets)),
        _ => {}
    }
}

/// Whether a comment has a secret: a token, an option, or a member that was commented out.
pub(super) fn is_in_comment(comment: &str) -> bool {
    let text = comment.trim_start().trim_start_matches('#').trim();
    let member = text.split_once(": ").filter(|(key, _)| !key.contains(' ') && is_secret(key));
    let is_member = member.is_some_and(|(_, value)| is_literal(value) && !value.contains(' '));
    is_member || is_token(text) || without_tokens(text).is_some()
}

/// Whether a member of values is a secret. Names of objects are none.
pub(super) fn is_member(key: &str, text: &str) -> bool {
    let is_name = ["name", "key", "githubConfigSecret"].contains(&key)
        || ["Name", "Ref"].iter().any(|end| key.ends_with(end));
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
