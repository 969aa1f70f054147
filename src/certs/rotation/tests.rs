//! One test for each decision.

use super::*;

const NOW: i64 = 1_800_000_000;
const HOUR: i64 = 3600;

const POLICY: Policy = Policy {
    ca: Duration::from_hours(900),
    leaf: Duration::from_hours(90),
    overlap: Duration::from_hours(1),
    settle: Duration::from_secs(30),
    turn: 0.0,
};

fn ca(id: u32, age: i64) -> TrustedCa<u32> {
    TrustedCa { id, span: Span::new(NOW - age, POLICY.ca) }
}

fn leaf(issuer: u32, age: i64) -> Leaf<u32> {
    Leaf { issuer: Some(issuer), span: Span::new(NOW - age, POLICY.leaf), named: true }
}

fn held(cas: &[TrustedCa<u32>], leaf: impl Into<Option<Leaf<u32>>>) -> SecretCerts<u32> {
    SecretCerts { cas: cas.to_vec(), signs: !cas.is_empty(), leaf: leaf.into() }
}

fn step(secret: SecretCerts<u32>, settled: &[u32]) -> RotationAction<u32> {
    let (memory, live) = (held(&[], None), Vec::new());
    next(&Snapshot { secret, memory, live, settled: settled.to_vec() }, &POLICY, NOW)
}

fn write(ca: bool, keep: &[u32], leaf: LeafSource) -> RotationAction<u32> {
    RotationAction::Write(SecretChange { ca, keep: keep.to_vec(), leaf, widen: false })
}

#[test]
fn missing_secret_gets_new_ca_and_certificate() {
    assert_eq!(step(held(&[], None), &[]), write(true, &[], LeafSource::New));
}

#[test]
fn valid_secret_waits_for_its_renewal() {
    let secret = held(&[ca(1, HOUR)], leaf(1, HOUR));
    assert_eq!(step(secret, &[1]), RotationAction::Wait(NOW + 59 * HOUR));
}

#[test]
fn ca_with_a_third_left_gets_a_successor() {
    let secret = held(&[ca(1, 600 * HOUR)], leaf(1, HOUR));
    assert_eq!(step(secret, &[1]), write(true, &[1], LeafSource::Secret));
    let secret = held(&[ca(1, 599 * HOUR)], leaf(1, HOUR));
    assert_eq!(step(secret, &[1]), RotationAction::Wait(NOW + HOUR));
}

#[test]
fn new_ca_signs_once_settled() {
    let secret = held(&[ca(2, 0), ca(1, 600 * HOUR)], leaf(1, HOUR));
    assert!(matches!(step(secret.clone(), &[1]), RotationAction::Wait(_)));
    assert_eq!(step(secret, &[1, 2]), write(false, &[2, 1], LeafSource::New));
}

#[test]
fn certificate_with_a_third_left_is_renewed_by_same_ca() {
    let secret = held(&[ca(1, 61 * HOUR)], leaf(1, 60 * HOUR));
    assert_eq!(step(secret, &[]), write(false, &[1], LeafSource::New));
}

#[test]
fn old_ca_is_removed_after_the_overlap() {
    let old = |age| held(&[ca(2, 2 * HOUR), ca(1, 600 * HOUR)], leaf(2, age));
    assert_eq!(step(old(HOUR), &[1, 2]), write(false, &[2], LeafSource::Secret));
    assert_eq!(step(old(HOUR - 1), &[1, 2]), RotationAction::Wait(NOW + 1));
}

#[test]
fn expired_old_ca_is_removed_with_its_certificate() {
    let secret = held(&[ca(2, HOUR), ca(1, 900 * HOUR)], leaf(2, 60));
    assert_eq!(step(secret, &[]), write(false, &[2], LeafSource::Secret));
    let secret = held(&[ca(2, HOUR), ca(1, 900 * HOUR)], leaf(1, 60));
    assert_eq!(step(secret, &[]), write(false, &[2, 1], LeafSource::New));
}

#[test]
fn deleted_secret_is_restored_from_memory_behind_a_new_ca() {
    let memory = held(&[ca(1, HOUR)], leaf(1, HOUR));
    let seen = Snapshot { secret: held(&[], None), memory, live: Vec::new(), settled: vec![1] };
    assert_eq!(next(&seen, &POLICY, NOW), write(true, &[1], LeafSource::Memory));
}

#[test]
fn replica_without_memory_keeps_the_live_cas() {
    let live = vec![ca(1, HOUR), ca(3, 901 * HOUR)];
    let seen =
        Snapshot { secret: held(&[], None), memory: held(&[], None), live, settled: vec![1] };
    assert_eq!(next(&seen, &POLICY, NOW), write(true, &[1], LeafSource::New));
}

#[test]
fn repeated_deletions_bound_the_bundle_and_keep_the_issuer() {
    let all: Vec<_> = (1..=20).rev().map(|id| ca(id, HOUR)).collect();
    let seen = Snapshot {
        secret: held(&[], None),
        memory: held(&all, leaf(1, HOUR)),
        live: Vec::new(),
        settled: Vec::new(),
    };
    let kept = [20, 19, 18, 17, 16, 15, 1];
    assert_eq!(next(&seen, &POLICY, NOW), write(true, &kept, LeafSource::Memory));
    assert_eq!(kept.len() + 1, MAX_CAS);
}

#[test]
fn missing_name_is_added_to_the_old_names() {
    let unnamed = Leaf { named: false, ..leaf(1, HOUR) };
    let secret = held(&[ca(1, HOUR)], unnamed);
    let wanted = SecretChange { ca: false, keep: vec![1], leaf: LeafSource::New, widen: true };
    assert_eq!(step(secret, &[]), RotationAction::Write(wanted));
}

#[test]
fn mismatched_ca_key_gets_a_new_ca() {
    let secret = SecretCerts { signs: false, ..held(&[ca(1, HOUR)], leaf(1, HOUR)) };
    assert_eq!(step(secret, &[1]), write(true, &[1], LeafSource::Secret));
}

#[test]
fn certificates_from_the_future_are_replaced() {
    let secret = held(&[ca(1, -8760 * HOUR)], leaf(1, -8760 * HOUR));
    assert_eq!(step(secret, &[1]), write(true, &[], LeafSource::New));
    let secret = held(&[ca(1, -240)], leaf(1, -240));
    assert!(matches!(step(secret, &[]), RotationAction::Wait(_)), "four minutes are nothing");
}

#[test]
fn shortened_lifetime_applies_to_existing_certificate() {
    let secret = held(&[ca(1, HOUR)], leaf(1, HOUR));
    let seen = Snapshot { secret, memory: held(&[], None), live: Vec::new(), settled: vec![] };
    let policy = Policy { leaf: Duration::from_hours(1), ..POLICY };
    assert_eq!(next(&seen, &policy, NOW), write(false, &[1], LeafSource::New));
}

#[test]
fn certificate_of_unknown_issuer_is_replaced() {
    assert_eq!(step(held(&[ca(1, HOUR)], leaf(9, 0)), &[]), write(false, &[1], LeafSource::New));
}
