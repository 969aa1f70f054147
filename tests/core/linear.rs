//! The time of an answer grows linearly with the pod. `--nocapture` shows the table.

mod table;

use std::time::Duration;

use super::support::review;

/// Number of runs; the shortest one counts.
const RUNS: usize = 5;
/// The most that the time may grow from 1,000 items to 16,000.
const RATIO: f64 = 20.0;
/// The most that it may grow from 4,000 items to 16,000, where the fixed cost of a pod matters less.
const LAST_RATIO: f64 = 8.0;
/// The most time for one pod. Without optimisation, code is about twenty times slower;
/// `cargo bench --bench answer` has the figures of a release build.
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
