//! What is taken for a secret, so that it is not shown.

/// What the name of a variable has in it whose value is a secret.
const NAMES: [&str; 8] =
    ["TOKEN", "PASS", "SECRET", "KEY", "CREDENTIAL", "AUTH", "_PAT", "JITCONFIG"];
/// How tokens and keys of well-known services begin.
const TEXTS: [&str; 12] = [
    "ghp_",
    "gho_",
    "ghs_",
    "ghu_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "hf_",
    "xox",
    "AKIA",
    "eyJ",
    "-----BEGIN",
];

/// Whether the value of a variable or an option of this name is a secret.
pub(crate) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    NAMES.iter().any(|word| name.contains(word))
}

/// Whether a text has a token or a key of a well-known service in it.
pub(crate) fn is_token(text: &str) -> bool {
    TEXTS.iter().any(|start| text.contains(start))
}

/// The scheme and the host of a URL that has a user, and maybe a password.
pub(crate) fn in_url(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let (user, host) = rest.split_once('@')?;
    (!user.contains('/')).then_some((scheme, host))
}
