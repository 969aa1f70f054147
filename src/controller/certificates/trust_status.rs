//! Whether the API server trusts the certificate in use, for readiness and metrics.

use rustls_pki_types::CertificateDer;

use super::{live::Live, store::ObjectRefs};
use crate::{
    server::{Gate, Service},
    telemetry::CertificateKind,
};

/// The last result, so that a change is logged once; an error has one line.
#[derive(Debug, Default)]
pub(super) struct TrustStatus(Option<Result<(), String>>);

impl TrustStatus {
    /// Verifies the chain in use against the live `caBundle`, opens or closes the gate, and sets the
    /// metric of the CA's end. Without trust the metric keeps the last known CA, whose end may be the
    /// reason.
    pub(super) fn evaluate(
        &mut self,
        service: &Service,
        refs: &ObjectRefs,
        live: Option<&Live>,
        chain: &[CertificateDer<'static>],
        now: i64,
    ) {
        if let Some(ca) = live.and_then(|live| live.ca_validity(chain, now)) {
            service.metrics().validity(CertificateKind::Ca, Some(ca));
        }
        self.update(service, of(refs, live, chain, now));
    }

    /// Records why the check failed. An earlier result stays.
    pub(super) fn unknown(&self, service: &Service, reason: &str) {
        if self.0.is_none() {
            service.gates().close(Gate::Trust, reason);
        }
    }

    fn update(&mut self, service: &Service, result: Result<(), String>) {
        service.metrics().certificate_trusted(result.is_ok());
        match &result {
            Ok(()) => service.gates().open(Gate::Trust),
            Err(reason) => service.gates().close(Gate::Trust, reason.as_str()),
        }
        if self.0.as_ref() != Some(&result) {
            match &result {
                Ok(()) => tracing::info!("the API server trusts the certificate in use"),
                Err(reason) => tracing::warn!(
                    reason,
                    "not ready: the API server does not trust the certificate in use"
                ),
            }
            self.0 = Some(result);
        }
    }
}

fn of(
    refs: &ObjectRefs,
    live: Option<&Live>,
    chain: &[CertificateDer<'static>],
    now: i64,
) -> Result<(), String> {
    match live {
        None => Err(format!("MutatingWebhookConfiguration {} does not exist", refs.configuration)),
        Some(live) => live.accepts(chain, now),
    }
}
