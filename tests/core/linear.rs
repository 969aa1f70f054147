//! Linear: the time of an answer grows no faster than the pod. `--nocapture` shows the table.

mod table;

use std::time::Duration;

use super::support::review;

/// Runs of which the shortest counts.
const RUNS: usize = 5;
/// How many times as long 16,000 items may take as 1,000.
const RATIO: f64 = 20.0;
/// The same as 4,000, of which the part of the time that all pods take is smaller.
const LAST_RATIO: f64 = 8.0;
/// The time that any pod may take. Without optimisation, as in most test runs, code is some twenty
/// times as slow; `cargo bench --bench answer` has the figures of a release.
const MOST: Duration = Duration::from_millis(if cfg!(debug_assertions) { 2_000 } else { 100 });

#[test]
fn many_items_cost_linear_time() {
    println!("{}", table::head());
    let mut faults = Vec::new();
    for row in table::measure(&review("plain"), RUNS) {
        println!("{row}");
        assert!(row.patched, "{}: a pod got no patch", row.kind);
        let too_steep = row.ratio() > RATIO || row.last_ratio() > LAST_RATIO;
        if too_steep || row.times.iter().any(|time| *time > MOST) {
            faults.push(row.to_string());
        }
    }
    assert!(
        faults.is_empty(),
        "more than {RATIO} or {LAST_RATIO} times, or {MOST:?}:\n{}",
        faults.join("\n")
    );
}
