use proptest::prelude::*;
use serde_json::json;

use super::*;

mod limits;
mod scalars;

fn mk_tree(text: &str) -> Node {
    let mut trees = documents("p.yaml", text).unwrap_or_else(|problems| panic!("{problems:?}"));
    assert_eq!(trees.len(), 1, "{text}");
    trees.remove(0)
}

/// The problems of `text` as the user sees them.
fn problems(text: &str) -> Vec<String> {
    let problems = documents("p.yaml", text).expect_err(text);
    problems.iter().map(ToString::to_string).collect()
}

fn json_of(text: &str) -> Value {
    mk_tree(text).to_json()
}

fn key(name: &str) -> Segment {
    Segment::Key(name.to_owned())
}

fn at(line: u32, column: u32) -> Position {
    Position { line, column }
}

#[test]
fn yaml_reader_accepts_json() {
    let text = "{\n\t\"a\": [1, 2.5, \"x\\u00e9\\n\", null, true],\n\t\"b\": {\"c\": {}}\n}\n";
    assert_eq!(json_of(text), serde_json::from_str::<Value>(text).unwrap());
}

#[test]
fn yaml_documents_are_split_and_empty_dropped() {
    let trees =
        documents("p.yaml", "---\n# nothing\n---\na: 1\n---\n---\n~\n...\n---\n- b\n").unwrap();
    let json: Vec<_> = trees.iter().map(Node::to_json).collect();
    assert_eq!(json, [json!({"a": 1}), json!(["b"])]);
    assert_eq!(documents("p.yaml", ""), Ok(Vec::new()));
    assert_eq!(documents("p.yaml", "# only a comment\n"), Ok(Vec::new()));
}

#[test]
fn positions_count_lines_and_characters_from_one() {
    let tree = mk_tree("# é\nspec:\n  \"é\": {ü: x, b: [y, z]}\n  empty:\n  last: 1\n");
    let path = [key("spec"), key("é"), key("b"), Segment::Index(1)];
    assert_eq!(tree.at, at(2, 1));
    assert_eq!(tree.locate(&path[..1]), at(2, 1));
    assert_eq!(tree.locate(&path[..2]), at(3, 3));
    assert_eq!(tree.locate(&path[..3]), at(3, 15));
    assert_eq!(tree.locate(&path), at(3, 22));
    assert_eq!(tree.get("spec").unwrap().at, at(3, 3));
    assert_eq!(tree.get("spec").unwrap().get("empty").unwrap().at, at(4, 3));
}

#[test]
fn positions_ignore_carriage_returns_and_bom() {
    let tree = mk_tree("\u{feff}a: 1\r\nb:\r\n  c: 2\r\n");
    assert_eq!(tree.to_json(), json!({"a": 1, "b": {"c": 2}}));
    assert_eq!(tree.locate(&[key("b"), key("c")]), at(3, 3));
}

#[test]
fn missing_path_is_located_at_deepest_ancestor() {
    let tree = mk_tree("a:\n  b: [1]\n");
    assert_eq!(tree.locate(&[]), at(1, 1));
    assert_eq!(tree.locate(&[key("x"), key("b")]), at(1, 1));
    assert_eq!(tree.locate(&[key("a"), key("x")]), at(1, 1));
    assert_eq!(tree.locate(&[key("a"), key("b"), Segment::Index(7)]), at(2, 3));
    assert_eq!(tree.locate(&[key("a"), key("b"), Segment::Index(0), key("x")]), at(2, 7));
    assert_eq!(tree.locate(&[Segment::Index(0)]), at(1, 1));
}

#[test]
fn get_finds_values_of_maps_only() {
    let tree = mk_tree("a: ~\nb: [1]\n");
    assert_eq!(tree.get("a").unwrap().value, NodeValue::Null);
    assert!(tree.get("c").is_none());
    assert!(tree.get("b").unwrap().get("0").is_none());
}

#[test]
fn paths_print_as_people_write_them() {
    let path = ["spec", "template", "containers"].map(key);
    assert_eq!(path_text(&path), "spec.template.containers");
    let path = [key("containers"), Segment::Index(0), key("env"), Segment::Index(12), key("name")];
    assert_eq!(path_text(&path), "containers[0].env[12].name");
    assert_eq!(path_text(&[key("nodeSelector"), key("a.b/c")]), "nodeSelector[\"a.b/c\"]");
    assert_eq!(path_text(&[key("perGpu"), key("ephemeral-storage")]), "perGpu.ephemeral-storage");
    assert_eq!(path_text(&[key("a\"b"), key("")]), "[\"a\\\"b\"][\"\"]");
    assert_eq!(path_text(&[Segment::Index(1)]), "[1]");
    assert_eq!(path_text(&[]), "");
}

#[test]
fn duplicate_key_is_reported_at_the_second() {
    assert_eq!(
        problems("spec:\n  env:\n    - a: 1\n      b: 2\n      a: 3\n  env: []\n"),
        [
            "p.yaml:5:7: spec.env[0].a: duplicate key, also on line 3",
            "p.yaml:6:3: spec.env: duplicate key, also on line 2",
        ]
    );
    assert_eq!(problems("1: a\n\"1\": b"), ["p.yaml:2:1: 1: duplicate key, also on line 1"]);
}

#[test]
fn duplicate_key_of_helm_has_the_last_value() {
    let text = "a: {x: 1}\nb: 2\na: {z: 3}\nc: {<<: {d: 4}, d: 5, d: 6}\na: 7\n";
    let (trees, repeated) = documents_of_helm("v.yaml", text).unwrap();
    let json: Vec<_> = trees.iter().map(Node::to_json).collect();
    assert_eq!(json, [json!({"a": 7, "b": 2, "c": {"d": 6}})]);
    assert_eq!(trees[0].locate(&[key("a")]), at(5, 1));
    let lines: Vec<_> = repeated.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "v.yaml:3:1: a: duplicate key, also on line 1",
            "v.yaml:4:23: c.d: duplicate key, also on line 4",
            "v.yaml:5:1: a: duplicate key, also on line 3",
        ]
    );
    let problems = documents_of_helm("v.yaml", "a: 1\na: 2\nb: !x 1\n").unwrap_err();
    assert_eq!(problems.len(), 2, "{problems:?}");
}

#[test]
fn keys_integer_or_boolean_become_text() {
    assert_eq!(json_of("1: a\n0x10: b\nTrue: c"), json!({"1": "a", "16": "b", "true": "c"}));
}

#[test]
fn keys_with_misleading_text_are_refused() {
    assert_eq!(
        problems("a:\n  on: 1\n  1.10: 2\n  ~: 3\n  {x: 1}: 4\n  ? [b]\n  : 5\n"),
        [
            "p.yaml:2:3: a: on without quotes is a boolean to kubectl; write \"on\"",
            "p.yaml:3:3: a: a key must be text; write \"1.10\"",
            "p.yaml:4:3: a: a key must be text, not null",
            "p.yaml:5:3: a: a key must be text, not a map; text with brackets needs quotes",
            "p.yaml:6:5: a: a key must be text, not a list; text with brackets needs quotes",
        ]
    );
    assert_eq!(
        problems("image: {{ .Values.image }}"),
        ["p.yaml:1:9: image: a key must be text, not a map; text with brackets needs quotes"]
    );
}

#[test]
fn syntax_error_keeps_the_next_document() {
    let problems = problems("a: [1, 2\n---\nb: 1\nb: 2\n---\nc: \"x\n");
    assert_eq!(problems.len(), 3, "{problems:#?}");
    assert!(problems[0].starts_with("p.yaml:1:4: not valid YAML: "), "{}", problems[0]);
    assert_eq!(problems[1], "p.yaml:4:1: b: duplicate key, also on line 3");
    assert!(problems[2].contains(": not valid YAML: "), "{}", problems[2]);
}

#[test]
fn syntax_errors_beyond_ten_are_dropped() {
    assert_eq!(problems(&"a: ]\n---\n".repeat(100)).len(), 10);
}

#[test]
fn tabs_and_unknown_anchors_are_syntax_errors() {
    assert!(problems("a:\n\tb: 1\n")[0].starts_with("p.yaml:2:"));
    assert_eq!(
        problems("a: *b\n"),
        ["p.yaml:1:4: not valid YAML: while parsing node, found unknown anchor"]
    );
}

#[test]
fn alias_repeats_anchor_at_its_own_position() {
    let tree = mk_tree("a: &x {b: [1]}\nc: *x\nd: &y text\n*y : *x\n");
    assert_eq!(
        tree.to_json(),
        json!({"a": {"b": [1]}, "c": {"b": [1]}, "d": "text", "text": {"b": [1]}})
    );
    assert_eq!(tree.get("c").unwrap().at, at(2, 4));
    assert_eq!(tree.locate(&[key("c"), key("b")]), at(1, 8));
    assert_eq!(tree.locate(&[key("text")]), at(4, 1));
}

#[test]
fn anchor_is_redefinable_within_its_document() {
    assert_eq!(json_of("[&x 1, *x, &x 2, *x]"), json!([1, 1, 2, 2]));
    assert_eq!(problems("&x a\n---\n*x\n").len(), 1);
}

#[test]
fn alias_inside_its_anchor_is_refused() {
    assert_eq!(
        problems("a: &x\n  b: [*x]\n"),
        ["p.yaml:2:7: a.b[0]: an alias inside the value it stands for"]
    );
}

#[test]
fn merge_key_adds_missing_fields_only() {
    assert_eq!(
        json_of(
            "a: &a {x: 1, w: 2}\nb: &b {x: 8, z: 9}\nc: {<<: *a, x: 3}\nd:\n  <<: [*a, *b]\n  w: 4\n"
        ),
        json!({
            "a": {"x": 1, "w": 2},
            "b": {"x": 8, "z": 9},
            "c": {"x": 3, "w": 2},
            "d": {"x": 1, "w": 4, "z": 9},
        })
    );
    assert_eq!(json_of("\"<<\": 1"), json!({"<<": 1}));
}

#[test]
fn merge_of_other_than_maps_is_refused() {
    assert_eq!(
        problems("a:\n  <<: 1\nb:\n  <<: [{c: 1}, x]\n"),
        [
            "p.yaml:2:3: a[\"<<\"]: the value of << must be a map or a list of maps",
            "p.yaml:4:3: b[\"<<\"]: the value of << must be a map or a list of maps",
        ]
    );
}

proptest! {
    #[test]
    fn any_json_reads_as_itself(value in arbitrary_json()) {
        let text = serde_json::to_string_pretty(&value).unwrap();
        let trees = documents("p.json", &text).unwrap();
        let json: Vec<_> = trees.iter().map(Node::to_json).collect();
        prop_assert_eq!(json, if value.is_null() { vec![] } else { vec![value] });
    }

    #[test]
    fn quoted_text_reads_as_itself(text in any::<String>()) {
        let tree = documents("p.yaml", &quoted(&text)).unwrap();
        prop_assert_eq!(tree[0].to_json(), Value::from(text));
    }
}

fn arbitrary_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~é]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map("[ -~]{0,8}", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}
