//! Figures of several rounds: the median of each.

use std::time::Duration;

use super::client::Round;

#[derive(Default)]
pub(super) struct Figures {
    rates: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
    errors: usize,
}

impl Figures {
    pub(super) fn add(&mut self, round: Round) {
        let Round { elapsed, mut latencies, errors } = round;
        latencies.sort_unstable();
        let at = |share: usize| {
            latencies.get(latencies.len() * share / 100).map_or(0.0, Duration::as_secs_f64) * 1e6
        };
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
        self.rates.push(latencies.len() as f64 / elapsed.as_secs_f64());
        self.p50.push(at(50));
        self.p99.push(at(99));
        self.errors += errors;
    }
}

pub(super) fn print(connections: usize, [webhook, bare]: &[Figures; 2]) {
    println!("\n{connections} connections");
    println!("                   requests/s   p50 us   p99 us   errors");
    for (name, figures) in [("arc-rocm serve", webhook), ("bare server", bare)] {
        let [rate, p50, p99] = [&figures.rates, &figures.p50, &figures.p99].map(|all| median(all));
        println!("{name:<18} {rate:>10.0} {p50:>8.0} {p99:>8.0} {:>8}", figures.errors);
    }
    let ratio = |webhook: &[f64], bare: &[f64]| median(webhook) / median(bare);
    println!(
        "ratio              {:>10.2} {:>8.2} {:>8.2}",
        ratio(&webhook.rates, &bare.rates),
        ratio(&webhook.p50, &bare.p50),
        ratio(&webhook.p99, &bare.p99)
    );
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
