use super::*;

#[test]
fn depth_above_limit_is_refused() {
    let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let tree = mk_tree(&nested(MAX_DEPTH));
    assert_eq!(tree.clone(), tree);
    drop(tree.to_json());
    let problems = problems(&nested(MAX_DEPTH + 1));
    assert!(problems[0].ends_with(": maps and lists nest deeper than 64 levels"), "{problems:?}");
}

#[test]
fn depth_ignores_notation_and_size() {
    let blocks = (0..100).fold(String::new(), |text, depth| text + &" ".repeat(depth) + "a:\n");
    assert!(problems(&blocks)[0].contains("nest deeper"));
    assert!(!problems(&"- ".repeat(100_000)).is_empty());
    assert!(!problems(&"[".repeat(1_000_000)).is_empty());
    assert!(!problems(&"{a: ".repeat(1_000_000)).is_empty());
    assert!(!problems(&"? ".repeat(1_000_000)).is_empty());
}

#[test]
fn depth_counts_through_aliases() {
    let half = MAX_DEPTH / 2 + 1;
    let (open, close) = ("[".repeat(half), "]".repeat(half));
    let problems = problems(&format!("a: &a {open}{close}\nb: {open}*a{close}\n"));
    assert!(problems[0].contains("nest deeper"), "{problems:?}");
}

#[test]
fn alias_expansion_bomb_is_refused() {
    let mut text = "l0: &l0 lol\n".to_owned();
    for level in 1..12 {
        let alias = format!("*l{}, ", level - 1).repeat(10);
        let _ = writeln!(text, "l{level}: &l{level} [{alias}]");
    }
    let problems = problems(&text);
    assert!(problems[0].ends_with("more than 200000 values, aliases expanded"), "{problems:?}");
}

#[test]
fn alias_repeating_long_text_is_refused() {
    let text = format!("a: &a {}\nb: [{}]", "x".repeat(100_000), "*a, ".repeat(1000));
    let problems = problems(&text);
    assert!(
        problems[0].ends_with("anchors and aliases repeat more than 1048576 bytes"),
        "{problems:?}"
    );
}

#[test]
fn many_values_and_much_text_are_refused() {
    assert!(problems(&format!("[{}]", "1,".repeat(MAX_NODES)))[0].contains("more than"));
    assert_eq!(problems(&" ".repeat(MAX_BYTES + 1)), ["p.yaml:1:1: larger than 4194304 bytes"]);
}
