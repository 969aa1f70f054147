//! Whether the API server trusts the certificate in use, for readiness.

use rustls_pki_types::CertificateDer;

use super::{live::Live, store::Place};
use crate::server::{Gate, Service};

/// The verdict on a chain; an error is its reason, in one line.
pub(super) fn of(
    place: &Place,
    live: Option<&Live>,
    chain: &[CertificateDer<'static>],
    now: i64,
) -> Result<(), String> {
    match live {
        None => Err(format!("MutatingWebhookConfiguration {} does not exist", place.configuration)),
        Some(live) => live.accepts(chain, now),
    }
}

/// The last verdict, so that each is told once.
#[derive(Debug, Default)]
pub(super) struct Verdicts(Option<Result<(), String>>);

impl Verdicts {
    /// Whether there was any.
    pub(super) const fn any(&self) -> bool {
        self.0.is_some()
    }

    /// Opens or closes the gate.
    pub(super) fn tell(&mut self, service: &Service, verdict: Result<(), String>) {
        service.metrics().certificate_trusted(verdict.is_ok());
        match &verdict {
            Ok(()) => service.gates().open(Gate::Trust),
            Err(reason) => service.gates().close(Gate::Trust, reason.as_str()),
        }
        if self.0.as_ref() != Some(&verdict) {
            match &verdict {
                Ok(()) => tracing::info!("the API server trusts the certificate in use"),
                Err(reason) => tracing::warn!(reason, "not ready"),
            }
            self.0 = Some(verdict);
        }
    }
}
