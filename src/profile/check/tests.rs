//! Every check, through [`ProfileSet::compile`]: the text of a profile and its problems.

use crate::profile::{File, ProfileSet};

mod accepted;
mod containers;
mod dind;
mod handlers;
mod pod;
mod resources;
mod scheduling;
mod short_forms;
mod volumes;

/// The part of a profile that a row of a table is in, always on line 5 from column 3.
#[derive(Clone, Copy)]
enum In {
    Spec,
    Template,
    Pod,
    Runner,
}

/// The problems of a profile with `row`, as the user sees them without the file.
fn problems(place: In, row: &str) -> Vec<String> {
    let (before, after) = match place {
        In::Spec => ("{", "}"),
        In::Template => ("{template: {", "}}"),
        In::Pod => ("{template: {spec: {", "}}}"),
        In::Runner => ("{template: {spec: {containers: [{name: runner,", "}]}}}"),
    };
    compiled(&format!("{before}\n  {row}\n  {after}"))
}

/// A file with the profile `test` and this spec.
fn file(spec: &str) -> File {
    let text = format!(
        "apiVersion: arc-rocm.dev/v1alpha1\nkind: RunnerProfile\nmetadata: {{name: test}}\nspec: {spec}\n"
    );
    File { name: "p".to_owned(), text }
}

/// The problems of a profile with `spec`.
fn compiled(spec: &str) -> Vec<String> {
    match ProfileSet::compile(&[file(spec)]) {
        Ok(_) => Vec::new(),
        Err(problems) => problems
            .iter()
            .map(|problem| problem.to_string().trim_start_matches("p:").to_owned())
            .collect(),
    }
}

/// Checks that each row has exactly these problems.
fn refused(place: In, rows: &[(&str, &[&str])]) {
    for (row, wanted) in rows {
        assert_eq!(problems(place, row), *wanted, "{row}");
    }
}

/// Checks that no row has a problem.
fn fine(place: In, rows: &[&str]) {
    for row in rows {
        assert_eq!(problems(place, row), Vec::<String>::new(), "{row}");
    }
}
