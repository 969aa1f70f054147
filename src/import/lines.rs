//! The lines of a file that scripts stand in.

use crate::profile::source::{Node, NodeValue};

/// A line of a script, or all of a script that stands on one line of the file.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// The line in the file, from 1.
    pub(super) at: u32,
    pub(super) text: String,
}

/// The lines of the scripts that a container, or a handler, runs.
pub(super) fn lines(file: &str, container: &Node) -> Vec<Line> {
    let mut found = Vec::new();
    let exec = container.get("exec");
    for field in ["command", "args"] {
        let list = container.get(field).or_else(|| exec.and_then(|exec| exec.get(field)));
        let Some(NodeValue::List(words)) = list.map(|list| &list.value) else { continue };
        for word in words {
            if let NodeValue::String(text) = &word.value
                && (text.contains(char::is_whitespace) || text == "rm")
            {
                found.extend(script(file, word, text));
            }
        }
    }
    found
}

/// The lines of the script `text`, which begins at `node`: those of the file where they can be found in
/// it, as in literal and folded blocks, or else all of it on the line where it begins.
fn script(file: &str, node: &Node, text: &str) -> Vec<Line> {
    let at = usize::try_from(node.at.line).unwrap_or_default();
    let is_header = |line: usize| {
        let line = file.lines().nth(line.wrapping_sub(1)).unwrap_or_default().trim_end();
        let mark = |c: char| matches!(c, '-' | '+') || c.is_ascii_digit();
        line.trim_end_matches(mark).ends_with(['|', '>'])
    };
    // A block begins on the line after its mark.
    let Some(start) = [at, at.saturating_sub(1)].into_iter().find(|line| is_header(*line)) else {
        let begin = Line { at: node.at.line, text: text.to_owned() };
        return if text.contains('\n') { quoted(file, at, text) } else { vec![begin] };
    };
    let squeezed: String = text.split_whitespace().collect();
    let mut rest = squeezed.as_str();
    let mut found = Vec::new();
    for (index, line) in file.lines().enumerate().skip(start) {
        let part: String = line.split_whitespace().collect();
        let Some(after) = rest.strip_prefix(part.as_str()) else { break };
        rest = after;
        if !part.is_empty() {
            let at = u32::try_from(index + 1).unwrap_or_default();
            found.push(Line { at, text: line.trim().to_owned() });
        }
    }
    found
}

/// The lines of a script in quotes with `\n` in it: each on the line of the file that has its beginning.
fn quoted(file: &str, start: usize, text: &str) -> Vec<Line> {
    let mut index = start.saturating_sub(1);
    let lines: Vec<&str> = file.lines().collect();
    let mut found = Vec::new();
    for line in text.lines() {
        let begin: Vec<&str> = line.split_whitespace().take(3).collect();
        let begin = begin.join(" ");
        let place = lines.iter().enumerate().skip(index).find(|(_, there)| there.contains(&begin));
        if let Some((place, _)) = place.filter(|_| !begin.is_empty()) {
            index = place;
        }
        let at = u32::try_from(index + 1).unwrap_or_default();
        found.push(Line { at, text: line.trim().to_owned() });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::source::documents;

    /// The line of the file and the text of each line of the command's script.
    fn found(text: &str) -> Vec<(u32, String)> {
        let nodes = documents("f", text).unwrap();
        lines(text, &nodes[0]).into_iter().map(|line| (line.at, line.text)).collect()
    }

    #[test]
    fn lines_of_scripts_are_those_of_the_file() {
        for (yaml, expected) in [
            (
                "command:\n- sh\n- -c\n- |\n  # one\n  a b\n\n  c d\n",
                &[(5, "# one"), (6, "a b"), (8, "c d")][..],
            ),
            ("args:\n- |-\n  a b\n  c d\nx: 1\n", &[(3, "a b"), (4, "c d")]),
            ("args:\n- >-\n  a b\n  c d\nx: c d\n", &[(3, "a b"), (4, "c d")]),
            ("x: 1\ncommand: [sh, -c, 'a b; c d']\n", &[(2, "a b; c d")]),
            (
                "command:\n- sh\n- \"a b\\nc d\n  e\\nf g\"\n",
                &[(3, "a b"), (3, "c d e"), (4, "f g")],
            ),
            ("command: [dockerd, --mtu=1]\n", &[]),
            ("exec:\n  command: [sh, -c, rm -rf /x]\n", &[(2, "rm -rf /x")]),
            ("exec: {command: [rm, -rf, /x]}\n", &[(1, "rm")]),
        ] {
            let expected: Vec<(u32, String)> =
                expected.iter().map(|(line, text)| (*line, (*text).to_owned())).collect();
            let found = found(yaml);
            assert_eq!(found, expected, "{yaml}");
        }
    }
}
