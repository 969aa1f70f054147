//! Decides when to issue a CA or a certificate, so that the served certificate is always trusted.
//!
//! One Secret has the CA certificates (the signing one first, then older ones that are still
//! trusted), the signing CA's key, and a server certificate. Every replica reads and writes it by
//! compare-and-swap. The next action follows from the certificates alone: there is no other state
//! to lose, and no leader to be stuck (vault-k8s#388).
//!
//! A rotation has three writes. First the new CA joins the old one, and the old certificate stays.
//! Once the new CA was in the live `caBundle` for [`Policy::settle`], it signs a certificate. After
//! [`Policy::overlap`] the old CA goes.

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::time::Duration;

use super::Span;

/// The most CAs in one Secret. Each deletion of the Secret adds one until the overlap ends. A Secret
/// and a `caBundle` are limited to 1 MiB, and every handshake tries all CAs.
pub const MAX_CAS: usize = 8;
/// A certificate is renewed when a third of its lifetime is left.
const LEFT: i64 = 3;
/// Renewal is overdue when less than this part of a lifetime is left. The last replica renews when
/// three tenths are left, and a short outage after that is no reason to warn.
pub const OVERDUE: i64 = 4;
/// Replicas spread their renewals over this part of a lifetime.
const SPREAD: f64 = 1.0 / 30.0;

/// Lifetimes and waiting times.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Lifetime of a CA.
    pub ca: Duration,
    /// Lifetime of a server certificate.
    pub leaf: Duration,
    /// How long an old CA stays trusted after the new CA signs its first certificate.
    pub overlap: Duration,
    /// How long a CA must be in the live `caBundle` before it signs, so that every API server
    /// has seen it.
    pub settle: Duration,
    /// This replica's jitter for renewals: 0 (first) to 1 (last).
    pub turn: f64,
}

/// A trusted CA. `I` identifies it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TrustedCa<I> {
    /// Its identity.
    pub id: I,
    /// How long it is valid.
    pub span: Span,
}

/// A server certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Leaf<I> {
    /// The CA that signed it, if known.
    pub issuer: Option<I>,
    /// How long it is valid.
    pub span: Span,
    /// Whether it has all required names.
    pub named: bool,
}

/// The usable content of the Secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SecretCerts<I> {
    /// The CAs, newest first.
    pub cas: Vec<TrustedCa<I>>,
    /// Whether the first CA's key is there.
    pub signs: bool,
    /// The server certificate, with its key.
    pub leaf: Option<Leaf<I>>,
}

/// The input of [`next`], beside time and policy.
#[derive(Clone, Debug)]
pub struct Snapshot<I> {
    /// The Secret; empty if there is none.
    pub secret: SecretCerts<I>,
    /// The Secret as this process read it last; empty at the start.
    pub memory: SecretCerts<I>,
    /// The CAs that every live `caBundle` has.
    pub live: Vec<TrustedCa<I>>,
    /// Those of them that have been there for [`Policy::settle`].
    pub settled: Vec<I>,
}

/// What to do next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RotationAction<I> {
    /// Wait until this time, in seconds since the epoch, or until something changes.
    Wait(i64),
    /// Write the Secret.
    Write(SecretChange<I>),
}

/// A change of the Secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SecretChange<I> {
    /// Issue a new CA and put it first.
    pub ca: bool,
    /// The CAs to keep, newest first.
    pub keep: Vec<I>,
    /// Where the server certificate comes from.
    pub leaf: LeafSource,
    /// Whether a new certificate also gets the names of the old one.
    pub widen: bool,
}

/// Where the server certificate comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LeafSource {
    /// The one in the Secret.
    Secret,
    /// The one that this process remembers.
    Memory,
    /// A new one, signed by the first CA.
    New,
}

/// The next action.
pub fn next<I: Clone + Eq>(seen: &Snapshot<I>, policy: &Policy, now: i64) -> RotationAction<I> {
    let Some(front) = front(&seen.secret, policy, now) else {
        return RotationAction::Write(reissue(seen, now));
    };
    let SecretCerts { cas, leaf, .. } = &seen.secret;
    let usable = leaf.as_ref().and_then(|leaf| Some((leaf, issuer(leaf, cas, now)?)));
    let all = || cas.iter().map(|one| one.id.clone()).collect();
    let Some((leaf, issuer)) = usable else {
        let (ca, leaf, widen) = (false, LeafSource::New, false);
        return RotationAction::Write(SecretChange { ca, keep: all(), leaf, widen });
    };
    let own = *issuer == front.id;
    let renewal = due(leaf.span, policy.leaf, policy.turn);
    if (!own || !leaf.named || renewal <= now) && (own || seen.settled.contains(&front.id)) {
        let (ca, widen) = (false, own && renewal > now);
        return RotationAction::Write(SecretChange {
            ca,
            keep: all(),
            leaf: LeafSource::New,
            widen,
        });
    }
    let over = leaf.span.created.saturating_add(overlap(leaf.span, policy));
    let stays = |one: &&TrustedCa<I>| {
        one.id == *issuer || (now < one.span.not_after && (!own || now < over))
    };
    let keep: Vec<&TrustedCa<I>> = cas.iter().filter(stays).collect();
    if keep.len() < cas.len() {
        let keep = keep.into_iter().map(|one| one.id.clone()).collect();
        return RotationAction::Write(SecretChange {
            ca: false,
            keep,
            leaf: LeafSource::Secret,
            widen: false,
        });
    }
    let mut times = vec![due(front.span, policy.ca, policy.turn), renewal];
    if cas.len() > 1 {
        times.push(over);
    }
    times.extend(cas.iter().map(|one| one.span.not_after));
    RotationAction::Wait(times.into_iter().filter(|time| *time > now).min().unwrap_or(now))
}

/// The signing CA, unless it is invalid or due for renewal.
fn front<'a, I>(held: &'a SecretCerts<I>, policy: &Policy, now: i64) -> Option<&'a TrustedCa<I>> {
    let front = held.cas.first().filter(|_| held.signs)?;
    let due = due(front.span, policy.ca, policy.turn);
    (front.span.holds(now) && now < due).then_some(front)
}

/// Issues a new CA. A certificate that is still valid stays in use.
fn reissue<I: Clone + Eq>(seen: &Snapshot<I>, now: i64) -> SecretChange<I> {
    let Snapshot { secret, memory, live, .. } = seen;
    let mut known: Vec<&TrustedCa<I>> = Vec::new();
    // The CAs of a lost or broken Secret may still be in use: other replicas remember their
    // certificate.
    let lost = !secret.signs || !secret.cas.iter().any(|one| one.span.holds(now));
    let more = memory.cas.iter().chain(live).filter(|_| lost);
    for one in secret.cas.iter().chain(more) {
        if one.span.holds(now) && !known.iter().any(|other| other.id == one.id) {
            known.push(one);
        }
    }
    let usable = |held: &SecretCerts<I>| {
        let leaf = held.leaf.as_ref().filter(|leaf| leaf.span.holds(now))?;
        let issuer = leaf.issuer.as_ref()?;
        known.iter().any(|one| one.id == *issuer).then(|| issuer.clone())
    };
    let (leaf, issuer) = match (usable(secret), usable(memory).filter(|_| lost)) {
        (Some(issuer), _) => (LeafSource::Secret, Some(issuer)),
        (None, Some(issuer)) => (LeafSource::Memory, Some(issuer)),
        (None, None) => (LeafSource::New, None),
    };
    // One place is for the new CA, and one for the issuer of the certificate.
    let mut keep: Vec<I> = Vec::new();
    for one in known {
        let places = MAX_CAS - 1 - usize::from(issuer.is_some());
        let others = keep.iter().filter(|id| Some(*id) != issuer.as_ref()).count();
        if Some(&one.id) == issuer.as_ref() || others < places {
            keep.push(one.id.clone());
        }
    }
    SecretChange { ca: true, keep, leaf, widen: false }
}

/// The CA that signed a certificate, if both are valid.
fn issuer<'a, I: Eq>(leaf: &Leaf<I>, cas: &'a [TrustedCa<I>], now: i64) -> Option<&'a I> {
    let issuer = leaf.issuer.as_ref().filter(|_| leaf.span.holds(now))?;
    let found = cas.iter().find(|one| one.id == *issuer && one.span.holds(now))?;
    Some(&found.id)
}

/// When a certificate is due for renewal. A shortened lifetime applies to existing certificates too.
fn due(span: Span, lifetime: Duration, turn: f64) -> i64 {
    let lifetime = span.lifetime().min(seconds(lifetime));
    let used = lifetime - lifetime / LEFT;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "a part of a lifetime, rounded"
    )]
    let later = (lifetime as f64 * SPREAD * turn.clamp(0.0, 1.0)) as i64;
    span.created.saturating_add(used).saturating_add(later)
}

/// How long older CAs stay beside the CA of this certificate. At least two settling times, for
/// replicas that have not seen the certificate yet; at most half of its lifetime, because a renewal
/// follows.
fn overlap(leaf: Span, policy: &Policy) -> i64 {
    let least = seconds(policy.settle).saturating_mul(2);
    seconds(policy.overlap).max(least).min(leaf.lifetime() / 2)
}

/// For how many seconds the content of a `caBundle` was certainly there, for a replica that just
/// started. `unchanged` is the time since the last change of the registration. One settling time is
/// taken off, for API servers whose clocks differ.
pub fn there_for(unchanged: i64, policy: &Policy) -> i64 {
    unchanged.saturating_sub(seconds(policy.settle)).max(0)
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// A certificate that may be served next. Trust is by the live `caBundle`.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// Whether the candidate is trusted.
    pub trusted: bool,
    /// Whether its CA has settled.
    pub settled: bool,
    /// Whether the live `caBundle` has no other CA.
    pub alone: bool,
    /// The certificate in use.
    pub current: Current,
}

/// The certificate in use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Current {
    /// None yet.
    None,
    /// Not trusted.
    Distrusted,
    /// Trusted.
    Trusted,
    /// Trusted, and signed by the candidate's CA.
    SameIssuer,
}

impl Candidate {
    /// Whether to serve it. A trusted certificate stays until the candidate's CA has settled. A
    /// replica without a certificate waits too, unless the candidate's CA is the only one.
    pub const fn accept(self) -> bool {
        self.trusted
            && (self.settled
                || match self.current {
                    Current::None => self.alone,
                    Current::Distrusted | Current::SameIssuer => true,
                    Current::Trusted => false,
                })
    }
}
