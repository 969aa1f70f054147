//! The forms of names that the API server accepts (`k8s.io/apimachinery/pkg/util/validation`).

/// What a DNS-1123 label is, for messages.
pub const LABEL: &str = "at most 63 lower-case letters, digits and '-', with a letter or \
                                digit at both ends";
/// What a DNS-1123 subdomain is, for messages.
pub const SUBDOMAIN: &str =
    "lower-case letters, digits, '-' and '.', with a letter or digit at both ends of each part";
/// What a qualified name is, for messages.
pub const QUALIFIED: &str =
    "at most 63 letters, digits, '-', '_' and '.', with a DNS subdomain and '/' before it or not";
/// What a label's value is, for messages.
pub const LABEL_VALUE: &str =
    "at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends";
/// What a port's name is, for messages.
pub const PORT_NAME: &str =
    "at most 15 lower-case letters, digits and single '-', with at least one letter";

/// Whether `text` is a DNS-1123 subdomain. Its parts may be longer than a label.
pub fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label_of_any_length)
}

/// Whether `text` is a DNS-1123 label.
pub fn is_label(text: &str) -> bool {
    text.len() <= 63 && is_label_of_any_length(text)
}

fn is_label_of_any_length(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Whether `text` is a qualified name: the key of a label or annotation, or a resource.
pub fn is_qualified(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_subdomain(prefix) && is_name_part(name),
        None => is_name_part(text),
    }
}

/// Whether `text` is the value of a label.
pub fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_name_part(text)
}

fn is_name_part(text: &str) -> bool {
    let ends = |c: char| c.is_ascii_alphanumeric();
    text.len() <= 63
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && text.starts_with(ends)
        && text.ends_with(ends)
}

/// Whether `text` is the name of an environment variable, in the wider sense of Kubernetes 1.32.
pub fn is_env_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'=')
}

/// Whether `text` is the name of a port (`IANA_SVC_NAME`).
pub fn is_port_name(text: &str) -> bool {
    text.len() <= 15
        && is_label_of_any_length(text)
        && text.contains(|c: char| c.is_ascii_lowercase())
        && !text.contains("--")
}

/// Whether `text` is the key of a file in a ConfigMap or Secret.
pub fn is_data_key(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && text != "."
        && !text.starts_with("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that `is` returns `wanted` for each of `texts`.
    fn assert_all(is: fn(&str) -> bool, texts: &[&str], wanted: bool) {
        for text in texts {
            assert_eq!(is(text), wanted, "{text:?}");
        }
    }

    #[test]
    fn names_follow_apimachinery() {
        let (long, longer) = ("a".repeat(63), "a".repeat(64));
        assert_all(is_label, &["a", "a-b", "1", &long], true);
        assert_all(is_label, &["", "-a", "a-", "A", "a.b", "a_b", &longer], false);
        assert_all(is_subdomain, &["a.b", "1.2", &longer, &format!("{longer}.b")], true);
        assert_all(is_subdomain, &["", ".a", "a.", "a..b", "A.b", "a.-b", &"a".repeat(254)], false);
        assert_all(is_qualified, &["a", "A_b.c", "amd.com/gpu", &format!("a/{long}")], true);
        assert_all(is_qualified, &["", "a/", "/a", "a/b/c", "A.b/c", "-a", "a b", &longer], false);
        assert_all(is_label_value, &["", "yes", "A_b.c-1", &long], true);
        assert_all(is_label_value, &["-a", "a.", "a/b", "a b", &longer], false);
        assert_all(is_env_name, &["A", "a.b-c", "http proxy", "1"], true);
        assert_all(is_env_name, &["", "A=B", "ä", "A\n"], false);
        assert_all(is_port_name, &["http", "h-1", "1a"], true);
        assert_all(is_port_name, &["", "1", "HTTP", "a--b", "-a", "abcdefghijklmnop"], false);
        assert_all(is_data_key, &[".dockerconfigjson", "a.b", "A_b-1"], true);
        assert_all(is_data_key, &["", ".", "..", "..a", "a/b", "a b"], false);
    }
}
