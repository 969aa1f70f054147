//! Replaces the placeholders of a render.

/// One placeholder and its value.
#[derive(Debug)]
pub(super) struct Blank {
    /// The placeholder, as `deploy/render` writes it.
    pub(super) word: &'static str,
    /// The value, as YAML.
    pub(super) value: String,
}

/// Replaces every placeholder in one pass, so that a value may contain the text of a placeholder.
pub(super) fn fill(text: &str, blanks: &[Blank]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, blank, after)) = first(rest, blanks) {
        out.push_str(before);
        out.push_str(&blank.value);
        rest = after;
    }
    out.push_str(rest);
    out
}

/// The first placeholder of a text, with the text before and after it.
fn first<'t, 'b>(text: &'t str, blanks: &'b [Blank]) -> Option<(&'t str, &'b Blank, &'t str)> {
    let found = blanks.iter().filter_map(|blank| Some((text.find(blank.word)?, blank)));
    let (_, blank) = found.min_by_key(|&(at, _)| at)?;
    let (before, after) = text.split_once(blank.word)?;
    Some((before, blank, after))
}

/// A text as a YAML scalar, as the chart's `quote` writes it.
pub(super) fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_placeholder_is_replaced_once() {
        let blank = |word, value: &str| Blank { word, value: value.to_owned() };
        let blanks = [blank("<a>", "<b>"), blank("<b>", "<a><a>"), blank("<c>", "")];
        assert_eq!(fill("1<a>2<b>3<c>4<a>", &blanks), "1<b>2<a><a>34<b>");
        assert_eq!(fill("", &blanks), "");
        assert_eq!(fill("none", &blanks), "none");
    }

    #[test]
    fn quotes_and_backslashes_are_escaped() {
        assert_eq!(quote(r#"a"b\c: *"#), r#""a\"b\\c: *""#);
    }
}
