//! `cargo bench --bench answer`: the time of one answer, without a server: from memory, and found. For callgrind, give the
//! number of answers: `--times 2000`.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::{env, fs, hint::black_box, path::Path, time::Instant};

use arc_rocm::{
    admission::{Rules, answer},
    selection::Requesters,
};

/// Answers per measurement.
const TIMES: u32 = 20_000;

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let times = arguments.iter().position(|argument| argument == "--times");
    let times = times.and_then(|place| arguments.get(place + 1)?.parse().ok()).unwrap_or(TIMES);
    let rules = Rules::default();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/arc");
    for name in ["plain", "dind", "author-overrides", "kubernetes", "listener"] {
        let Ok(review) = fs::read(folder.join(format!("{name}.review.json"))) else { continue };
        let begin = Instant::now();
        let mut length = 0;
        for _ in 0..times {
            let answered = answer(black_box(&review), &rules);
            length = answered.map_or(0, |answered| black_box(answered.body).len());
        }
        let known = begin.elapsed() / times;
        let times = times / 10;
        let begin = Instant::now();
        for _ in 0..times {
            // The same rules without memory.
            let rules = Rules::new(rules.profiles.clone(), Requesters::default());
            let _ = black_box(answer(black_box(&review), &rules));
        }
        let new = begin.elapsed() / times;
        println!("{name:<18} known {known:>10.1?}   new {new:>10.1?}   {length} bytes");
    }
}
