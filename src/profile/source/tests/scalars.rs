use serde_json::json;

use super::*;

fn scalar_of(text: &str) -> NodeValue {
    mk_tree(&format!("a: {text}")).get("a").unwrap().value.clone()
}

#[test]
fn plain_scalars_read_as_kubectl_reads_them() {
    // Each right side is the output of sigs.k8s.io/yaml 1.6.
    for (text, expected) in [
        ("true", json!(true)),
        ("False", json!(false)),
        ("TRUE", json!(true)),
        ("tRUE", json!("tRUE")),
        ("~", json!(null)),
        ("Null", json!(null)),
        ("nULL", json!("nULL")),
        ("", json!(null)),
        ("0", json!(0)),
        ("-0", json!(0)),
        ("+1", json!(1)),
        ("0644", json!(420)),
        ("0o644", json!(420)),
        ("0O644", json!(420)),
        ("-010", json!(-8)),
        ("0_7", json!(7)),
        ("08", json!(8)),
        ("00", json!(0)),
        ("0x1F", json!(31)),
        ("0X1f", json!(31)),
        ("+0x1F", json!(31)),
        ("0x_1", json!(1)),
        ("0b11", json!(3)),
        ("-0b11", json!(-3)),
        ("1_000", json!(1000)),
        ("1_", json!(1)),
        ("9223372036854775807", json!(i64::MAX)),
        ("-9223372036854775808", json!(i64::MIN)),
        ("1e3", json!(1000)),
        ("1E3", json!(1000)),
        ("1.", json!(1)),
        ("1.0", json!(1)),
        ("01e2", json!(100)),
        ("1.5", json!(1.5)),
        (".5", json!(0.5)),
        ("+.5", json!(0.5)),
        ("1_0.5", json!(10.5)),
        ("1e-7", json!(1e-7)),
        ("_1", json!("_1")),
        (".5_0", json!(0.5)),
        ("4e17", json!(400_000_000_000_000_000_i64)),
        ("1e30", json!(1e30)),
        ("--1", json!("--1")),
        ("+-1", json!("+-1")),
        ("0b2", json!("0b2")),
        ("0x", json!("0x")),
        ("0o", json!("0o")),
        ("0o8", json!("0o8")),
        ("1e", json!("1e")),
        ("1e400", json!("1e400")),
        ("+", json!("+")),
        (".", json!(".")),
        (".e1", json!(".e1")),
        ("1:30", json!("1:30")),
        ("1,000", json!("1,000")),
        ("1.2.3", json!("1.2.3")),
        ("2020-01-01", json!("2020-01-01")),
        ("2020-01-01T00:00:00Z", json!("2020-01-01T00:00:00Z")),
        ("200000Mi", json!("200000Mi")),
        ("<<", json!("<<")),
        ("=", json!("=")),
    ] {
        assert_eq!(json_of(&format!("a: {text}")), json!({"a": expected}), "{text}");
    }
}

#[test]
fn scalar_boolean_words_of_kubectl_are_kept() {
    for word in ["y", "Y", "yes", "Yes", "YES", "on", "On", "ON"] {
        assert_eq!(scalar_of(word), NodeValue::Ambiguous(word.to_owned()));
        assert_eq!(json_of(&format!("- {word}")), json!([true]));
    }
    for word in ["n", "N", "no", "No", "NO", "off", "Off", "OFF"] {
        assert_eq!(scalar_of(word), NodeValue::Ambiguous(word.to_owned()));
        assert_eq!(json_of(&format!("- {word}")), json!([false]));
    }
    assert_eq!(scalar_of("yES"), NodeValue::String("yES".to_owned()));
}

#[test]
fn quoted_and_block_scalars_are_strings() {
    assert_eq!(json_of("[\"1\", 'true', \"\", '~', 'yes']"), json!(["1", "true", "", "~", "yes"]));
    assert_eq!(json_of("a: |\n  1\n"), json!({"a": "1\n"}));
    assert_eq!(json_of("a: >-\n  b\n  c\n"), json!({"a": "b c"}));
}

#[test]
fn block_scalar_at_file_end_gets_no_newline() {
    assert_eq!(json_of("a: |\n  text"), json!({"a": "text"}));
}

#[test]
fn numbers_and_booleans_keep_their_text() {
    let tree = mk_tree("[0644, 1.10, True, text, \"1\", yes, ~]");
    let NodeValue::List(items) = &tree.value else { panic!("{tree:?}") };
    let raw: Vec<_> = items.iter().map(|item| item.raw.as_deref()).collect();
    assert_eq!(raw, [Some("0644"), Some("1.10"), Some("True"), None, None, None, None]);
}

#[test]
fn numbers_beyond_json_or_64_bits_are_refused() {
    assert_eq!(
        problems(
            "a: .inf\nb: -.INF\nc: .nan\nd: 9223372036854775808\ne: -9223372036854775809\nf: 0x8000000000000000\ng: 123456789012345678901234567890123456789012345678901234567890"
        ),
        [
            "p.yaml:1:4: a: infinity and NaN do not exist in JSON; if it is text, put it in quotes",
            "p.yaml:2:4: b: infinity and NaN do not exist in JSON; if it is text, put it in quotes",
            "p.yaml:3:4: c: infinity and NaN do not exist in JSON; if it is text, put it in quotes",
            "p.yaml:4:4: d: the number does not fit 64 bits; if it is text, put it in quotes",
            "p.yaml:5:4: e: the number does not fit 64 bits; if it is text, put it in quotes",
            "p.yaml:6:4: f: the number does not fit 64 bits; if it is text, put it in quotes",
            "p.yaml:7:4: g: the number does not fit 64 bits; if it is text, put it in quotes",
        ]
    );
}

#[test]
fn core_tags_are_obeyed() {
    assert_eq!(
        json_of("[!!str 1, ! yes, !!str , !!int \"1\", !!float 1, !!bool yes, !!null ~]"),
        json!(["1", "yes", "", 1, 1, true, null])
    );
    assert_eq!(json_of("!!map {a: !!seq [1]}"), json!({"a": [1]}));
}

#[test]
fn unknown_tags_are_refused() {
    assert_eq!(
        problems(
            "a: !foo 1\nb: !!binary aGk=\nc: !!set {x}\nd: !Ref [x]\ne: !!int x\nf: !!seq {}\ng: !!map x"
        ),
        [
            "p.yaml:1:9: a: unknown tag !foo",
            "p.yaml:2:13: b: unknown tag !!binary",
            "p.yaml:3:10: c: unknown tag !!set",
            "p.yaml:4:9: d: unknown tag !Ref",
            "p.yaml:5:10: e: the value does not fit the tag !!int",
            "p.yaml:6:10: f: unknown tag !!seq",
            "p.yaml:7:10: g: the value does not fit the tag !!map",
        ]
    );
}
