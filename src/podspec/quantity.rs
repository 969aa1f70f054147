//! Kubernetes resource quantities, such as `8`, `500m` or `64Gi`, kept exact.
//!
//! The syntax and the values are those of apimachinery's `resource.Quantity`
//! (`pkg/api/resource/quantity.go`): a decimal number, then a decimal suffix (`n u m k M G T P E`
//! or none), a binary suffix (`Ki Mi Gi Ti Pi Ei`) or an exponent (`e3`, `E3`). A value finer
//! than nano is rounded to the next nano away from zero, as there.
//!
//! This parser is stricter in three places, so that nothing a user writes changes silently:
//!
//! - A number needs a digit. Apimachinery reads `Ki`, `.` and `-` as zero.
//! - A binary quantity above 2^63-1 is refused. Apimachinery caps it: `9Ei` becomes 2^63-1.
//! - A decimal quantity of more than about 1.7e29 is refused. Apimachinery has no bound.
//!
//! The API server writes quantities in canonical form before it asks a webhook, so none of the
//! three occurs in a pod under review, except for a decimal beyond any real memory size.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// Nano-units in one unit: the finest step that a quantity can take.
const NANO: i128 = 1_000_000_000;

/// The largest value with a binary suffix, in nano-units: apimachinery's `maxAllowed`, 2^63-1.
const BINARY_MAX: i128 = i64::MAX as i128 * NANO;

/// How many decimals a product may show before it is written in a finer unit instead.
const PRODUCT_PLACES: usize = 9;

/// How many decimals a sum may show before it is written in a finer unit instead.
const SUM_PLACES: usize = 3;

/// The suffixes that scale by a power of ten, largest last.
const DECIMAL_SUFFIXES: [(&str, i32); 10] = [
    ("n", -9),
    ("u", -6),
    ("m", -3),
    ("", 0),
    ("k", 3),
    ("M", 6),
    ("G", 9),
    ("T", 12),
    ("P", 15),
    ("E", 18),
];

/// The suffixes that scale by a power of two, largest last.
const BINARY_SUFFIXES: [(&str, u32); 6] =
    [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];

/// An amount of a resource, with the text that it was written as.
///
/// Compared, ordered and hashed by value: `1000m` equals `1`. Printed as written.
#[derive(Clone, Debug)]
pub struct Quantity {
    /// The text as written.
    text: String,
    /// Where in `text` the suffix starts.
    suffix_at: usize,
    /// What the suffix means.
    scale: Scale,
    /// The value in nano-units. Never `i128::MIN`: the text's magnitude fits as well.
    nano: i128,
}

impl Quantity {
    /// The text as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// This quantity `n` times, in the same suffix: `1.5Gi` three times is `4.5Gi`.
    ///
    /// Falls back to the coarsest of the suffixes none, `m`, `u` and `n` that needs no decimals
    /// where the own suffix cannot show the exact value (past 2^63-1 for a binary suffix, or
    /// with more than nine decimals). `None` when the value is too large for any.
    pub fn checked_times(&self, n: u32) -> Option<Self> {
        if n == 1 {
            return Some(self.clone());
        }
        let nano = self.nano.checked_mul(i128::from(n))?;
        self.write(nano, PRODUCT_PLACES).unwrap_or_else(|| write_plain(nano)).parse().ok()
    }

    /// The exact sum, in this quantity's suffix, or else the other's, or else a finer one.
    ///
    /// A zero's own suffix comes second: `0` and `1Gi` make `1Gi`.
    /// `None` when the value is too large.
    pub fn checked_add(&self, other: &Self) -> Option<Self> {
        let nano = self.nano.checked_add(other.nano)?;
        let (first, second) = if self.is_zero() { (other, self) } else { (self, other) };
        first
            .write(nano, SUM_PLACES)
            .or_else(|| second.write(nano, SUM_PLACES))
            .unwrap_or_else(|| write_plain(nano))
            .parse()
            .ok()
    }

    /// Whether the value has no fraction. Extended resources must not have one.
    pub fn is_integer(&self) -> bool {
        self.nano % NANO == 0
    }

    /// Whether the value is below zero.
    pub fn is_negative(&self) -> bool {
        self.nano < 0
    }

    /// Whether the value is zero.
    pub fn is_zero(&self) -> bool {
        self.nano == 0
    }

    /// The value as a count: `None` when it is negative, has a fraction or does not fit.
    pub fn whole(&self) -> Option<u64> {
        if self.is_integer() { u64::try_from(self.nano / NANO).ok() } else { None }
    }

    fn suffix(&self) -> &str {
        self.text.get(self.suffix_at..).unwrap_or_default()
    }

    /// Writes a value in this quantity's suffix; `None` if that is not exact in so many places.
    fn write(&self, nano: i128, places: usize) -> Option<String> {
        let magnitude = nano.unsigned_abs();
        if matches!(self.scale, Scale::Binary(_)) && magnitude > BINARY_MAX.unsigned_abs() {
            return None;
        }
        let unit = self.scale.unit()?.unsigned_abs();
        let mut fraction = String::new();
        let mut rest = magnitude % unit;
        while rest != 0 {
            if fraction.len() == places {
                return None;
            }
            rest = rest.checked_mul(10)?;
            fraction.push_str(&(rest / unit).to_string());
            rest %= unit;
        }
        let sign = if nano < 0 { "-" } else { "" };
        let point = if fraction.is_empty() { "" } else { "." };
        Some(format!("{sign}{}{point}{fraction}{}", magnitude / unit, self.suffix()))
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err(QuantityError::Empty);
        }
        let (whole, rest) = split_digits(text.strip_prefix(['+', '-']).unwrap_or(text));
        let (fraction, suffix) = match rest.strip_prefix('.') {
            Some(rest) => split_digits(rest),
            None => ("", rest),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(QuantityError::NoNumber { text: text.to_owned() });
        }
        let scale = Scale::parse(suffix)?;
        let magnitude = match scale {
            Scale::Binary(power) => binary_nano(whole, fraction, power)
                .filter(|nano| *nano <= BINARY_MAX)
                .ok_or_else(|| QuantityError::BinaryTooLarge { text: text.to_owned() })?,
            Scale::Decimal(power) => decimal_nano(whole, fraction, power)
                .ok_or_else(|| QuantityError::TooLarge { text: text.to_owned() })?,
        };
        let nano = if text.starts_with('-') { -magnitude } else { magnitude };
        Ok(Self { text: text.to_owned(), suffix_at: text.len() - suffix.len(), scale, nano })
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.text)
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nano == other.nano
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nano.cmp(&other.nano)
    }
}

impl Hash for Quantity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.nano.hash(state);
    }
}

/// Why a text is not a quantity.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum QuantityError {
    /// There is no text.
    #[error("a quantity must not be empty")]
    Empty,
    /// The text does not start with a number.
    #[error("`{text}` is not a quantity: write a decimal number, such as `8`, `500m` or `64Gi`")]
    NoNumber {
        /// The whole text.
        text: String,
    },
    /// What follows the number is not a suffix.
    #[error("`{suffix}` is not a quantity's suffix: {}", suffix_help(suffix))]
    Suffix {
        /// What follows the number.
        suffix: String,
    },
    /// Too large for this program, though not for Kubernetes.
    #[error("`{text}` is too large")]
    TooLarge {
        /// The whole text.
        text: String,
    },
    /// Too large for a binary suffix: Kubernetes would cap it without a word.
    #[error("`{text}` is too large: quantities with a binary suffix end at 2^63-1")]
    BinaryTooLarge {
        /// The whole text.
        text: String,
    },
}

/// What a suffix multiplies by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Scale {
    /// A power of two.
    Binary(u32),
    /// A power of ten, from a suffix or an exponent.
    Decimal(i32),
}

impl Scale {
    fn parse(suffix: &str) -> Result<Self, QuantityError> {
        if let Some((_, power)) = DECIMAL_SUFFIXES.iter().find(|(known, _)| *known == suffix) {
            return Ok(Self::Decimal(*power));
        }
        if let Some((_, power)) = BINARY_SUFFIXES.iter().find(|(known, _)| *known == suffix) {
            return Ok(Self::Binary(*power));
        }
        suffix
            .strip_prefix(['e', 'E'])
            .and_then(|power| power.parse().ok())
            .map(Self::Decimal)
            .ok_or_else(|| QuantityError::Suffix { suffix: suffix.to_owned() })
    }

    /// Nano-units in one of the suffix: `None` if that is no whole number, or too large.
    fn unit(self) -> Option<i128> {
        match self {
            Self::Binary(power) => 1_i128.checked_shl(power)?.checked_mul(NANO),
            Self::Decimal(power) => 10_i128.checked_pow(u32::try_from(power.checked_add(9)?).ok()?),
        }
    }
}

/// The number with a binary suffix in nano-units, rounded up.
fn binary_nano(whole: &str, fraction: &str, power: u32) -> Option<i128> {
    let unit = Scale::Binary(power).unit()?;
    // 0.d1d2 of a unit is (d1*unit + (d2*unit)/10)/10. Cutting each division to a whole number
    // cuts the sum to a whole number, and the sum is exact if and only if each division was.
    let mut part = 0_i128;
    let mut cut = false;
    for digit in fraction.bytes().rev().map(digit_value) {
        let sum = digit.checked_mul(unit)?.checked_add(part)?;
        part = sum / 10;
        cut |= sum % 10 != 0;
    }
    number(whole.bytes())?.checked_mul(unit)?.checked_add(part)?.checked_add(i128::from(cut))
}

/// The number times a power of ten in nano-units, rounded up.
fn decimal_nano(whole: &str, fraction: &str, power: i32) -> Option<i128> {
    let digits = || whole.bytes().chain(fraction.bytes());
    let length = whole.len() + fraction.len();
    let shift = i64::from(power) + 9 - i64::try_from(fraction.len()).ok()?;
    if shift < 0 {
        let kept = length.saturating_sub(usize::try_from(shift.unsigned_abs()).ok()?);
        let cut = digits().skip(kept).any(|digit| digit != b'0');
        return number(digits().take(kept))?.checked_add(i128::from(cut));
    }
    match number(digits())? {
        0 => Some(0),
        number => number.checked_mul(10_i128.checked_pow(u32::try_from(shift).ok()?)?),
    }
}

/// The value of ASCII digits; none of them is zero.
fn number(digits: impl Iterator<Item = u8>) -> Option<i128> {
    digits.map(digit_value).try_fold(0_i128, |sum, digit| sum.checked_mul(10)?.checked_add(digit))
}

fn digit_value(digit: u8) -> i128 {
    i128::from(digit.saturating_sub(b'0'))
}

/// Splits the leading ASCII digits off.
fn split_digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

/// Writes a value without decimals, in the coarsest suffix up to none that allows it.
fn write_plain(nano: i128) -> String {
    for (unit, suffix) in [(NANO, ""), (1_000_000, "m"), (1_000, "u")] {
        if nano % unit == 0 {
            return format!("{}{suffix}", nano / unit);
        }
    }
    format!("{nano}n")
}

/// What to write instead of a suffix that does not exist.
fn suffix_help(suffix: &str) -> String {
    let stem = suffix.trim().trim_end_matches(['b', 'B']);
    let meant: Vec<String> = DECIMAL_SUFFIXES
        .iter()
        .map(|(known, _)| *known)
        .chain(BINARY_SUFFIXES.iter().map(|(known, _)| *known))
        .filter(|known| !known.is_empty())
        .filter(|known| {
            // "GB" can mean either, and so can "K", but "gi" only one.
            known.eq_ignore_ascii_case(stem)
                || (known.len() == 2 && known.trim_end_matches('i').eq_ignore_ascii_case(stem))
        })
        .map(|known| format!("`{known}`"))
        .collect();
    if meant.is_empty() {
        "use one of n, u, m, k, M, G, T, P, E, Ki, Mi, Gi, Ti, Pi, Ei, an exponent such as e3, \
         or none"
            .to_owned()
    } else {
        format!("did you mean {}?", meant.join(" or "))
    }
}

#[cfg(test)]
mod tests;
