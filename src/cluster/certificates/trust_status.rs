//! Whether the API server trusts the certificate in use, for readiness, and how long it can.

use rustls_pki_types::CertificateDer;

use super::{live::Live, store::Place};
use crate::{
    server::{Gate, Service},
    telemetry::CertificateKind,
};

/// The last verdict, so that each is told once; an error is its reason, in one line.
#[derive(Debug, Default)]
pub(super) struct Verdicts(Option<Result<(), String>>);

impl Verdicts {
    /// Judges the chain in use by what is live, opens or closes the gate, and notes until when the
    /// authority is valid that it is trusted for. While it is not trusted, the one that was known stays:
    /// it may be its end that is the reason.
    pub(super) fn judge(
        &mut self,
        service: &Service,
        place: &Place,
        live: Option<&Live>,
        chain: &[CertificateDer<'static>],
        now: i64,
    ) {
        if let Some(authority) = live.and_then(|live| live.authority(chain, now)) {
            service.metrics().validity(CertificateKind::Ca, Some(authority));
        }
        self.tell(service, of(place, live, chain, now));
    }

    /// Why nothing can be judged. What was judged once holds.
    pub(super) fn cannot(&self, service: &Service, reason: &str) {
        if self.0.is_none() {
            service.gates().close(Gate::Trust, reason);
        }
    }

    fn tell(&mut self, service: &Service, verdict: Result<(), String>) {
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

fn of(
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
