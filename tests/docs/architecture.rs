//! docs/architecture.md against the code: rooms, functions, counts.

use std::fs;

use crate::{page, root};

/// The rows of the section `heading`, each with its cells.
fn rows<'p>(page: &'p str, heading: &str) -> Vec<Vec<&'p str>> {
    let (_, section) = page.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| "));
    let cells = |row: &'p str| row.split(" | ").map(|cell| cell.trim_matches(['|', ' ', '`']));
    rows.skip(1).map(|row| cells(row).collect()).collect()
}

#[test]
fn rooms_are_those_of_lib_in_their_order() {
    let page = page("docs/architecture.md");
    let rooms: Vec<&str> =
        rows(&page, "The rooms").iter().map(|row| *row.first().unwrap()).collect();
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let listed = lib.lines().filter_map(|line| line.strip_prefix("//! - [`")?.split_once("`]"));
    assert_eq!(rooms, listed.map(|(name, _)| name).collect::<Vec<_>>());
}

#[test]
fn functions_are_where_the_page_says() {
    let page = page("docs/architecture.md");
    for (heading, count, word) in
        [("The way of a review", 15, "Fifteen"), ("The way of a profile", 14, "Fourteen")]
    {
        let rows = rows(&page, heading);
        assert_eq!(rows.len(), count, "{heading}");
        assert!(page.contains(&format!("{word} functions from")), "{heading}");
        for (index, row) in rows.iter().enumerate() {
            let [number, file, function, _] = row.as_slice() else { panic!("{row:?}") };
            assert_eq!(*number, (index + 1).to_string());
            let text = fs::read_to_string(root().join("src").join(file)).unwrap();
            let is_there = text.contains(&format!("fn {function}("))
                || text.contains(&format!("fn {function}<"));
            assert!(is_there, "src/{file} has no function {function}");
        }
    }
}

#[test]
fn number_of_rules_is_the_plans() {
    let plan = fs::read_to_string(root().join("src/inject/plan/mod.rs")).unwrap();
    let (_, rules) = plan.split_once("const RULES: [Rule; ").unwrap();
    let count = rules.split(']').next().unwrap();
    let page = page("docs/architecture.md");
    assert!(page.contains(&format!("each of the {count} rules once")), "{count} rules");
}

#[test]
fn limits_and_files_of_the_page_exist() {
    let page = page("docs/architecture.md");
    let words = page.split('`').skip(1).step_by(2);
    let mut count = 0;
    for path in words.filter(|word| word.starts_with("src/") || word.starts_with("tests/")) {
        assert!(root().join(path).exists(), "{path} is not there");
        count += 1;
    }
    assert!(count > 20, "only {count} paths");
}
