//! When to renew the Secret's certificates, what the `caBundle` has, and which certificate to serve.
//!
//! One Secret has the CAs (the signing one first), the signing CA's key, and a server certificate that it
//! signed. Every replica reads it, decides by these functions and writes by compare-and-swap. All state
//! is in the Secret and the registrations: there is no leader to be stuck (vault-k8s#388).
//!
//! A new CA and its first certificate are one write. The `caBundle` gets the new CA beside the older
//! ones. A replica serves the new certificate once its CA has been in the `caBundle` for
//! [`Policy::settle`]; until then it goes on with the one that it has. So a lost or leaked Secret is
//! simply deleted.

use std::time::{Duration, Instant};

use rustls_pki_types::CertificateDer;

use super::{CertBundle, Names};
use crate::tls::{self, Validity};

/// The most CAs in a `caBundle`. Each deletion of the Secret adds one. A `caBundle` is limited to 1 MiB,
/// and every handshake tries all CAs.
pub const MAX_CAS: usize = 8;
/// A CA is replaced a year before its end, in seconds: far longer than any certificate that it signs.
const CA_LEFT: i64 = 365 * 24 * 60 * 60;
/// A CA of a few years or less is replaced when this part of its lifetime is left, and a certificate
/// as well.
const LEFT: i64 = 3;
/// The part of a lifetime over which replicas spread their renewals, so that one of them does it.
const SPREAD: i64 = 30;

/// Lifetimes and waiting times.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Lifetime of a CA.
    pub ca: Duration,
    /// Lifetime of a server certificate.
    pub leaf: Duration,
    /// How long a CA must be in the live `caBundle` before a certificate of it is served, so that every
    /// API server has seen it.
    pub settle: Duration,
    /// This replica's part of the spread: 0 (first) to [`u8::MAX`] (last).
    pub jitter: u8,
}

/// What to issue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Renewal {
    /// A new CA, and a certificate that it signs.
    Ca,
    /// A certificate that the present CA signs.
    Leaf,
}

/// What to issue at `now`, in seconds since the epoch; `None` if the Secret is good. A new CA is issued
/// only where there is none that can sign, or its end is near.
pub fn renewal(secret: &CertBundle, names: &Names, policy: &Policy, now: i64) -> Option<Renewal> {
    let ca = secret.signer().map(super::SigningCa::validity);
    if !ca.is_some_and(|ca| holds(ca, now) && now < ca.not_after.saturating_sub(ca_left(ca))) {
        return Some(Renewal::Ca);
    }
    let is_good = secret.leaf().is_some_and(|leaf| {
        let chain = leaf.pair.chain();
        secret.is_usable(now)
            && tls::named(chain, names.asked()).is_ok()
            && now < leaf_due(leaf.pair.leaf, policy.jitter)
    });
    (!is_good).then_some(Renewal::Leaf)
}

/// The CAs that a `caBundle` must have: those of the Secret, then those that it has already, until each
/// ends. `served` is the chain in use; its CA stays where there are too many.
pub fn ca_bundle(
    secret: &CertBundle,
    live: &[CertificateDer<'static>],
    served: &[CertificateDer<'static>],
    now: i64,
) -> Vec<CertificateDer<'static>> {
    let signs =
        |ca: &&CertificateDer<'static>| tls::signed(served, std::slice::from_ref(*ca), now).is_ok();
    let (signing, older) = secret.cas().split_at(secret.cas().len().min(1));
    let (needed, others): (Vec<_>, Vec<_>) = older.iter().chain(live).partition(signs);
    let mut bundle: Vec<CertificateDer<'static>> = Vec::new();
    for ca in signing.iter().chain(needed).chain(others) {
        if !bundle.contains(ca) && tls::validity(ca).is_ok_and(|ca| now <= ca.not_after) {
            bundle.push(ca.clone());
        }
    }
    bundle.truncate(MAX_CAS);
    bundle
}

/// Since when the live `caBundle` trusts the CA of the Secret's certificate.
#[derive(Debug, Default)]
pub struct TrustedSince(Option<(CertificateDer<'static>, Instant)>);

impl TrustedSince {
    /// Whether to serve the Secret's certificate at `at`. A certificate in use that is trusted stays
    /// until the CA has settled; one that is not, or none, gives way at once.
    pub fn accepts(
        &mut self,
        secret: &CertBundle,
        is_trusted: bool,
        is_current_trusted: bool,
        policy: &Policy,
        at: Instant,
    ) -> bool {
        let Some(issuer) = secret.issuer().filter(|_| is_trusted) else {
            self.0 = None;
            return is_trusted;
        };
        if self.0.as_ref().is_none_or(|(known, _)| known != issuer) {
            self.0 = Some((issuer.clone(), at));
        }
        let since = self.0.as_ref().map_or(at, |(_, since)| *since);
        !is_current_trusted || at.saturating_duration_since(since) >= policy.settle
    }
}

/// How long before its end a CA is replaced, in seconds.
fn ca_left(ca: Validity) -> i64 {
    (lifetime(ca) / LEFT).min(CA_LEFT)
}

/// When a server certificate is due for renewal.
fn leaf_due(leaf: Validity, jitter: u8) -> i64 {
    let lifetime = lifetime(leaf);
    let later = (lifetime / SPREAD).saturating_mul(jitter.into()) / i64::from(u8::MAX);
    leaf.not_after.saturating_sub(lifetime / LEFT).saturating_add(later)
}

const fn lifetime(validity: Validity) -> i64 {
    validity.not_after.saturating_sub(validity.not_before)
}

fn holds(validity: Validity, now: i64) -> bool {
    (validity.not_before..=validity.not_after).contains(&now)
}

#[cfg(test)]
mod tests;
