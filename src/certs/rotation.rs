//! When to issue what, so that at no moment a certificate is served that is not trusted.
//!
//! One Secret has the authorities (the one that signs first, then older ones that are still
//! trusted), the first one's key, and a server certificate. Any number of replicas look at it and
//! change it, each by itself: every write depends on nothing having been written meanwhile. What
//! to do next follows from the certificates themselves, so that there is no other state to lose
//! and no leader to be stuck (vault-k8s#388).
//!
//! A new authority is trusted before anything is served that it signed, and an old one until
//! nothing is: the authority comes first, beside the old one and with the old certificate; then,
//! once it was in the live `caBundle` for a while, a certificate of it; then, after an overlap,
//! the old authority goes.

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::time::Duration;

use super::Span;

/// Authorities in one Secret at most. Each deletion adds one for the time of the overlap; a
/// Secret and a `caBundle` are limited to 1 MiB, and every handshake tries them all.
pub const MAX_AUTHORITIES: usize = 8;
/// A new certificate is due when a third of the old one's lifetime is left.
const LEFT: i64 = 3;
/// When less than this part is left, there should have been one: the last replica's turn is when
/// three tenths are, and a pause of all of them in between is nothing to worry about.
pub const OVERDUE: i64 = 4;
/// Replicas spread their turns over this part of a lifetime.
const SPREAD: f64 = 1.0 / 30.0;

/// How long things last.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Lifetime of an authority.
    pub authority: Duration,
    /// Lifetime of a server certificate.
    pub leaf: Duration,
    /// How long an old authority is trusted after the first certificate of the new one.
    pub overlap: Duration,
    /// How long an authority is in the live `caBundle` until every API server has noticed.
    pub settle: Duration,
    /// Where in the spread this replica's turn is: 0 (first) to 1.
    pub turn: f64,
}

/// An authority that is trusted. `I` tells one from another.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Authority<I> {
    /// Which one.
    pub id: I,
    /// How long it is valid.
    pub span: Span,
}

/// A server certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Leaf<I> {
    /// Who signed it, if that is known.
    pub issuer: Option<I>,
    /// How long it is valid.
    pub span: Span,
    /// It is for all names that it has to be for.
    pub named: bool,
}

/// What a Secret has, as far as it can be used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Held<I> {
    /// The authorities, newest first.
    pub authorities: Vec<Authority<I>>,
    /// The key of the first of them is there.
    pub signs: bool,
    /// The server certificate, with its key.
    pub leaf: Option<Leaf<I>>,
}

/// All that a decision depends on, beside the time and the policy.
#[derive(Clone, Debug)]
pub struct Seen<I> {
    /// What the Secret has; empty if there is none.
    pub secret: Held<I>,
    /// What it had when this process looked before; empty if it never did.
    pub memory: Held<I>,
    /// What every live `caBundle` has.
    pub live: Vec<Authority<I>>,
    /// Which of them have been there long enough ([`Policy::settle`]).
    pub settled: Vec<I>,
}

/// What to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step<I> {
    /// Nothing before that time, in seconds since the epoch, if nothing else changes.
    Wait(i64),
    /// Change the Secret.
    Write(Write<I>),
}

/// A change of the Secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Write<I> {
    /// Put a new authority in front.
    pub authority: bool,
    /// The authorities that are in the Secret afterwards, beside a new one, newest first.
    pub keep: Vec<I>,
    /// Where the server certificate is from.
    pub leaf: Source,
    /// A new certificate also gets the names of the old one.
    pub widen: bool,
}

/// Where a server certificate is from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Source {
    /// It is the one in the Secret.
    Secret,
    /// It is the one that this process remembers.
    Memory,
    /// It is to be issued, by the authority in front.
    New,
}

/// The next step.
pub fn next<I: Clone + Eq>(seen: &Seen<I>, policy: &Policy, now: i64) -> Step<I> {
    let Some(front) = front(&seen.secret, policy, now) else {
        return Step::Write(reissue(seen, now));
    };
    let Held { authorities, leaf, .. } = &seen.secret;
    let usable = leaf.as_ref().and_then(|leaf| Some((leaf, issuer(leaf, authorities, now)?)));
    let all = || authorities.iter().map(|one| one.id.clone()).collect();
    let Some((leaf, issuer)) = usable else {
        let (authority, leaf, widen) = (false, Source::New, false);
        return Step::Write(Write { authority, keep: all(), leaf, widen });
    };
    let own = *issuer == front.id;
    let renewal = due(leaf.span, policy.leaf, policy.turn);
    if (!own || !leaf.named || renewal <= now) && (own || seen.settled.contains(&front.id)) {
        let (authority, widen) = (false, own && renewal > now);
        return Step::Write(Write { authority, keep: all(), leaf: Source::New, widen });
    }
    let over = leaf.span.created.saturating_add(overlap(leaf.span, policy));
    let stays = |one: &&Authority<I>| {
        one.id == *issuer || (now < one.span.not_after && (!own || now < over))
    };
    let keep: Vec<&Authority<I>> = authorities.iter().filter(stays).collect();
    if keep.len() < authorities.len() {
        let keep = keep.into_iter().map(|one| one.id.clone()).collect();
        return Step::Write(Write { authority: false, keep, leaf: Source::Secret, widen: false });
    }
    let mut times = vec![due(front.span, policy.authority, policy.turn), renewal];
    if authorities.len() > 1 {
        times.push(over);
    }
    times.extend(authorities.iter().map(|one| one.span.not_after));
    Step::Wait(times.into_iter().filter(|time| *time > now).min().unwrap_or(now))
}

/// The authority that signs, if it can go on to.
fn front<'a, I>(held: &'a Held<I>, policy: &Policy, now: i64) -> Option<&'a Authority<I>> {
    let front = held.authorities.first().filter(|_| held.signs)?;
    let due = due(front.span, policy.authority, policy.turn);
    (front.span.holds(now) && now < due).then_some(front)
}

/// A new authority, which is not served at once if there is a certificate to go on with.
fn reissue<I: Clone + Eq>(seen: &Seen<I>, now: i64) -> Write<I> {
    let Seen { secret, memory, live, .. } = seen;
    let mut known: Vec<&Authority<I>> = Vec::new();
    // Of a Secret that was lost or broken, the authorities may still be in use: by a replica that
    // remembers its certificate.
    let lost = !secret.signs || !secret.authorities.iter().any(|one| one.span.holds(now));
    let more = memory.authorities.iter().chain(live).filter(|_| lost);
    for one in secret.authorities.iter().chain(more) {
        if one.span.holds(now) && !known.iter().any(|other| other.id == one.id) {
            known.push(one);
        }
    }
    let usable = |held: &Held<I>| {
        let leaf = held.leaf.as_ref().filter(|leaf| leaf.span.holds(now))?;
        let issuer = leaf.issuer.as_ref()?;
        known.iter().any(|one| one.id == *issuer).then(|| issuer.clone())
    };
    let (leaf, issuer) = match (usable(secret), usable(memory).filter(|_| lost)) {
        (Some(issuer), _) => (Source::Secret, Some(issuer)),
        (None, Some(issuer)) => (Source::Memory, Some(issuer)),
        (None, None) => (Source::New, None),
    };
    // One place is the new one's, and one the certificate's issuer's.
    let mut keep: Vec<I> = Vec::new();
    for one in known {
        let places = MAX_AUTHORITIES - 1 - usize::from(issuer.is_some());
        let others = keep.iter().filter(|id| Some(*id) != issuer.as_ref()).count();
        if Some(&one.id) == issuer.as_ref() || others < places {
            keep.push(one.id.clone());
        }
    }
    Write { authority: true, keep, leaf, widen: false }
}

/// Who signed a certificate, if both are valid.
fn issuer<'a, I: Eq>(leaf: &Leaf<I>, authorities: &'a [Authority<I>], now: i64) -> Option<&'a I> {
    let issuer = leaf.issuer.as_ref().filter(|_| leaf.span.holds(now))?;
    let found = authorities.iter().find(|one| one.id == *issuer && one.span.holds(now))?;
    Some(&found.id)
}

/// When the successor of something is due. A lifetime that was shortened holds for what there is.
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

/// How long older authorities stay beside the one that has signed this certificate. Not beyond the
/// half of its lifetime, after which there will be a newer one; and replicas that have not yet
/// seen the certificate need some time.
fn overlap(leaf: Span, policy: &Policy) -> i64 {
    let least = seconds(policy.settle).saturating_mul(2);
    seconds(policy.overlap).max(least).min(leaf.lifetime() / 2)
}

/// How long, in seconds, all that a `caBundle` has was certainly there, if nobody has changed the
/// registration for as long as `unchanged`: a replica that starts has not seen it. As much as an
/// authority needs to settle is taken off, for API servers whose clocks differ.
pub fn there_for(unchanged: i64, policy: &Policy) -> i64 {
    unchanged.saturating_sub(seconds(policy.settle)).max(0)
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// Whether to serve a certificate that is offered. Trust is that of the live `caBundle`.
#[derive(Clone, Copy, Debug)]
pub struct Offer {
    /// The offered certificate is trusted.
    pub trusted: bool,
    /// Its authority has settled.
    pub settled: bool,
    /// The live `caBundle` has no other authority.
    pub alone: bool,
    /// What is in use.
    pub current: Current,
}

/// A certificate in use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Current {
    /// There is none yet.
    None,
    /// It is not trusted.
    Distrusted,
    /// It is trusted.
    Trusted,
    /// It is trusted, and of the same authority as the one that is offered.
    SameIssuer,
}

impl Offer {
    /// Whether to take it. The one in use is kept as long as it is better known; whoever has none
    /// leaves the reviews to others that may have one, if there were any.
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
