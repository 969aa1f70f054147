//! Prometheus metrics. Every label value is a fixed word, a status or the name of a profile, so that
//! no client can add a series.

use std::{fmt, time::Duration};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _, text},
    metrics::{
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::Gauge,
        histogram::Histogram,
        info::Info,
    },
    registry::{Metric, Registry, Unit},
};
use tracing_appender::non_blocking::ErrorCounter;

use crate::{
    VERSION,
    admission::{Outcome, Record},
    inject::Skip,
    tls::Validity,
};

/// Upper bounds in seconds. A review takes tens of microseconds; the last bounds are common webhook
/// timeouts.
const DURATION_BUCKETS: [f64; 15] = [
    0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0, 5.0,
];

/// The statuses of refused requests.
const REFUSALS: [u16; 6] = [400, 404, 405, 413, 500, 503];

/// One label and its value.
type Labels = [(&'static str, &'static str); 1];

/// All metrics.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    admissions: Family<Admission, Counter>,
    conflicts: Family<Labels, Counter>,
    duration: Histogram,
    refused: Family<[(&'static str, u16); 1], Counter>,
    not_before: Family<Labels, Gauge>,
    not_after: Family<Labels, Gauge>,
    issued: Family<Labels, Counter>,
    publishes: Family<Labels, Counter>,
    reloads: Family<Labels, Counter>,
    profile_reloads: Family<Labels, Counter>,
    /// Open connections, admin port excluded.
    pub connections: Gauge,
    /// Events stored by the API server, now or before.
    pub events_sent: Counter,
    /// Events that could not be created.
    pub events_failed: Counter,
    /// Events lost because the queue was full.
    pub events_dropped: Counter,
    /// Profiles in use.
    pub profiles_loaded: Gauge,
    /// No series until the objects were read, which is never without `--watch-profiles`.
    profile_objects: Family<Labels, Gauge>,
    /// No series until the first check, so that an alert on 0 stays silent where nothing checks.
    trusted: Family<[(&'static str, &'static str); 0], Gauge>,
    /// Failures to read or write the Secret or the registration.
    pub certificate_failures: Counter,
    /// Panics answered with 500.
    pub panics: Counter,
}

/// The label `certificate`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CertificateKind {
    /// The certificate in use.
    Leaf,
    /// The CA that makes it trusted, if known.
    Ca,
}

/// The result of a reload of files.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReloadResult {
    /// The new content is in use.
    Replaced,
    /// The new content is unusable and the old one stays in use.
    Rejected,
}

/// The result of an attempt to set the registration's `caBundle`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PublishResult {
    /// It is set.
    Published,
    /// The registration was changed meanwhile and is read again.
    Conflict,
    /// The API server refused it or did not answer.
    Failed,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Admission {
    outcome: &'static str,
    profile: Option<String>,
    reason: &'static str,
}

// === impl Metrics ===

impl Metrics {
    /// New metrics, all zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("arc_rocm");
        let all = &mut registry;
        all.register("build", "Version of this build", Info::new([("version", VERSION)]));
        let duration = Histogram::new(DURATION_BUCKETS);
        let metrics = Self {
            admissions: add(all, "admissions", "Admission reviews by outcome, profile and reason"),
            conflicts: add(
                all,
                "conflicts",
                "Settings of the scale set's template that differ from the profile and were kept",
            ),
            duration: in_seconds(
                all,
                "admission_duration",
                "Time from a complete request body to the response",
                duration,
            ),
            refused: add(all, "requests_refused", "Requests refused without a review, by status"),
            connections: add(all, "connections", "Open connections, without the admin port"),
            not_before: in_seconds(
                all,
                "tls_certificate_not_before_timestamp",
                "notBefore of the certificate",
                Family::default(),
            ),
            not_after: in_seconds(
                all,
                "tls_certificate_not_after_timestamp",
                "notAfter of the certificate",
                Family::default(),
            ),
            issued: add(
                all,
                "tls_certificates_issued",
                "Certificates that this replica issued into the Secret",
            ),
            trusted: add(
                all,
                "tls_certificate_trusted",
                "1 if the API server trusts the certificate in use, otherwise 0",
            ),
            certificate_failures: add(
                all,
                "tls_certificate_failures",
                "Failures to read or write the Secret or the MutatingWebhookConfiguration",
            ),
            publishes: add(
                all,
                "ca_bundle_publishes",
                "Attempts to set the caBundle of the MutatingWebhookConfiguration",
            ),
            reloads: add(all, "tls_reloads", "Reloads of the certificate files"),
            profile_reloads: add(all, "profile_reloads", "Reloads of the profile files"),
            profiles_loaded: add(all, "profiles_loaded", "Profiles in use"),
            profile_objects: add(
                all,
                "profile_objects",
                "RunnerProfile objects, by whether they are in force",
            ),
            events_sent: add(all, "events_sent", "Events stored by the API server"),
            events_failed: add(all, "events_failed", "Events that could not be created"),
            events_dropped: add(all, "events_dropped", "Events dropped because the queue was full"),
            panics: add(all, "panics", "Panics answered with 500"),
            registry,
        };
        metrics.create();
        metrics
    }

    /// Adds the log lines that were dropped because the log's reader was too slow.
    pub fn add_dropped_lines(&mut self, dropped: ErrorCounter) {
        self.registry.register_collector(Box::new(DroppedLines(dropped)));
    }

    /// Creates 27 series at 0 for alerts on an increase: a series that appears with its first count has
    /// not increased. Twelve are reasons to skip a pod, six are statuses.
    fn create(&self) {
        for skip in Skip::ALL {
            let outcome = Outcome::Skipped.as_str();
            let labels = Admission { outcome, profile: None, reason: skip.as_str() };
            drop(self.admissions.get_or_create(&labels));
        }
        for status in REFUSALS {
            drop(self.refused.get_or_create(&[("status", status)]));
        }
        for result in [ReloadResult::Replaced, ReloadResult::Rejected] {
            drop(self.reloads.get_or_create(&result.labels()));
            drop(self.profile_reloads.get_or_create(&result.labels()));
        }
        for result in [PublishResult::Published, PublishResult::Conflict, PublishResult::Failed] {
            drop(self.publishes.get_or_create(&result.labels()));
        }
        for kind in [CertificateKind::Leaf, CertificateKind::Ca] {
            drop(self.issued.get_or_create(&kind.labels()));
        }
    }

    /// Counts a review. A dry run counts in the duration alone: no runner depends on it, and every
    /// `arc-rocm doctor` would look like runners that are not injected.
    pub fn admitted(&self, record: Record, took: Duration) {
        self.duration.observe(took.as_secs_f64());
        if record.dry_run {
            return;
        }
        for code in record.conflicts {
            self.conflicts.get_or_create(&[("conflict", code.as_str())]).inc();
        }
        let labels = Admission {
            outcome: record.outcome.as_str(),
            profile: record.profile,
            reason: record.reason,
        };
        self.admissions.get_or_create(&labels).inc();
    }

    /// Counts a request refused with this status.
    pub fn refused(&self, status: u16) {
        self.refused.get_or_create(&[("status", status)]).inc();
    }

    /// Counts a reload of the certificate files.
    pub fn reloaded(&self, result: ReloadResult) {
        self.reloads.get_or_create(&result.labels()).inc();
    }

    /// Counts a reload of the profile files.
    pub fn profiles_reloaded(&self, result: ReloadResult) {
        self.profile_reloads.get_or_create(&result.labels()).inc();
    }

    /// Sets how many RunnerProfile objects are in force, and how many are left out.
    pub fn profile_objects(&self, accepted: usize, refused: usize) {
        for (accepted, count) in [("true", accepted), ("false", refused)] {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.profile_objects.get_or_create(&[("accepted", accepted)]).set(count);
        }
    }

    /// Sets whether the API server trusts the certificate in use.
    pub fn certificate_trusted(&self, is_trusted: bool) {
        self.trusted.get_or_create(&[]).set(i64::from(is_trusted));
    }

    /// Sets a certificate's validity; `None` if there is none.
    pub fn validity(&self, kind: CertificateKind, validity: Option<Validity>) {
        let labels = kind.labels();
        if let Some(Validity { not_before, not_after }) = validity {
            self.not_before.get_or_create(&labels).set(not_before);
            self.not_after.get_or_create(&labels).set(not_after);
        } else {
            self.not_before.remove(&labels);
            self.not_after.remove(&labels);
        }
    }

    /// Counts a certificate that was issued into the Secret.
    pub fn certificate_issued(&self, kind: CertificateKind) {
        self.issued.get_or_create(&kind.labels()).inc();
    }

    /// Counts an attempt to set the registration's `caBundle`.
    pub fn ca_bundle_published(&self, result: PublishResult) {
        self.publishes.get_or_create(&result.labels()).inc();
    }

    /// All metrics as OpenMetrics text.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut out = String::with_capacity(4096);
        text::encode(&mut out, &self.registry)?;
        Ok(out)
    }
}

/// Reads tracing-appender's own counter.
#[derive(Debug)]
struct DroppedLines(ErrorCounter);

impl Collector for DroppedLines {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let count = ConstCounter::new(self.0.dropped_lines() as u64);
        let help = "Log lines dropped because the log's reader was too slow";
        let kind = count.metric_type();
        count.encode(encoder.encode_descriptor("log_lines_dropped", help, None, kind)?)
    }
}

/// Registers a metric.
fn add<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

/// Registers a metric whose unit is seconds.
fn in_seconds<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register_with_unit(name, help, Unit::Seconds, metric.clone());
    metric
}

impl CertificateKind {
    const fn labels(self) -> Labels {
        match self {
            Self::Leaf => [("certificate", "leaf")],
            Self::Ca => [("certificate", "ca")],
        }
    }
}

impl PublishResult {
    const fn labels(self) -> Labels {
        match self {
            Self::Published => [("result", "published")],
            Self::Conflict => [("result", "conflict")],
            Self::Failed => [("result", "failed")],
        }
    }
}

impl ReloadResult {
    const fn labels(self) -> Labels {
        match self {
            Self::Replaced => [("result", "replaced")],
            Self::Rejected => [("result", "rejected")],
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
