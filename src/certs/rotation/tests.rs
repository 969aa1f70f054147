//! The decisions, one by one.

use super::*;

const NOW: i64 = 1_800_000_000;
const HOUR: i64 = 3600;

const POLICY: Policy = Policy {
    authority: Duration::from_hours(900),
    leaf: Duration::from_hours(90),
    overlap: Duration::from_hours(1),
    settle: Duration::from_secs(30),
    turn: 0.0,
};

fn authority(id: u32, age: i64) -> Authority<u32> {
    Authority { id, span: Span::new(NOW - age, POLICY.authority) }
}

fn leaf(issuer: u32, age: i64) -> Leaf<u32> {
    Leaf { issuer: Some(issuer), span: Span::new(NOW - age, POLICY.leaf), named: true }
}

fn held(authorities: &[Authority<u32>], leaf: impl Into<Option<Leaf<u32>>>) -> Held<u32> {
    Held { authorities: authorities.to_vec(), signs: !authorities.is_empty(), leaf: leaf.into() }
}

fn step(secret: Held<u32>, settled: &[u32]) -> Step<u32> {
    let (memory, live) = (held(&[], None), Vec::new());
    next(&Seen { secret, memory, live, settled: settled.to_vec() }, &POLICY, NOW)
}

fn write(authority: bool, keep: &[u32], leaf: Source) -> Step<u32> {
    Step::Write(Write { authority, keep: keep.to_vec(), leaf, widen: false })
}

#[test]
fn without_a_secret_both_are_new() {
    assert_eq!(step(held(&[], None), &[]), write(true, &[], Source::New));
}

#[test]
fn what_is_young_and_whole_is_left_alone_until_its_turn() {
    let secret = held(&[authority(1, HOUR)], leaf(1, HOUR));
    assert_eq!(step(secret, &[1]), Step::Wait(NOW + 59 * HOUR));
}

#[test]
fn an_authority_with_a_third_left_gets_a_successor_and_nothing_else_changes() {
    let secret = held(&[authority(1, 600 * HOUR)], leaf(1, HOUR));
    assert_eq!(step(secret, &[1]), write(true, &[1], Source::Secret));
    let secret = held(&[authority(1, 599 * HOUR)], leaf(1, HOUR));
    assert_eq!(step(secret, &[1]), Step::Wait(NOW + HOUR));
}

#[test]
fn a_new_authority_signs_only_once_it_has_settled() {
    let secret = held(&[authority(2, 0), authority(1, 600 * HOUR)], leaf(1, HOUR));
    assert!(matches!(step(secret.clone(), &[1]), Step::Wait(_)));
    assert_eq!(step(secret, &[1, 2]), write(false, &[2, 1], Source::New));
}

#[test]
fn a_certificate_with_a_third_left_is_renewed_by_the_same_authority() {
    let secret = held(&[authority(1, 61 * HOUR)], leaf(1, 60 * HOUR));
    assert_eq!(step(secret, &[]), write(false, &[1], Source::New));
}

#[test]
fn an_old_authority_goes_an_overlap_after_the_first_certificate_of_the_new_one() {
    let old = |age| held(&[authority(2, 2 * HOUR), authority(1, 600 * HOUR)], leaf(2, age));
    assert_eq!(step(old(HOUR), &[1, 2]), write(false, &[2], Source::Secret));
    assert_eq!(step(old(HOUR - 1), &[1, 2]), Step::Wait(NOW + 1));
}

#[test]
fn an_old_authority_that_has_ended_goes_at_once_and_takes_its_certificate_along() {
    let secret = held(&[authority(2, HOUR), authority(1, 900 * HOUR)], leaf(2, 60));
    assert_eq!(step(secret, &[]), write(false, &[2], Source::Secret));
    let secret = held(&[authority(2, HOUR), authority(1, 900 * HOUR)], leaf(1, 60));
    assert_eq!(step(secret, &[]), write(false, &[2, 1], Source::New));
}

#[test]
fn a_deleted_secret_comes_back_with_the_old_certificate_and_its_authority_behind_a_new_one() {
    let memory = held(&[authority(1, HOUR)], leaf(1, HOUR));
    let seen = Seen { secret: held(&[], None), memory, live: Vec::new(), settled: vec![1] };
    assert_eq!(next(&seen, &POLICY, NOW), write(true, &[1], Source::Memory));
}

#[test]
fn a_replica_that_remembers_nothing_keeps_what_the_others_may_still_serve() {
    let live = vec![authority(1, HOUR), authority(3, 901 * HOUR)];
    let seen = Seen { secret: held(&[], None), memory: held(&[], None), live, settled: vec![1] };
    assert_eq!(next(&seen, &POLICY, NOW), write(true, &[1], Source::New));
}

#[test]
fn deletions_in_a_row_do_not_let_the_bundle_grow_and_never_drop_the_issuer_in_use() {
    let all: Vec<_> = (1..=20).rev().map(|id| authority(id, HOUR)).collect();
    let seen = Seen {
        secret: held(&[], None),
        memory: held(&all, leaf(1, HOUR)),
        live: Vec::new(),
        settled: Vec::new(),
    };
    let kept = [20, 19, 18, 17, 16, 15, 1];
    assert_eq!(next(&seen, &POLICY, NOW), write(true, &kept, Source::Memory));
    assert_eq!(kept.len() + 1, MAX_AUTHORITIES);
}

#[test]
fn a_missing_name_is_a_new_certificate_with_the_old_names_as_well() {
    let unnamed = Leaf { named: false, ..leaf(1, HOUR) };
    let secret = held(&[authority(1, HOUR)], unnamed);
    let wanted = Write { authority: false, keep: vec![1], leaf: Source::New, widen: true };
    assert_eq!(step(secret, &[]), Step::Write(wanted));
}

#[test]
fn a_key_of_another_authority_means_a_new_one_and_the_certificate_stays() {
    let secret = Held { signs: false, ..held(&[authority(1, HOUR)], leaf(1, HOUR)) };
    assert_eq!(step(secret, &[1]), write(true, &[1], Source::Secret));
}

#[test]
fn certificates_from_a_clock_that_was_a_year_ahead_are_replaced() {
    let secret = held(&[authority(1, -8760 * HOUR)], leaf(1, -8760 * HOUR));
    assert_eq!(step(secret, &[1]), write(true, &[], Source::New));
    let secret = held(&[authority(1, -240)], leaf(1, -240));
    assert!(matches!(step(secret, &[]), Step::Wait(_)), "four minutes are nothing");
}

#[test]
fn a_lifetime_that_was_shortened_holds_for_what_there_is() {
    let secret = held(&[authority(1, HOUR)], leaf(1, HOUR));
    let seen = Seen { secret, memory: held(&[], None), live: Vec::new(), settled: vec![] };
    let policy = Policy { leaf: Duration::from_hours(1), ..POLICY };
    assert_eq!(next(&seen, &policy, NOW), write(false, &[1], Source::New));
}

#[test]
fn a_certificate_of_an_unknown_issuer_is_replaced() {
    assert_eq!(step(held(&[authority(1, HOUR)], leaf(9, 0)), &[]), write(false, &[1], Source::New));
}
