//! The `helm upgrade --install NAME --namespace NAMESPACE` that a comment of a values file has.

/// Flags of `helm install` and `helm upgrade` without a value.
const SWITCHES: &str = "-i --install --atomic --cleanup-on-fail --create-namespace --debug \
    --dependency-update --devel --force --reset-then-reuse-values --reset-values --reuse-values \
    --wait --wait-for-jobs";

/// A `helm` command of a comment.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct HelmCommand<'t> {
    /// The release.
    pub name: Option<&'t str>,
    /// `--namespace`.
    pub namespace: Option<&'t str>,
    /// `--version`.
    pub version: Option<&'t str>,
    /// The line of the command, from 1.
    pub line: usize,
}

impl<'t> HelmCommand<'t> {
    /// The first command in the comments of `text` that names a release. A `\` at its end continues a
    /// line.
    pub fn find(text: &'t str) -> Option<Self> {
        let mut words = Vec::new();
        let mut start = None;
        for (index, text) in text.lines().enumerate() {
            let comment = text.trim_start().strip_prefix('#').unwrap_or_default();
            let comment = comment.trim_matches(['#', ' ', '`']);
            let (comment, continues) = match comment.strip_suffix('\\') {
                Some(comment) => (comment, true),
                None => (comment, false),
            };
            let quotes = ['"', '\'', '`'];
            words.extend(comment.split_whitespace().map(|word| word.trim_matches(quotes)));
            let line = *start.get_or_insert(index + 1);
            if !continues {
                if let Some(command) = Self::parse(&words, line) {
                    return Some(command);
                }
                words.clear();
                start = None;
            }
        }
        Self::parse(&words, start?)
    }

    fn parse(words: &[&'t str], line: usize) -> Option<Self> {
        let is_helm = |pair: &[&str]| matches!(pair, ["helm", "upgrade" | "install" | "template"]);
        let start = words.windows(2).position(is_helm)?;
        let mut command = Self { line, ..Self::default() };
        let mut words = words.iter().copied().skip(start + 2);
        let mut has_release = false;
        while let Some(word) = words.next() {
            if !word.starts_with('-') {
                // After the release comes the chart.
                if !has_release {
                    command.name = literal(word);
                }
                has_release = true;
                continue;
            }
            let (flag, value) = match word.split_once('=') {
                Some((flag, value)) => (flag, Some(value)),
                None if SWITCHES.split(' ').any(|switch| switch == word) => continue,
                None => (word, words.next()),
            };
            match flag {
                "-n" | "--namespace" => command.namespace = value.and_then(literal),
                "--version" => command.version = value.and_then(literal),
                _ => {}
            }
        }
        command.name.is_some().then_some(command)
    }
}

/// A word that is no variable, placeholder or path.
fn literal(word: &str) -> Option<&str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    (!word.is_empty() && word.chars().all(is_plain)).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn helm_command_is_found_in_comments() {
        for (text, name, namespace, version, line) in [
            ("# helm install a oci://b/c", Some("a"), None, None, 1),
            ("a: 1\n## $ helm upgrade -i a -n b c\n", Some("a"), Some("b"), None, 2),
            (
                "#helm upgrade --install --namespace=b \"a\" c --version '1.2.3'",
                Some("a"),
                Some("b"),
                Some("1.2.3"),
                1,
            ),
            (
                "# run:\n#   helm upgrade --wait \\\n#     --install a.b_c \\\n#     -f x.yaml -n n\n# -n other",
                Some("a.b_c"),
                Some("n"),
                None,
                2,
            ),
            ("# `helm template a --set x=y --namespace $NS c`", Some("a"), None, None, 1),
            ("# helm install NAME\n# helm install b\n", Some("NAME"), None, None, 1),
            ("a: 1\n# helm install a \\", Some("a"), None, None, 2),
            ("# helm install ${NAME} chart\n# helm install b\n", Some("b"), None, None, 2),
        ] {
            let expected = HelmCommand { name, namespace, version, line };
            assert_eq!(HelmCommand::find(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn helm_command_elsewhere_is_none() {
        for text in [
            "",
            "helm install a",
            "a: helm install b",
            "# helm",
            "# helm list a",
            "# helm install",
            "# helm install <name> c",
        ] {
            assert_eq!(HelmCommand::find(text), None, "{text}");
        }
    }
}
