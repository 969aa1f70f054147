//! `cargo bench --bench answer` measures one answer without a server, stage by stage, and answers to
//! pods with many items of one kind.
//!
//! For callgrind, set the number of answers per round, which also skips the table: `--times 100`.

#![expect(
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints its figures, and ends where it cannot go on"
)]

#[path = "../tests/core/linear/table.rs"]
mod table;

use std::{env, fmt::Write as _, fs, hint::black_box, path::Path};

use arc_rocm::{
    admission::{answer, read},
    inject::{Config, ControllerUsers, plan, select},
    profile::{File, ProfileSet},
};

use table::cpu_time;

/// Captured reviews, each with its outcome.
const REVIEWS: [(&str, &str); 5] = [
    ("plain", "patched"),
    ("dind", "patched"),
    ("author-overrides", "patched"),
    ("kubernetes", "skipped by its profile"),
    ("listener", "not a runner"),
];
/// Number of profiles in a large fleet.
const PROFILES: u32 = 1000;
/// Number of rounds; the median counts.
const ROUNDS: usize = 15;
/// Number of answers per round.
const TIMES: usize = 1000;
/// Number of variants of a review, so that consecutive reviews differ.
const VARIANTS: usize = 64;
/// Number of runs for the table of many items; the shortest counts.
const RUNS: usize = 5;

/// The measured stages. Each includes the stages before it.
#[derive(Clone, Copy)]
enum Until {
    Parse,
    Select,
    Plan,
    Patch,
    Answer,
}

const STAGES: [(Until, &str); 5] = [
    (Until::Parse, "parse"),
    (Until::Select, "select"),
    (Until::Plan, "plan"),
    (Until::Patch, "patch"),
    (Until::Answer, "write"),
];

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let times = arguments.iter().position(|argument| argument == "--times");
    let times: Option<usize> = times.map(|place| arguments[place + 1].parse().unwrap());

    println!("One answer, in microseconds");
    let mut head = format!("{:<20}", "review");
    for (_, stage) in STAGES {
        write!(head, "{stage:>9}").unwrap();
    }
    println!("{head}{:>9}", "whole");
    let config = Config::default();
    for (name, what) in REVIEWS {
        row(name, what, &config, times.unwrap_or(TIMES));
    }
    let fleet = Config::new(fleet(), ControllerUsers::default());
    row("plain", "patched, the last of 1,000 profiles", &fleet, times.unwrap_or(TIMES));

    if times.is_none() {
        println!("\nOne answer to a pod with many items, in milliseconds");
        println!("{}", table::head());
        let review = serde_json::from_str(&captured("plain")).unwrap();
        for row in table::measure(&review, RUNS) {
            println!("{row}{}", if row.patched { "" } else { "  not patched" });
        }
    }
}

fn captured(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/arc");
    fs::read_to_string(folder.join(format!("{name}.review.json"))).unwrap()
}

/// Profiles of which only the last one tried matches.
fn fleet() -> ProfileSet {
    let profile = |name: &str, pattern: &str, priority: i32| {
        format!(
            "---\napiVersion: arc-rocm.dev/v1alpha1\nkind: RunnerProfile\nmetadata: {{name: {name}}}\n\
             spec: {{extends: rocm, priority: {priority}, match: {{scaleSets: ['{pattern}']}}}}\n"
        )
    };
    let mut text: String = (1..PROFILES)
        .map(|index| profile(&format!("p{index}"), &format!("team-{index}.gpu.*.{{gpus}}"), 0))
        .collect();
    text.push_str(&profile("last", "*", -1));
    let file = File { name: "fleet.yaml".to_owned(), text };
    ProfileSet::compile(&[file]).unwrap()
}

/// Prints the time of each stage of answering one review.
fn row(name: &str, what: &str, config: &Config, times: usize) {
    let review = captured(name);
    // Each variant has its own uid, name and owner.
    let variants: Vec<_> = (0..VARIANTS)
        .map(|number| {
            let uid = format!(r#""uid":"{number:08x}"#);
            review.replace("runner-", &format!("runner-{number}-")).replace(r#""uid":""#, &uid)
        })
        .collect();
    let mut line = format!("{name:<20}");
    let mut before = 0.0;
    for (until, _) in STAGES {
        let time = median(until, &variants, config, times);
        write!(line, "{:>9.1}", time - before).unwrap();
        before = time;
    }
    println!("{line}{before:>9.1}   {} bytes in, {what}", review.len());
}

/// Microseconds of CPU time of one review up to a stage.
fn median(until: Until, variants: &[String], config: &Config, times: usize) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = cpu_time();
            for variant in variants.iter().cycle().take(times) {
                run(until, black_box(variant.as_bytes()), config);
            }
            #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
            let times = times as f64;
            cpu_time().saturating_sub(start).as_secs_f64() * 1e6 / times
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

fn run(until: Until, body: &[u8], config: &Config) {
    if matches!(until, Until::Answer) {
        black_box(answer(body, config).unwrap());
        return;
    }
    let request = read(body).unwrap();
    let (Some(pod), false) = (&request.object, matches!(until, Until::Parse)) else {
        black_box(&request);
        return;
    };
    let subject = select(pod, &request.namespace, &request.user_info.username, config);
    let (Ok(subject), false) = (&subject, matches!(until, Until::Select)) else {
        black_box(&subject);
        return;
    };
    let plan = plan(pod, subject.runner, subject.selection.selected());
    if matches!(until, Until::Plan) {
        black_box(&plan);
        return;
    }
    black_box((plan.edits.operations(pod), plan.conflicts));
}
