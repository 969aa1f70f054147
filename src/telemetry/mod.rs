//! Logs and metrics.
//!
//! No pod spec, env value or user extra is ever logged: an [`admission::Record`](Record) has names
//! only, and a panic is logged with its location and without its message.

mod metrics;

use std::{
    fmt,
    io::{self, IsTerminal},
    panic,
    time::Duration,
};

use clap::ValueEnum;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{
    filter::{ParseError, Targets},
    layer::SubscriberExt as _,
    util::{SubscriberInitExt as _, TryInitError},
};

pub use metrics::{CertificateKind, Metrics, PublishResult, ReloadResult};

use crate::{admission::Record, inject::ConflictCode};

/// The format of log lines.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Flags for the log.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Logging")]
pub struct LogArgs {
    /// Format of the log lines [default: json, or text on a terminal]
    #[arg(long, env = "ARC_ROCM_LOG_FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,

    /// Level, or a filter such as `info,arc_rocm::server=debug`
    #[arg(long, env = "ARC_ROCM_LOG", default_value = "info", value_parser = parse_filter)]
    pub log_level: String,
}

/// Lines that wait for the log's reader, some 500 bytes each. Beyond it lines are dropped and counted:
/// a stuck log collector must not delay reviews.
const QUEUED_LINES: usize = 8192;

/// The running log. On drop, at the end of the process, it writes queued lines.
#[derive(Debug)]
pub struct Logs {
    dropped: ErrorCounter,
    format: LogFormat,
    _guard: WorkerGuard,
}

impl LogArgs {
    /// Starts logging to stderr. Fails if the process already logs.
    pub fn init(&self) -> Result<Logs, InitError> {
        let Self { log_format, log_level } = self;
        let format = log_format.unwrap_or_else(|| {
            if io::stderr().is_terminal() { LogFormat::Text } else { LogFormat::Json }
        });
        // Buffered: the writer's thread flushes when no line waits.
        let (lines, guard) = NonBlockingBuilder::default()
            .buffered_lines_limit(QUEUED_LINES)
            .thread_name("log")
            .finish(io::BufWriter::new(io::stderr()));
        let dropped = lines.error_counter();
        let filtered = tracing_subscriber::registry().with(filter(log_level)?);
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(io::stderr().is_terminal())
            .with_writer(lines);
        match format {
            LogFormat::Json => {
                let layer = layer.json().flatten_event(true).with_current_span(false);
                filtered.with(layer).try_init()
            }
            LogFormat::Text => filtered.with(layer).try_init(),
        }?;
        panic::set_hook(Box::new(log_panic));
        Ok(Logs { dropped, format, _guard: guard })
    }
}

/// Why logging did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// The filter does not parse.
    #[error("cannot read the log filter")]
    Filter(#[from] ParseError),
    /// Logging was started before.
    #[error("the process already has a log")]
    Twice(#[from] TryInitError),
}

impl Logs {
    /// Counts the lines dropped because of a slow reader.
    pub fn dropped(&self) -> ErrorCounter {
        self.dropped.clone()
    }

    /// The format of the lines.
    pub const fn format(&self) -> LogFormat {
        self.format
    }
}

/// Logs one admission.
pub(crate) fn log_admission(record: &Record, took: Duration) {
    tracing::info!(
        target: "arc_rocm::admission",
        uid = record.uid,
        namespace = record.namespace,
        name = record.name,
        outcome = record.outcome.as_str(),
        reason = record.reason,
        profile = record.profile.as_deref(),
        operations = record.operations,
        conflicts = %Words(&record.conflicts),
        dry_run = record.dry_run,
        duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        "admission"
    );
}

/// An error with its causes, on one line. A cause that the error above it already quotes is left out.
pub(crate) struct Chain<'a>(pub(crate) &'a dyn std::error::Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut written = self.0.to_string();
        f.write_str(&written)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !written.ends_with(&text) {
                write!(f, ": {text}")?;
                written = text;
            }
            cause = error.source();
        }
        Ok(())
    }
}

/// The codes of conflicts, separated by commas.
struct Words<'a>(&'a [ConflictCode]);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, code) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            f.write_str(code.as_str())?;
        }
        Ok(())
    }
}

/// Logs a panic without its message, which may quote a secret of a pod.
fn log_panic(info: &panic::PanicHookInfo<'_>) {
    let location = info.location();
    tracing::error!(
        file = location.map(panic::Location::file),
        line = location.map(panic::Location::line),
        "panicked"
    );
}

/// Lines of libraries about failures that the webhook logs itself, once: kube's client logs each
/// failed connection and each 5xx, and its watches each 403. To see them, name the target in the
/// filter, not only the crate.
const REPEATED: &str = "kube_client::client::builder=off,kube_runtime::watcher=error";
/// kube's client logs a response that it cannot decode in full, which may be a Secret. The webhook
/// gets the error anyway.
const SECRET: &str = "kube_client::client=error";

/// The filter of log lines.
fn filter(log_level: &str) -> Result<Targets, ParseError> {
    format!("{REPEATED},{log_level},{SECRET}").parse()
}

fn parse_filter(text: &str) -> Result<String, ParseError> {
    text.parse::<Targets>().map(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use tracing::{Level, subscriber::with_default};
    use tracing_subscriber::Registry;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct TestError(&'static str, #[source] Option<Box<Self>>);

    #[test]
    fn chain_leaves_quoted_causes_out() {
        let caused = |text, cause| TestError(text, Some(Box::new(cause)));
        let root = || TestError("no such file", None);
        assert_eq!(Chain(&root()).to_string(), "no such file");
        let plain = caused("cannot start", caused("cannot read", root()));
        assert_eq!(Chain(&plain).to_string(), "cannot start: cannot read: no such file");
        let quoting = caused("cannot start", caused("cannot read: no such file", root()));
        assert_eq!(Chain(&quoting).to_string(), "cannot start: cannot read: no such file");
    }

    #[test]
    fn library_failures_are_logged_only_by_target() {
        let builder = |filter: &str| {
            with_default(
                Registry::default().with(self::filter(filter).unwrap()),
                || tracing::enabled!(target: "kube_client::client::builder", Level::ERROR),
            )
        };
        assert!(!builder("info") && !builder("debug"));
        assert!(builder("info,kube_client::client::builder=debug"));
    }

    #[test]
    fn undecodable_response_is_never_logged() {
        for filter in ["", "info", "trace", "kube_client=trace", "kube_client::client=trace"] {
            with_default(Registry::default().with(self::filter(filter).unwrap()), || {
                assert!(!tracing::enabled!(target: "kube_client::client", Level::WARN), "{filter}");
                assert!(tracing::enabled!(target: "kube_client::client", Level::ERROR), "{filter}");
            });
        }
    }
}
