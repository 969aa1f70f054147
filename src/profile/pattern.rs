//! The one pattern syntax for names: `*`, and `{gpus}` for a count inside a scale set's name.
//!
//! | in a pattern | stands for |
//! |---|---|
//! | `*` | any text, also none |
//! | `{gpus}` | a GPU count: all the digits at that place, 1 to [`MAX_GPUS`] |
//! | anything else | itself |
//!
//! There is no escape: names have no braces and no stars. `{gpus}` may stand once in a pattern.
//! It takes a whole run of digits, never a part of one, so that `{gpus}` cannot read `42` out of
//! `gfx942`. A run that is no count (`0`, `08`, `942`, the 64 of `x86-64`) is passed over.
//!
//! A pattern covers the whole name. Where it could match in more than one way, each `*`, from
//! the left, takes the shortest text that it can; in other words, `{gpus}` is the first run of
//! digits that lets the rest match. So `*{gpus}*` reads 2 from `mi300-2gpu-4`, as `300` is no
//! count, and `*-gpu-{gpus}*` reads 4 from `x-2gpu-gpu-4-1`.

use std::fmt;
use std::str::FromStr;

/// The most GPUs that a name can ask for: eight GPUs in CPX mode are 64 partitions, and the
/// device plugin offers each of them as one `amd.com/gpu`.
pub const MAX_GPUS: u32 = 64;

/// The longest pattern, in bytes: no name in Kubernetes is longer (DNS subdomain, RFC 1123).
pub const MAX_LENGTH: usize = 253;

/// What stands before a 64 that is no count.
const MACHINE: [&str; 2] = ["x86-", "x86_"];

/// A parsed pattern.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Pattern {
    text: String,
    /// The whole pattern, or what stands before `{gpus}`.
    before: Glob,
    /// What stands after `{gpus}`.
    after: Option<Glob>,
}

/// What a pattern read from a name.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Match {
    /// The count at `{gpus}`, from 1 to [`MAX_GPUS`]; `None` if the pattern has no `{gpus}`.
    pub gpus: Option<u32>,
}

impl Pattern {
    /// Parses a pattern for a scale set's name.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.len() > MAX_LENGTH {
            return Err(PatternError::TooLong { length: text.len() });
        }
        let Some((before, after)) = split_placeholder(text)? else {
            return Ok(Self { text: text.to_owned(), before: Glob::new(text), after: None });
        };
        if split_placeholder(after)?.is_some() {
            return Err(PatternError::Twice);
        }
        if before.ends_with(is_digit) || after.starts_with(is_digit) {
            return Err(PatternError::TouchesDigit { text: text.to_owned() });
        }
        let (before, after) = (Glob::new(before), Some(Glob::new(after)));
        Ok(Self { text: text.to_owned(), before, after })
    }

    /// Refuses `{gpus}`, for the places that match something other than a scale set's name.
    pub fn without_gpus(self) -> Result<Self, PatternError> {
        if self.has_gpus() { Err(PatternError::NotHere { text: self.text }) } else { Ok(self) }
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the pattern reads a count from the name.
    pub fn has_gpus(&self) -> bool {
        self.after.is_some()
    }

    /// Matches a whole name. Nothing is allocated. A name with a count that is longer than
    /// [`MAX_LENGTH`] is none: each of its runs would be tried.
    pub fn matches(&self, name: &str) -> Option<Match> {
        let Some(after) = &self.after else {
            return self.before.matches(name).then_some(Match { gpus: None });
        };
        if name.len() > MAX_LENGTH {
            return None;
        }
        runs(name).find_map(|Run { start, end, count }| {
            let fits = self.before.matches(name.get(..start)?) && after.matches(name.get(end..)?);
            fits.then_some(Match { gpus: Some(count) })
        })
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.text)
    }
}

/// Why a text is not a pattern.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// There is no text.
    #[error("a pattern must not be empty: use `*` for any name")]
    Empty,
    /// Longer than [`MAX_LENGTH`].
    #[error("a pattern of {length} bytes is longer than any name: the limit is {MAX_LENGTH}")]
    TooLong {
        /// The pattern's length in bytes.
        length: usize,
    },
    /// `{gpus}` stands more than once.
    #[error("`{{gpus}}` may stand only once in a pattern: use `*` for the other place")]
    Twice,
    /// `{gpus}` beside a digit: it takes whole runs of digits, so this matches nothing.
    #[error(
        "`{text}` can match no name: `{{gpus}}` takes all the digits at its place, so no digit \
         may stand beside it"
    )]
    TouchesDigit {
        /// The pattern.
        text: String,
    },
    /// A placeholder that does not exist.
    #[error("`{{{name}}}` is not a placeholder: {}", placeholder_help(name))]
    Placeholder {
        /// What stands between the braces.
        name: String,
    },
    /// A brace without its partner.
    #[error("stray `{brace}`: braces stand only in `{{gpus}}`")]
    StrayBrace {
        /// The brace.
        brace: char,
    },
    /// `{gpus}` where there is no count to read.
    #[error(
        "`{text}`: `{{gpus}}` reads a count from a scale set's name and means nothing here: use `*`"
    )]
    NotHere {
        /// The pattern.
        text: String,
    },
}

/// Literal text with stars between: always one piece more than stars.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Glob {
    first: String,
    /// The pieces after the first star, the last of them aside.
    middle: Vec<String>,
    /// What stands after the last star; `None` if there is no star.
    last: Option<String>,
}

impl Glob {
    fn new(text: &str) -> Self {
        let mut pieces = text.split('*').map(str::to_owned);
        let first = pieces.next().unwrap_or_default();
        let mut middle: Vec<_> = pieces.collect();
        let last = middle.pop();
        middle.retain(|piece| !piece.is_empty());
        Self { first, middle, last }
    }

    /// Places each piece as far left as it goes, and the last one at the end.
    fn matches(&self, text: &str) -> bool {
        let Self { first, middle, last } = self;
        let Some(mut rest) = text.strip_prefix(first.as_str()) else { return false };
        for piece in middle {
            match rest.split_once(piece.as_str()) {
                Some((_, after)) => rest = after,
                None => return false,
            }
        }
        match last {
            Some(last) => rest.ends_with(last.as_str()),
            None => rest.is_empty(),
        }
    }
}

/// The text on both sides of the first placeholder, which must be `{gpus}`.
fn split_placeholder(text: &str) -> Result<Option<(&str, &str)>, PatternError> {
    let (before, rest) = match text.split_once('{') {
        Some((before, rest)) => (before, Some(rest)),
        None => (text, None),
    };
    if before.contains('}') {
        return Err(PatternError::StrayBrace { brace: '}' });
    }
    let Some(rest) = rest else { return Ok(None) };
    match rest.split_once('}') {
        Some(("gpus", after)) => Ok(Some((before, after))),
        Some((name, _)) if !name.contains('{') => {
            Err(PatternError::Placeholder { name: name.to_owned() })
        }
        _ => Err(PatternError::StrayBrace { brace: '{' }),
    }
}

/// What to write instead of a placeholder that does not exist.
fn placeholder_help(name: &str) -> &'static str {
    let name = name.trim().to_ascii_lowercase();
    let near = ["gpus", "gpu-count", "gpu_count", "gpucount", "count", "num", "number", "n"]
        .iter()
        .any(|known| strsim::damerau_levenshtein(&name, known) <= known.len() / 3);
    if near { "did you mean `{gpus}`?" } else { "there is only `{gpus}`, and `*` for any text" }
}

/// A run of digits that is a count, with its place in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) count: u32,
}

/// The runs of digits in `name` that are counts.
pub(super) fn runs(name: &str) -> impl Iterator<Item = Run> {
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let start = find_from(name, from, is_digit)?;
            let end = find_from(name, start, |c| !is_digit(c)).unwrap_or(name.len());
            from = end;
            if let Some(count) = count(name, start, end) {
                return Some(Run { start, end, count });
            }
        }
    })
}

/// The count that the digits between two places are, if they are one.
fn count(name: &str, start: usize, end: usize) -> Option<u32> {
    let run = name.get(start..end)?;
    let is_machine = run == "64"
        && MACHINE.iter().any(|it| name.get(..start).is_some_and(|text| text.ends_with(it)));
    if run.starts_with('0') || is_machine {
        return None;
    }
    run.parse().ok().filter(|gpus| *gpus <= MAX_GPUS)
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit()
}

fn find_from(text: &str, from: usize, wanted: impl Fn(char) -> bool) -> Option<usize> {
    text.get(from..)?.find(wanted).map(|at| from + at)
}

#[cfg(test)]
mod fleet_tests;
#[cfg(test)]
mod tests;
