//! Values in the place of the words that stand for them in a render.

/// One word of a render, and what comes in its place.
#[derive(Debug)]
pub(super) struct Blank {
    /// As `deploy/render` has it.
    pub(super) word: &'static str,
    /// The value, already in YAML's words.
    pub(super) value: String,
}

/// The text with every word replaced. In one pass: a value that has another's word in it stays as
/// it is.
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

/// The first word of a text, with what is before and after it.
fn first<'t, 'b>(text: &'t str, blanks: &'b [Blank]) -> Option<(&'t str, &'b Blank, &'t str)> {
    let found = blanks.iter().filter_map(|blank| Some((text.find(blank.word)?, blank)));
    let (_, blank) = found.min_by_key(|&(at, _)| at)?;
    let (before, after) = text.split_once(blank.word)?;
    Some((before, blank, after))
}

/// A text as a YAML scalar, as the chart's `quote` has it.
pub(super) fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_replaced_and_no_value_is_taken_for_a_word() {
        let blank = |word, value: &str| Blank { word, value: value.to_owned() };
        let blanks = [blank("<a>", "<b>"), blank("<b>", "<a><a>"), blank("<c>", "")];
        assert_eq!(fill("1<a>2<b>3<c>4<a>", &blanks), "1<b>2<a><a>34<b>");
        assert_eq!(fill("", &blanks), "");
        assert_eq!(fill("none", &blanks), "none");
    }

    #[test]
    fn quotes_and_backslashes_stay_inside_of_a_scalar() {
        assert_eq!(quote(r#"a"b\c: *"#), r#""a\"b\\c: *""#);
    }
}
