//! `cargo bench --bench answer`: the time of one answer, without a server, and what a thousand profiles
//! that do not match add to it. For callgrind, give the number of answers: `--times 2000`.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::{env, fs, hint::black_box, path::Path, time::Instant};

use arc_rocm::{
    admission::answer,
    inject::{Config, ControllerUsers},
    profile::{File, ProfileSet},
};

/// Profiles of a large fleet.
const PROFILES: u32 = 1000;
/// Answers per measurement.
const TIMES: u32 = 20_000;

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let times = arguments.iter().position(|argument| argument == "--times");
    let times = times.and_then(|place| arguments.get(place + 1)?.parse().ok()).unwrap_or(TIMES);
    measure("", &Config::default(), times);
    measure("of 1,000 profiles", &Config::new(fleet(), ControllerUsers::default()), times);
}

/// Profiles of which the last one that is tried matches.
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
    ProfileSet::compile(&[file]).unwrap_or_else(|problems| {
        println!("{problems:?}");
        ProfileSet::builtin()
    })
}

fn measure(what: &str, rules: &Config, times: u32) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/arc");
    for name in ["plain", "dind", "author-overrides", "kubernetes", "listener"] {
        let Ok(review) = fs::read(folder.join(format!("{name}.review.json"))) else { continue };
        let begin = Instant::now();
        let mut length = 0;
        for _ in 0..times {
            let answered = answer(black_box(&review), rules);
            length = answered.map_or(0, |answered| black_box(answered.body).len());
        }
        let took = begin.elapsed() / times;
        println!("{name:<18} {took:>10.1?}   {length} bytes {what}");
    }
}
