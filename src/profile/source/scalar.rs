//! What an unquoted word means, as in sigs.k8s.io/yaml (go-yaml v2), which kubectl reads with.

use super::NodeValue;

/// Why a word that looks like a number is none that a profile may have.
enum Fault {
    /// `.inf` or `.nan`: JSON has neither.
    NotFinite,
    /// Beyond 64 bits: kubectl would round it or send it unsigned, and no field takes that.
    TooLarge,
}

/// The value of `text` with a tag of YAML's core schema, `str` for quotes, or what to say about it.
pub(super) fn resolve_tagged(text: &str, tag: Option<&str>) -> Result<NodeValue, String> {
    if tag == Some("str") {
        return Ok(NodeValue::String(text.to_owned()));
    }
    let value = resolve(text).map_err(|fault| {
        let reason = match fault {
            Fault::NotFinite => "infinity and NaN do not exist in JSON",
            Fault::TooLarge => "the number does not fit 64 bits",
        };
        format!("{reason}; if it is text, put it in quotes")
    })?;
    match (tag, value) {
        (Some("bool"), NodeValue::Ambiguous(word)) => Ok(NodeValue::Bool(is_affirmative(&word))),
        (None, value)
        | (Some("null"), value @ NodeValue::Null)
        | (Some("bool"), value @ NodeValue::Bool(_))
        | (Some("int" | "float"), value @ NodeValue::Int(_))
        | (Some("float"), value @ NodeValue::Float(_)) => Ok(value),
        (Some(tag), _) => Err(format!("the value does not fit the tag !!{tag}")),
    }
}

/// The value of the unquoted scalar `text`.
fn resolve(text: &str) -> Result<NodeValue, Fault> {
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => NodeValue::Null,
        "true" | "True" | "TRUE" => NodeValue::Bool(true),
        "false" | "False" | "FALSE" => NodeValue::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf" | "-.INF"
        | ".nan" | ".NaN" | ".NAN" => return Err(Fault::NotFinite),
        _ if is_affirmative(text) || is_negative(text) => NodeValue::Ambiguous(text.to_owned()),
        _ => number(text)?.unwrap_or_else(|| NodeValue::String(text.to_owned())),
    })
}

/// Whether `word` is one of YAML 1.1's other spellings of `true`.
pub(super) fn is_affirmative(word: &str) -> bool {
    matches!(word, "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON")
}

fn is_negative(word: &str) -> bool {
    matches!(word, "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF")
}

fn number(text: &str) -> Result<Option<NodeValue>, Fault> {
    if !text.starts_with(['+', '-', '.', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']) {
        return Ok(None);
    }
    // go-yaml is stricter about underscores after a leading point; such numbers do not occur.
    let plain = text.replace('_', "");
    let (negative, magnitude) = match plain.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, plain.strip_prefix('+').unwrap_or(&plain)),
    };
    for (radix, digits) in integers(magnitude) {
        if !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix)) {
            let magnitude = i128::from_str_radix(digits, radix).map_err(|_| Fault::TooLarge)?;
            let number = if negative { -magnitude } else { magnitude };
            let number = i64::try_from(number).map_err(|_| Fault::TooLarge)?;
            return Ok(Some(NodeValue::Int(number)));
        }
    }
    if !is_float(magnitude) {
        return Ok(None);
    }
    // Go's ParseFloat refuses what does not fit, and the word stays a string.
    Ok(plain.parse().ok().filter(|number: &f64| number.is_finite()).map(NodeValue::Float))
}

/// The ways to read `text` as an integer, in the order in which they are tried: `010` is eight,
/// and `08`, which is not octal, is eight as well.
fn integers(text: &str) -> impl Iterator<Item = (u32, &str)> {
    let prefixed = |prefixes: [&str; 2], radix| {
        prefixes.iter().find_map(|prefix| text.strip_prefix(prefix)).map(|digits| (radix, digits))
    };
    [
        prefixed(["0x", "0X"], 16),
        prefixed(["0o", "0O"], 8),
        prefixed(["0b", "0B"], 2),
        text.strip_prefix('0').map(|digits| (8, digits)),
        Some((10, text)),
    ]
    .into_iter()
    .flatten()
}

/// `(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = exponent.map(|text| text.strip_prefix(['-', '+']).unwrap_or(text));
    digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
}
