use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::tls::Pair;

type Ca = CertificateDer<'static>;

const NOW: i64 = 1_800_000_000;
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;
const SETTLE: i64 = 30;
const POLICY: Policy = Policy {
    ca: Duration::from_hours(10 * 8760),
    leaf: Duration::from_hours(2160),
    settle: Duration::from_secs(30),
    jitter: 0,
};

static NAMES: LazyLock<Names> = LazyLock::new(|| Names::new(&[]).unwrap());

fn issued(policy: &Policy, now: i64) -> CertBundle {
    CertBundle::default().renew(Renewal::Ca, &NAMES, policy, now).unwrap()
}

fn due(secret: &CertBundle, policy: &Policy, now: i64) -> Option<Renewal> {
    renewal(secret, &NAMES, policy, now)
}

fn renewed(secret: &CertBundle, what: Renewal, now: i64) -> CertBundle {
    secret.renew(what, &NAMES, &POLICY, now).unwrap()
}

fn chain(secret: &CertBundle) -> &[Ca] {
    secret.leaf().unwrap().pair.chain()
}

#[test]
fn missing_secret_gets_a_new_ca() {
    assert_eq!(due(&CertBundle::default(), &POLICY, NOW), Some(Renewal::Ca));
    assert_eq!(due(&issued(&POLICY, NOW), &POLICY, NOW), None);
}

#[test]
fn certificate_is_renewed_at_two_thirds_of_its_life() {
    let secret = issued(&POLICY, NOW);
    // Its life begins an hour before its issue.
    let two_thirds = NOW - HOUR + (90 * DAY + HOUR) * 2 / 3;
    assert_eq!(due(&secret, &POLICY, two_thirds - 1), None);
    assert_eq!(due(&secret, &POLICY, two_thirds + 1), Some(Renewal::Leaf));
    let last = Policy { jitter: u8::MAX, ..POLICY };
    assert_eq!(due(&secret, &last, two_thirds + 3 * DAY - 1), None);
    assert_eq!(due(&secret, &last, two_thirds + 3 * DAY + HOUR), Some(Renewal::Leaf));
    let renewed = renewed(&secret, Renewal::Leaf, two_thirds);
    assert_eq!(renewed.cas(), secret.cas());
}

#[test]
fn ca_is_replaced_a_year_before_its_end() {
    let end = NOW + 10 * YEAR;
    // Its last certificate is as good as new.
    let secret = renewed(&issued(&POLICY, NOW), Renewal::Leaf, end - YEAR - DAY);
    assert_eq!(due(&secret, &POLICY, end - YEAR - 1), None);
    assert_eq!(due(&secret, &POLICY, end - YEAR), Some(Renewal::Ca));
    let next = renewed(&secret, Renewal::Ca, end - YEAR);
    assert_eq!((next.cas().len(), &next.cas()[1]), (2, &secret.cas()[0]));
    assert_eq!(next.issuer(), next.cas().first());
    assert_eq!(due(&next, &POLICY, end - YEAR), None);
}

#[test]
fn short_lived_ca_is_replaced_when_a_third_is_left() {
    let policy = Policy { ca: Duration::from_hours(90), leaf: Duration::from_hours(90), ..POLICY };
    let secret = issued(&policy, NOW);
    let third = NOW + 90 * HOUR - 91 * HOUR / 3;
    assert_eq!(due(&secret, &policy, third - 1), None);
    assert_eq!(due(&secret, &policy, third), Some(Renewal::Ca));
    // A certificate of seconds is not due at once.
    let policy = Policy { ca: Duration::from_secs(40), leaf: Duration::from_secs(20), ..POLICY };
    assert_eq!(due(&issued(&policy, NOW), &policy, NOW + 5), None);
}

#[test]
fn ca_of_a_wrong_clock_is_replaced() {
    let secret = issued(&POLICY, NOW);
    assert_eq!(due(&secret, &POLICY, NOW - HOUR + 1), None);
    assert_eq!(due(&secret, &POLICY, NOW - HOUR - 1), Some(Renewal::Ca));
}

#[test]
fn ca_bundle_gets_new_cas_and_keeps_older_ones_until_their_end() {
    let short = Policy { ca: Duration::from_hours(1), ..POLICY };
    let (ended, old, new) =
        (issued(&short, NOW - 2 * HOUR), issued(&POLICY, NOW), issued(&POLICY, NOW));
    let live = [&ended, &old].map(|one| one.cas()[0].clone());
    let wanted = [&new, &old].map(|one| one.cas()[0].clone());
    assert_eq!(ca_bundle(&new, &live, chain(&old), NOW), wanted);
    assert_eq!(ca_bundle(&new, &wanted, chain(&old), NOW), wanted);
    assert_eq!(ca_bundle(&new, &[], chain(&old), NOW), wanted[..1]);
}

#[test]
fn ca_bundle_is_bounded_and_keeps_the_ca_in_use() {
    let all: Vec<CertBundle> = (0..20).map(|_| issued(&POLICY, NOW)).collect();
    let live: Vec<Ca> = all[1..].iter().map(|one| one.cas()[0].clone()).collect();
    let bundle = ca_bundle(&all[0], &live, chain(&all[19]), NOW);
    assert_eq!(bundle.len(), MAX_CAS);
    assert_eq!((&bundle[0], &bundle[1]), (&all[0].cas()[0], &all[19].cas()[0]));
}

#[test]
fn certificate_is_served_once_its_ca_has_settled_without_a_gap() {
    let (one, two, start) = (issued(&POLICY, NOW), issued(&POLICY, NOW), Instant::now());
    let mut since = TrustedSince::default();
    let mut accepts = |secret, is_trusted, is_current_trusted, at| {
        let at = start + Duration::from_secs(at);
        since.accepts(secret, is_trusted, is_current_trusted, &POLICY, at)
    };
    assert!(!accepts(&one, true, true, 0));
    assert!(!accepts(&one, true, true, 29));
    assert!(accepts(&one, true, true, 30));
    assert!(!accepts(&one, false, true, 31), "the caBundle was wiped");
    assert!(!accepts(&one, true, true, 32));
    assert!(accepts(&one, true, true, 62));
    assert!(!accepts(&two, true, true, 63), "another CA");
    assert!(accepts(&two, true, false, 64), "nothing better is in use");
    assert!(!accepts(&two, false, false, 65));
}

/// The Secret, one `caBundle`, and replicas.
struct World {
    now: i64,
    start: Instant,
    secret: CertBundle,
    live: Vec<Ca>,
    replicas: Vec<Replica>,
    cas: usize,
}

#[derive(Default)]
struct Replica {
    /// What it has read of Secret and `caBundle`, until it acts on it.
    read: Option<(CertBundle, Vec<Ca>)>,
    served: Option<Pair>,
    since: TrustedSince,
}

impl World {
    fn new(replicas: usize) -> Self {
        let replicas = (0..replicas).map(|_| Replica::default()).collect();
        let (secret, live, start) = (CertBundle::default(), Vec::new(), Instant::now());
        Self { now: NOW, start, secret, live, replicas, cas: 0 }
    }

    /// One replica reads, or acts on what it has read before.
    fn turn(&mut self, index: usize) {
        let index = index % self.replicas.len();
        let Some((secret, live)) = self.replicas[index].read.take() else {
            self.replicas[index].read = Some((self.secret.clone(), self.live.clone()));
            return;
        };
        let mut secret = secret;
        let policy = Policy { jitter: u8::try_from(index * 100).unwrap(), ..POLICY };
        if let Some(what) = renewal(&secret, &NAMES, &policy, self.now) {
            // Compare-and-swap: another replica's write is read again.
            if secret.data() != self.secret.data() {
                return;
            }
            secret = renewed(&secret, what, self.now);
            self.secret = secret.clone();
            self.cas += usize::from(what == Renewal::Ca);
        }
        let served = self.replicas[index].served.clone();
        let chain = served.as_ref().map_or(&[] as &[_], Pair::chain);
        let mut live = live;
        let wanted = ca_bundle(&secret, &live, chain, self.now);
        if wanted != live {
            if live != self.live {
                return;
            }
            self.live.clone_from(&wanted);
            live = wanted;
        }
        let trusted = |chain: &[Ca]| tls::verify(chain, &live, self.now).is_ok();
        let candidate = &secret.leaf().unwrap().pair;
        let (is_trusted, is_current) = (trusted(candidate.chain()), trusted(chain));
        let at = self.start + Duration::from_secs(u64::try_from(self.now - NOW).unwrap());
        let replica = &mut self.replicas[index];
        if replica.since.accepts(&secret, is_trusted, is_current, &POLICY, at) {
            replica.served = Some(candidate.clone());
        }
    }

    fn pass(&mut self, seconds: i64, step: i64) {
        let end = self.now + seconds;
        while self.now < end {
            self.now = (self.now + step).min(end);
            // Each reads and acts, after what it may have read before.
            (0..self.replicas.len() * 3).for_each(|index| self.turn(index / 3));
            self.check();
        }
    }

    /// Every served certificate is trusted by the live `caBundle`.
    fn check(&self) {
        for served in self.replicas.iter().filter_map(|one| one.served.as_ref()) {
            tls::verify(served.chain(), &self.live, self.now).unwrap();
        }
    }
}

#[derive(Clone, Debug)]
enum Event {
    /// One replica reads or acts.
    Turn(usize),
    /// Seconds pass, and each replica looks every ten.
    Seconds(u8),
    /// Days pass, and each replica looks once a day.
    Days(u8),
    /// `kubectl delete secret`.
    Delete,
    /// A replica's pod is replaced.
    Restart(usize),
    /// `helm upgrade` without a `caBundle`: until one replica has looked, nothing is trusted.
    Wipe,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        20 => (0..3_usize).prop_map(Event::Turn),
        4 => any::<u8>().prop_map(Event::Seconds),
        2 => (1..120_u8).prop_map(Event::Days),
        1 => Just(Event::Delete),
        1 => (0..3_usize).prop_map(Event::Restart),
        1 => Just(Event::Wipe),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    #[test]
    fn served_certificate_is_always_trusted(
        replicas in 1..=3_usize,
        events in prop::collection::vec(event(), 1..40),
    ) {
        let mut world = World::new(replicas);
        world.pass(10, 10);
        let mut deletions = 1;
        for event in events {
            match event {
                Event::Turn(index) => world.turn(index),
                Event::Seconds(seconds) => world.pass(seconds.into(), 10),
                Event::Days(days) => world.pass(i64::from(days) * DAY, DAY),
                Event::Delete => {
                    world.secret = CertBundle::default();
                    deletions += 1;
                }
                Event::Restart(index) => {
                    let index = index % world.replicas.len();
                    world.replicas[index] = Replica::default();
                }
                Event::Wipe => {
                    // A certificate whose CA is in no Secret is lost: all first take that of the Secret.
                    world.pass(SETTLE + 20, 10);
                    world.live.clear();
                    world.pass(10, 10);
                }
            }
            world.check();
        }
        world.pass(SETTLE + 20, 10);
        for replica in &world.replicas {
            prop_assert_eq!(replica.served.as_ref().unwrap().chain(), chain(&world.secret));
        }
        let years = usize::try_from((world.now - NOW) / YEAR).unwrap();
        prop_assert!(world.cas <= deletions + years / 9, "{} CAs", world.cas);
    }
}

#[test]
fn rotation_new_ca_is_trusted_before_it_is_served() {
    let mut world = World::new(2);
    world.pass(10, 10);
    let old = world.live.clone();
    world.pass(9 * YEAR - HOUR, 5 * DAY);
    assert_eq!((&world.live, world.cas), (&old, 1), "one CA signs all certificates");
    while world.live == old {
        world.pass(60, 60);
    }
    assert_eq!((world.live.len(), &world.live[1]), (2, &old[0]));
    let signs = |world: &World, index: usize| {
        let served = world.replicas[index].served.as_ref().unwrap();
        world
            .live
            .iter()
            .position(|ca| tls::verify(served.chain(), std::slice::from_ref(ca), world.now).is_ok())
    };
    world.pass(SETTLE - 10, 10);
    assert_eq!((signs(&world, 0), signs(&world, 1)), (Some(1), Some(1)));
    world.pass(20, 10);
    assert_eq!((signs(&world, 0), signs(&world, 1)), (Some(0), Some(0)));
    world.pass(YEAR + DAY, 5 * DAY);
    assert_eq!((world.live.len(), world.cas), (1, 2), "the old CA has ended");
}

/// A leaked key: the Secret is deleted, and the old CA taken out of the `caBundle` once all serve the
/// new certificate (`docs/certificates.md`). No replica brings it back.
#[test]
fn leaked_ca_taken_out_of_the_bundle_stays_out() {
    let mut world = World::new(3);
    world.pass(10, 10);
    let leaked = world.live[0].clone();
    world.secret = CertBundle::default();
    world.pass(60, 10);
    assert!(world.live.contains(&leaked));
    world.live = world.secret.cas().to_vec();
    world.pass(DAY, HOUR);
    assert!(!world.live.contains(&leaked) && !world.secret.cas().contains(&leaked));
    assert_eq!(world.cas, 2);
}
