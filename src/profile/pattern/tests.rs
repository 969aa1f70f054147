//! The syntax by example, then properties against a naive reference.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{MAX_GPUS, MAX_LENGTH, Match, Pattern, PatternError};

fn mk_pattern(text: &str) -> Pattern {
    Pattern::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn mk_error(text: &str) -> String {
    Pattern::parse(text).expect_err(text).to_string()
}

/// The count that a pattern reads from a name.
fn gpus(pattern: &str, name: &str) -> Option<u32> {
    mk_pattern(pattern).matches(name).and_then(|found| found.gpus)
}

fn matches(pattern: &str, name: &str) -> bool {
    mk_pattern(pattern).matches(name).is_some()
}

#[test]
fn star_matches_any_text_or_none() {
    for (pattern, name) in [
        ("rocm", "rocm"),
        ("*", "rocm"),
        ("*", ""),
        ("**", "rocm"),
        ("rocm*", "rocm"),
        ("rocm*", "rocm-mi300"),
        ("*mi300", "rocm-mi300"),
        ("*-*", "-"),
        ("a*b*c", "a-b-b-c"),
        ("*ab*ab*", "abab"),
        ("a*a", "aa"),
        ("Größe*", "Größe-ß"),
        ("linux.*", "linux.rocm"),
    ] {
        assert_eq!(mk_pattern(pattern).matches(name), Some(Match { gpus: None }), "{pattern}");
    }
    for (pattern, name) in [
        ("rocm", "rocm-mi300"),
        ("rocm", "a-rocm"),
        ("*mi300", "mi300-test"),
        ("a*a", "a"),
        ("ab*bc", "abc"),
        ("*ab*ab*", "bcab"),
        ("linux.*", "linux-rocm"),
        ("[a-z]?", "ab"),
        ("Rocm", "rocm"),
    ] {
        assert!(!matches(pattern, name), "{pattern} on {name}");
    }
}

#[test]
fn gpus_matches_a_whole_digit_run() {
    for (pattern, name, expected) in [
        ("linux-mi300-{gpus}gpu-*", "linux-mi300-2gpu-ossci-rocm", Some(2)),
        ("linux-*-{gpus}gpu-*", "linux-x86-64-8gpu-amd", Some(8)),
        ("linux-gfx*{gpus}", "linux-gfx942", None),
        ("gfx9*{gpus}", "gfx942", None),
        ("gfx*{gpus}", "gfx42", Some(42)),
        ("{gpus}", "8", Some(8)),
        ("{gpus}*", "8", Some(8)),
        ("*{gpus}", "8", Some(8)),
        ("*{gpus}*", "mi300x-8", Some(8)),
        ("*{gpus}x*", "mi300x-8", None),
        ("mi{gpus}", "mi", None),
        ("*.{gpus}", "linux.rocm.gpu.gfx950.4", Some(4)),
        ("*.{gpus}", "linux.rocm.gpu.gfx950", None),
        ("*.{gpus}*", "linux.rocm.gpu.gfx950.4.b", Some(4)),
        ("ß{gpus}ß*ß", "ß2ß-ß", Some(2)),
    ] {
        assert_eq!(gpus(pattern, name), expected, "{pattern} on {name}");
        assert_eq!(matches(pattern, name), expected.is_some(), "{pattern} on {name}");
    }
}

#[test]
fn gpus_skips_runs_that_are_no_count() {
    for (name, expected) in [
        ("a-0-2", Some(2)),
        ("a-08-2", Some(2)),
        ("a-65-2", Some(2)),
        ("a-99999999999999999999-2", Some(2)),
        ("a-64-2", Some(64)),
        ("a-1-2", Some(1)),
        ("a-0", None),
        ("a-00", None),
        ("a-٣", None),
    ] {
        assert_eq!(gpus("a*-{gpus}*", name), expected, "{name}");
    }
    assert_eq!(MAX_GPUS, 64);
}

#[test]
fn gpus_takes_the_first_fitting_run() {
    assert_eq!(gpus("*{gpus}*", "mi300-2gpu-4"), Some(2));
    assert_eq!(gpus("*-gpu-{gpus}*", "x-2gpu-gpu-4-1"), Some(4));
    assert_eq!(gpus("*{gpus}*-b*", "1-a-2-b-3"), Some(1));
    assert_eq!(gpus("*-b*{gpus}*", "1-a-2-b-3-4"), Some(3));
    assert_eq!(gpus("*-{gpus}", "a-1-2-3"), Some(3));
}

#[test]
fn gpus_of_a_name_longer_than_any_is_not_read() {
    let name = |length: usize| format!("{}-2", "1x".repeat(length / 2 - 1));
    assert_eq!(gpus("*-{gpus}", &name(MAX_LENGTH)), Some(2));
    assert_eq!(gpus("*-{gpus}", &name(MAX_LENGTH + 3)), None);
    // Three million runs of digits.
    assert!(!matches("*{gpus}-*", &name(6_000_000)));
}

#[test]
fn pattern_pieces_do_not_overlap_the_count() {
    // The pieces before and after the count would both need the same dash.
    assert!(!matches("*-a{gpus}*-a", "-a1"));
    assert!(!matches("a*a{gpus}", "a1"));
    assert!(matches("a*a{gpus}", "aa1"));
    assert!(!matches("{gpus}b*b", "1b"));
    assert!(matches("{gpus}b*b", "1bb"));
    assert!(!matches("{gpus}b*b*b", "1bb"));
}

#[test]
fn invalid_pattern_says_what_to_write() {
    for (text, expected) in [
        ("", "a pattern must not be empty: use `*` for any name"),
        ("{gpus}-{gpus}", "`{gpus}` may stand only once in a pattern: use `*` for the other place"),
        ("a-{gpu}", "`{gpu}` is not a placeholder: did you mean `{gpus}`?"),
        ("a-{GPUs}", "`{GPUs}` is not a placeholder: did you mean `{gpus}`?"),
        ("a-{ gpus }", "`{ gpus }` is not a placeholder: did you mean `{gpus}`?"),
        ("a-{count}", "`{count}` is not a placeholder: did you mean `{gpus}`?"),
        (
            "{gpus}-{arch}",
            "`{arch}` is not a placeholder: there is only `{gpus}`, and `*` for any text",
        ),
        ("a-{}", "`{}` is not a placeholder: there is only `{gpus}`, and `*` for any text"),
        ("a-{gpus", "stray `{`: braces stand only in `{gpus}`"),
        ("a-{{gpus}}", "stray `{`: braces stand only in `{gpus}`"),
        ("a-gpus}", "stray `}`: braces stand only in `{gpus}`"),
        ("a}-{gpus}", "stray `}`: braces stand only in `{gpus}`"),
        ("{gpus}}", "stray `}`: braces stand only in `{gpus}`"),
        (
            "gfx9{gpus}",
            "`gfx9{gpus}` can match no name: `{gpus}` takes all the digits at its place, so no \
             digit may stand beside it",
        ),
        (
            "{gpus}0",
            "`{gpus}0` can match no name: `{gpus}` takes all the digits at its place, so no \
             digit may stand beside it",
        ),
    ] {
        assert_eq!(mk_error(text), expected);
    }
    assert_eq!(
        mk_error(&"a".repeat(254)),
        "a pattern of 254 bytes is longer than any name: the limit is 253"
    );
    assert!(Pattern::parse(&"a".repeat(253)).is_ok());
}

#[test]
fn gpus_without_a_count_is_refused() {
    assert_eq!(
        mk_pattern("team-{gpus}").without_gpus().unwrap_err().to_string(),
        "`team-{gpus}`: `{gpus}` reads a count from a scale set's name and means nothing here: \
         use `*`"
    );
    let plain = mk_pattern("team-*").without_gpus().unwrap();
    assert!(!plain.has_gpus());
    assert!(mk_pattern("team-{gpus}").has_gpus());
    assert_eq!("".parse::<Pattern>(), Err(PatternError::Empty));
}

#[test]
fn pattern_prints_as_written() {
    for text in ["**", "linux-*-{gpus}gpu*", "rocm"] {
        assert_eq!(mk_pattern(text).to_string(), text);
        assert_eq!(mk_pattern(text).as_str(), text);
    }
}

#[test]
fn pattern_of_hostile_text_takes_bounded_time() {
    let start = Instant::now();
    let name = "a".repeat(100_000);
    assert!(!matches("*a*a*a*a*b", &name));
    assert!(!matches("*a*a*a*a*{gpus}*a*a*a*b", &name));
    assert!(!matches("*a*a*{gpus}b*a*", &"a1".repeat(50_000)));
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

/// What a pattern means, tried out one way after the other, shortest star first.
fn reference(pattern: &str, name: &[char], at: usize) -> Option<Match> {
    let digit = |at: usize| name.get(at).is_some_and(char::is_ascii_digit);
    if let Some(rest) = pattern.strip_prefix('*') {
        return (at..=name.len()).find_map(|at| reference(rest, name, at));
    }
    if let Some(rest) = pattern.strip_prefix("{gpus}") {
        if at > 0 && digit(at - 1) {
            return None;
        }
        let end = (at..=name.len()).find(|at| !digit(*at))?;
        let run: String = name[at..end].iter().collect();
        let before: String = name[..at].iter().collect();
        if run == "64" && (before.ends_with("x86-") || before.ends_with("x86_")) {
            return None;
        }
        let count = (1..=MAX_GPUS).find(|count| count.to_string() == run)?;
        return reference(rest, name, end).map(|_| Match { gpus: Some(count) });
    }
    match pattern.chars().next() {
        None => (at == name.len()).then_some(Match { gpus: None }),
        Some(c) if name.get(at) == Some(&c) => reference(&pattern[c.len_utf8()..], name, at + 1),
        Some(_) => None,
    }
}

/// Patterns over few characters, so that they often match.
fn patterns() -> impl Strategy<Value = Pattern> {
    ("[-ab126*]{0,6}", prop::option::of("[-ab126*]{0,6}"))
        .prop_map(|(before, after)| match after {
            Some(after) => format!("{before}{{gpus}}{after}"),
            None => before,
        })
        .prop_filter_map("a pattern", |text| Pattern::parse(&text).ok())
}

/// A pattern, and a name that often matches it.
fn patterns_and_names() -> impl Strategy<Value = (Pattern, String)> {
    let fills = prop::collection::vec("[-ab126]{0,3}", 13);
    (patterns(), 0..100_u32, fills).prop_map(|(pattern, count, fills)| {
        let text = pattern.as_str().replace("{gpus}", &count.to_string());
        let mut fills = fills.iter();
        let mut name = String::new();
        for c in text.chars() {
            match c {
                '*' => name.push_str(fills.next().map_or("", String::as_str)),
                c => name.push(c),
            }
        }
        (pattern, name)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn pattern_matching_agrees_with_the_reference(
        (pattern, name) in patterns_and_names(),
        other in patterns(),
    ) {
        let chars: Vec<_> = name.chars().collect();
        for pattern in [pattern, other] {
            let expected = reference(pattern.as_str(), &chars, 0);
            prop_assert_eq!(pattern.matches(&name), expected, "{} on {}", pattern, name);
        }
    }

    #[test]
    fn pattern_of_any_text_never_panics(
        text in prop_oneof!["\\PC*", "[{}gpus*a1ß]{0,20}"],
        name in prop_oneof!["\\PC*", "[gpus*a1ß]{0,20}"],
    ) {
        match Pattern::parse(&text) {
            Ok(pattern) => {
                let _ = pattern.matches(&name);
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}
