//! Histograms of the API server's own `/metrics`, in the text format of Prometheus.

use std::fmt;

use anyhow::Context as _;
use http::Method;

use crate::cluster::Cluster;

/// The API server's metric for each call of an admission webhook, from the request's encoding to the
/// patched and defaulted object.
pub(crate) const WEBHOOK_CALLS: &str = "apiserver_admission_webhook_admission_duration_seconds";

/// All of the API server's metrics.
pub(crate) async fn metrics(cluster: &Cluster) -> anyhow::Result<String> {
    let reply = cluster.call(Method::GET, "/metrics", "text/plain", Vec::new()).await?;
    Ok(reply.object.as_str().context("/metrics is no text")?.to_owned())
}

/// What was observed between two looks; times in seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Histogram {
    /// Upper bounds in rising order, and how many observations are not above each; the last bound
    /// is infinite.
    buckets: Vec<(f64, f64)>,
    sum: f64,
}

impl Histogram {
    /// All series of a metric that have the labels, such as `name="x"`, added up.
    pub(crate) fn read(text: &str, metric: &str, labels: &[&str]) -> Self {
        let mut histogram = Self::default();
        let series = text.lines().filter_map(|line| line.strip_prefix(metric));
        for line in series.filter(|line| labels.iter().all(|label| line.contains(label))) {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let Ok(value) = value.parse::<f64>() else { continue };
            if series.starts_with("_sum") {
                histogram.sum += value;
            } else if let Some((_, rest)) =
                series.split_once("le=\"").filter(|_| series.starts_with("_bucket"))
            {
                let bound = rest.split('"').next().unwrap_or_default();
                let Ok(bound) = bound.replace("+Inf", "inf").parse::<f64>() else { continue };
                match histogram.buckets.iter_mut().find(|(other, _)| is(*other, bound)) {
                    Some((_, count)) => *count += value,
                    None => histogram.buckets.push((bound, value)),
                }
            }
        }
        histogram.buckets.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        histogram
    }

    /// What came after an earlier look.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let before = |bound: f64| {
            let same = earlier.buckets.iter().find(|(other, _)| is(*other, bound));
            same.map_or(0.0, |(_, count)| *count)
        };
        let buckets = self.buckets.iter().map(|&(bound, count)| (bound, count - before(bound)));
        Self { buckets: buckets.collect(), sum: self.sum - earlier.sum }
    }

    /// How many observations.
    pub(crate) fn count(&self) -> f64 {
        self.buckets.last().map_or(0.0, |(_, count)| *count)
    }

    /// The mean, in milliseconds.
    pub(crate) fn mean(&self) -> f64 {
        if self.count() > 0.0 { self.sum / self.count() * 1000.0 } else { 0.0 }
    }

    /// A quantile in milliseconds as Prometheus' `histogram_quantile` has it: linear between the
    /// bounds of its bucket, the lower bound of the infinite one.
    pub(crate) fn quantile(&self, quantile: f64) -> f64 {
        let rank = quantile * self.count();
        let (mut lower, mut below) = (0.0, 0.0);
        for &(bound, count) in &self.buckets {
            if count >= rank && count > below {
                let within = (rank - below) / (count - below);
                let seconds =
                    if bound.is_finite() { lower + (bound - lower) * within } else { lower };
                return seconds * 1000.0;
            }
            (lower, below) = (bound, count);
        }
        0.0
    }
}

/// Whether two bounds were written alike.
fn is(one: f64, other: f64) -> bool {
    one.total_cmp(&other).is_eq()
}

impl fmt::Display for Histogram {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "mean {:.3} ms, p50 {:.2} ms, p99 {:.2} ms",
            self.mean(),
            self.quantile(0.5),
            self.quantile(0.99)
        )?;
        for &(bound, count) in self.buckets.iter().filter(|(bound, _)| bound.is_finite()) {
            // What is finer than the buckets is interpolation.
            let share = count / self.count().max(1.0) * 100.0;
            if share > 0.0 {
                write!(formatter, ", {share:.1} % within {} ms", bound * 1000.0)?;
            }
            if count >= self.count() {
                break;
            }
        }
        write!(formatter, " (n = {})", self.count())
    }
}
