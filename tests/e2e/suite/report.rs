//! What a run leaves behind: a table of the cases, and the figures that they measured.

use std::{
    fmt::Write as _,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// How a case ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// As it should.
    Passed,
    /// With this message.
    Failed(String),
    /// The cluster lacks this.
    Skipped(String),
}

/// One row of the table.
#[derive(Clone, Debug)]
struct Row {
    name: String,
    outcome: Outcome,
    took: Duration,
}

/// Cases and figures so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Mutex<Vec<Row>>,
    figures: Mutex<Vec<(String, String)>>,
    facts: Mutex<Vec<(String, String)>>,
}

impl Report {
    /// Notes how a case ended.
    pub(crate) fn case(&self, name: &str, outcome: Outcome, took: Duration) {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.push(Row { name: name.to_owned(), outcome, took });
    }

    /// Notes a figure, with its unit in `value`: `("creation to stored pod, p50", "12.3 ms")`.
    pub(crate) fn figure(&self, name: &str, value: &str) {
        let mut figures = self.figures.lock().unwrap_or_else(PoisonError::into_inner);
        figures.push((name.to_owned(), value.to_owned()));
    }

    /// Notes a fact about the cluster or the installation.
    pub(crate) fn fact(&self, name: &str, value: &str) {
        let mut facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        facts.push((name.to_owned(), value.to_owned()));
    }

    /// All of it as Markdown, cases by name.
    pub(crate) fn markdown(&self) -> String {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner).clone();
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        let mut out = String::new();
        pairs(&mut out, ["cluster", ""], &self.facts);
        out.push_str("| case | result | seconds |\n|---|---|--:|\n");
        for Row { name, outcome, took } in &rows {
            let result = match outcome {
                Outcome::Passed => "passed".to_owned(),
                Outcome::Failed(message) => format!("**failed**: {}", cell(message)),
                Outcome::Skipped(reason) => format!("skipped: {}", cell(reason)),
            };
            // Writing to a String cannot fail.
            let _ = writeln!(out, "| {name} | {result} | {:.1} |", took.as_secs_f64());
        }
        let count =
            |wanted: fn(&Outcome) -> bool| rows.iter().filter(|r| wanted(&r.outcome)).count();
        let _ = writeln!(
            out,
            "\n{} passed, {} failed, {} skipped\n",
            count(|outcome| *outcome == Outcome::Passed),
            count(|outcome| matches!(outcome, Outcome::Failed(_))),
            count(|outcome| matches!(outcome, Outcome::Skipped(_))),
        );
        pairs(&mut out, ["figure", "value"], &self.figures);
        out
    }
}

fn pairs(out: &mut String, head: [&str; 2], pairs: &Mutex<Vec<(String, String)>>) {
    let pairs = pairs.lock().unwrap_or_else(PoisonError::into_inner);
    if pairs.is_empty() {
        return;
    }
    let [left, right] = head;
    let _ = writeln!(out, "| {left} | {right} |\n|---|---|");
    for (name, value) in pairs.iter() {
        let _ = writeln!(out, "| {name} | {} |", cell(value));
    }
    out.push('\n');
}

/// One line, without what would end the cell.
fn cell(text: &str) -> String {
    text.lines().next().unwrap_or_default().replace('|', "\\|")
}

/// Durations in order, for percentiles.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample(Vec<Duration>);

impl Sample {
    /// From durations in any order.
    pub(crate) fn of(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        Self(durations)
    }

    /// The nearest-rank percentile, in milliseconds; 0 without any value.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).map_or(0.0, |duration| duration.as_secs_f64() * 1000.0)
    }
}

impl std::fmt::Display for Sample {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "p50 {:.1} ms, p99 {:.1} ms, most {:.1} ms (n = {})",
            self.percentile(50),
            self.percentile(99),
            self.percentile(100),
            self.0.len()
        )
    }
}

/// A line to standard error, beside libtest's own.
#[expect(clippy::print_stderr, reason = "what a run says is for a person's terminal or CI's log")]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}
