//! What is taken for a secret, so that it is not shown.

/// What the name of a variable has in it whose value is a secret.
const NAMES: [&str; 11] = [
    "TOKEN",
    "PASS",
    "PWD",
    "SECRET",
    "KEY",
    "CREDENTIAL",
    "AUTH",
    "COOKIE",
    "WEBHOOK",
    "_PAT",
    "JITCONFIG",
];
/// Names that are as short as that.
const SHORT_NAMES: [&str; 3] = ["PW", "PAT", "SAS"];
/// How tokens and keys of well-known services begin.
const TEXTS: [&str; 17] = [
    "dckr_pat_",
    "npm_",
    "pypi-",
    "hooks.slack.com/services/",
    "AccountKey=",
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
    let mut words = name.split(|c: char| !c.is_ascii_alphanumeric());
    NAMES.iter().any(|word| name.contains(word)) || words.any(|word| SHORT_NAMES.contains(&word))
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
