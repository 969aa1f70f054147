//! Simulates replicas that share one Secret and one registration for years, step by step, while the
//! Secret is deleted and the registration wiped.

use proptest::prelude::*;

use super::*;
use crate::certs::Clock;

const MINUTE: i64 = 60;
const DAY: i64 = 24 * 60 * MINUTE;
const YEAR: i64 = 365 * DAY;
/// How late API servers see the registration: less than [`Policy::settle`].
const LAG: i64 = 20;
/// How long the replicas have to repair a deleted Secret or a wiped registration.
const HEALING: i64 = 3 * MINUTE;

type Id = u64;

/// The Secret's content, and the identity of its certificate.
#[derive(Clone, Debug)]
struct Data {
    held: SecretCerts<Id>,
    leaf: Id,
}

/// A value with its resource version.
#[derive(Clone, Debug)]
struct Versioned<T> {
    version: u64,
    value: T,
}

/// The live registration.
#[derive(Clone, Debug)]
struct Registration {
    version: u64,
    changed: i64,
    value: Vec<TrustedCa<Id>>,
}

#[derive(Clone, Debug, Default)]
struct Replica {
    policy: Option<Policy>,
    /// The error of its own clock.
    wrong: i64,
    /// The error of the clock of its API server.
    apart: i64,
    /// The API server's clock as last read.
    clock: Clock,
    memory: Option<Data>,
    served: Option<(Id, Leaf<Id>)>,
    since: Vec<(Id, i64)>,
    live: Option<Registration>,
    secret: Option<Versioned<Option<Data>>>,
}

struct World {
    now: i64,
    ids: Id,
    live: Registration,
    /// Older registrations, each with its end.
    past: Vec<(i64, Vec<TrustedCa<Id>>)>,
    secret: Versioned<Option<Data>>,
    replicas: Vec<Replica>,
    /// When the last outside change was.
    disturbed: i64,
    writes: usize,
    publications: usize,
}

fn empty() -> SecretCerts<Id> {
    SecretCerts { cas: Vec::new(), signs: false, leaf: None }
}

fn policy(turn: f64) -> Policy {
    Policy {
        ca: Duration::from_hours(8760),
        leaf: Duration::from_hours(2160),
        overlap: Duration::from_hours(1),
        settle: Duration::from_secs(30),
        turn,
    }
}

impl World {
    fn new(turns: &[f64]) -> Self {
        let replica = |turn: &f64| Replica { policy: Some(policy(*turn)), ..Replica::default() };
        Self {
            now: 1_000_000_000,
            ids: 0,
            live: Registration { version: 0, changed: 1_000_000_000, value: Vec::new() },
            past: Vec::new(),
            secret: Versioned { version: 0, value: None },
            replicas: turns.iter().map(replica).collect(),
            disturbed: 1_000_000_000,
            writes: 0,
            publications: 0,
        }
    }

    fn id(&mut self) -> Id {
        self.ids += 1;
        self.ids
    }

    fn publish(&mut self, value: Vec<TrustedCa<Id>>) {
        let old = std::mem::replace(&mut self.live.value, value);
        self.live.version += 1;
        self.live.changed = self.now;
        self.past.push((self.now, old));
        let now = self.now;
        self.past.retain(|(until, _)| *until > now - LAG);
    }

    fn disturb(&mut self) {
        self.disturbed = self.now;
    }

    /// One read or one write of one replica, as `controller::certificates` does them.
    fn turn(&mut self, index: usize) {
        let mut replica = std::mem::take(&mut self.replicas[index]);
        if replica.live.is_none() {
            replica.live = Some(self.live.clone());
        } else if replica.secret.is_none() {
            replica.secret = Some(self.secret.clone());
        } else {
            let live = replica.live.take().unwrap();
            let secret = replica.secret.take().unwrap();
            self.act(&mut replica, &live, &secret);
        }
        replica.clock = Clock::read_at(self.now + replica.apart, self.now);
        self.replicas[index] = replica;
    }

    fn act(
        &mut self,
        replica: &mut Replica,
        live: &Registration,
        secret: &Versioned<Option<Data>>,
    ) {
        let policy = replica.policy.unwrap();
        let now = replica.clock.now(self.now).unwrap_or(self.now + replica.wrong);
        replica.since.retain(|(id, _)| live.value.iter().any(|one| one.id == *id));
        for one in &live.value {
            if !replica.since.iter().any(|(id, _)| *id == one.id) {
                let there_for = there_for(now - live.changed, &policy);
                replica.since.push((one.id, self.now - there_for));
            }
        }
        let settle = seconds(policy.settle);
        let settled: Vec<Id> =
            replica.since.iter().filter(|(_, at)| self.now - at >= settle).map(|x| x.0).collect();
        let held = |data: &Option<Data>| data.as_ref().map_or_else(empty, |one| one.held.clone());
        let seen = Snapshot {
            secret: held(&secret.value),
            memory: held(&replica.memory),
            live: live.value.clone(),
            settled: settled.clone(),
        };
        if let RotationAction::Write(write) = next(&seen, &policy, now) {
            if self.secret.version == secret.version {
                self.write(replica, secret, &seen, &write, now);
            }
            return;
        }
        let Some(data) = &secret.value else { return };
        replica.memory = Some(data.clone());
        if live.value != data.held.cas {
            if self.live.version == live.version {
                self.publications += 1;
                self.publish(data.held.cas.clone());
            }
            return;
        }
        let leaf = data.held.leaf.clone().unwrap();
        let trusted = |leaf: &Leaf<Id>| {
            live.value.iter().any(|one| Some(one.id) == leaf.issuer && one.span.holds(now))
                && leaf.span.holds(now)
        };
        let candidate = Candidate {
            trusted: trusted(&leaf),
            settled: leaf.issuer.is_some_and(|issuer| settled.contains(&issuer)),
            alone: live.value.len() == 1,
            current: match &replica.served {
                None => Current::None,
                Some((_, one)) if !trusted(one) => Current::Distrusted,
                Some((_, one)) if one.issuer == leaf.issuer => Current::SameIssuer,
                Some(_) => Current::Trusted,
            },
        };
        if candidate.accept() {
            replica.served = Some((data.leaf, leaf));
        }
    }

    fn write(
        &mut self,
        replica: &Replica,
        read: &Versioned<Option<Data>>,
        seen: &Snapshot<Id>,
        write: &SecretChange<Id>,
        now: i64,
    ) {
        self.writes += 1;
        let policy = replica.policy.unwrap();
        let known: Vec<&TrustedCa<Id>> =
            [&seen.secret.cas, &seen.memory.cas, &seen.live].into_iter().flatten().collect();
        let find = |id: &Id| (*known.iter().find(|one| one.id == *id).unwrap()).clone();
        let mut cas: Vec<TrustedCa<Id>> = write.keep.iter().map(find).collect();
        if write.ca {
            let id = self.id();
            cas.insert(0, TrustedCa { id, span: Span::new(now, policy.ca) });
        }
        assert!(cas.len() <= MAX_CAS);
        let (leaf, pair) = match write.leaf {
            LeafSource::Secret => {
                let data = read.value.as_ref().unwrap();
                (data.held.leaf.clone().unwrap(), data.leaf)
            }
            LeafSource::Memory => {
                let data = replica.memory.as_ref().unwrap();
                (data.held.leaf.clone().unwrap(), data.leaf)
            }
            LeafSource::New => {
                let front = &cas[0];
                let span = Span::new(now, policy.leaf).within(front.span);
                (Leaf { issuer: Some(front.id), span, named: true }, self.id())
            }
        };
        assert!(cas.iter().any(|one| Some(one.id) == leaf.issuer), "{write:?}");
        let held = SecretCerts { cas, signs: true, leaf: Some(leaf) };
        self.secret.value = Some(Data { held, leaf: pair });
        self.secret.version += 1;
    }

    /// Runs every replica for as many steps as a pass may take.
    fn run_all(&mut self) {
        for index in (0..self.replicas.len()).cycle().take(self.replicas.len() * 24) {
            self.turn(index);
        }
    }

    /// Every served certificate is trusted, by up-to-date API servers and by those that lag.
    fn check(&self) {
        if self.now - self.disturbed < HEALING {
            return;
        }
        for replica in &self.replicas {
            // It is not ready, so it is not called.
            let Some((_, leaf)) = &replica.served else { continue };
            let late = self.past.iter().filter(|(until, _)| *until > self.now - LAG);
            let late = late.map(|(_, live)| live);
            for live in late.chain([&self.live.value]) {
                let trusted = live
                    .iter()
                    .any(|one| Some(one.id) == leaf.issuer && one.span.not_after > self.now);
                assert!(trusted, "{leaf:?} is not trusted by {live:?}");
            }
            assert!(leaf.span.not_after > self.now, "{leaf:?} has ended at {}", self.now);
        }
    }
}

#[derive(Clone, Debug)]
enum Event {
    /// One step of one replica.
    Turn(usize),
    /// Seconds pass; every replica looks at least every half minute.
    Seconds(u8),
    /// Days pass; every replica looks now and then.
    Days(u8),
    /// `kubectl delete secret`.
    Delete,
    /// `helm upgrade` without a caBundle.
    Wipe,
    /// Both at once.
    DeleteAndWipe,
    /// A replica's pod is replaced.
    Restart(usize),
    /// A replica's clock is set, by up to years.
    Clock(usize, i64),
    /// A replica gets another API server.
    Server(usize, i8),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        20 => (0..3_usize).prop_map(Event::Turn),
        4 => any::<u8>().prop_map(Event::Seconds),
        4 => (1..60_u8).prop_map(Event::Days),
        1 => Just(Event::Delete),
        1 => Just(Event::Wipe),
        1 => Just(Event::DeleteAndWipe),
        1 => (0..3_usize).prop_map(Event::Restart),
        1 => ((0..3_usize), -3 * YEAR..3 * YEAR).prop_map(|(index, by)| Event::Clock(index, by)),
        1 => ((0..3_usize), -10..10_i8).prop_map(|(index, by)| Event::Server(index, by)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn served_certificate_is_always_trusted(
        turns in prop::collection::vec(0.0..1.0_f64, 2..=3),
        events in prop::collection::vec(event(), 1..150),
    ) {
        let mut world = World::new(&turns);
        let count = turns.len();
        world.run_all();
        let (mut deletions, mut disturbances, start) = (1, 1, world.now);
        for event in events {
            match event {
                Event::Turn(index) => {
                    world.turn(index % count);
                    world.check();
                }
                Event::Seconds(seconds) => pass(&mut world, seconds.into(), 10),
                Event::Days(days) => pass(&mut world, i64::from(days) * DAY, 8 * 60 * MINUTE),
                Event::Delete => {
                    world.secret.value = None;
                    world.secret.version += 1;
                    deletions += 1;
                    disturbances += 1;
                }
                Event::Wipe => {
                    world.publish(Vec::new());
                    world.disturb();
                    disturbances += 1;
                }
                Event::DeleteAndWipe => {
                    world.secret.value = None;
                    world.secret.version += 1;
                    world.publish(Vec::new());
                    world.disturb();
                    deletions += 1;
                    disturbances += 1;
                }
                Event::Restart(index) => {
                    let replica = &mut world.replicas[index % count];
                    let Replica { policy, wrong, apart, .. } = replica.clone();
                    *replica = Replica { policy, wrong, apart, ..Replica::default() };
                    // It is not ready, so it is not called.
                }
                Event::Clock(index, seconds) => {
                    world.replicas[index % count].wrong = seconds;
                }
                Event::Server(index, seconds) => {
                    world.replicas[index % count].apart = i64::from(seconds);
                }
            }
        }
        pass(&mut world, 3 * MINUTE, 10);
        let issuer = world.secret.value.as_ref().unwrap().held.leaf.as_ref().unwrap().issuer;
        for replica in &world.replicas {
            prop_assert_eq!(replica.served.as_ref().unwrap().1.issuer, issuer);
        }
        // A certificate lasts two thirds of 90 days, each new CA brings one more, and each rotation is
        // three writes.
        let years = usize::try_from((world.now - start) / YEAR).unwrap() + 1;
        prop_assert!(world.writes <= 4 * (deletions + 10 * years), "{} writes", world.writes);
        let publications = 4 * (disturbances + 10 * years);
        prop_assert!(world.publications <= publications, "{} of them", world.publications);
    }
}

/// Lets `seconds` pass. The replicas look every `step` seconds, and more often after a change, until
/// CAs have settled and old ones are dropped.
fn pass(world: &mut World, seconds: i64, step: i64) {
    let end = world.now + seconds;
    let mut busy_until = world.now + 2 * MINUTE;
    while world.now < end {
        let step = if world.now < busy_until { 10 } else { step };
        world.now = (world.now + step).min(end);
        let before = (world.secret.version, world.live.version);
        world.run_all();
        if (world.secret.version, world.live.version) != before {
            busy_until = world.now + 2 * MINUTE;
        }
        world.check();
    }
}

#[test]
fn rotation_trusts_new_ca_first_and_drops_old_ca_last() {
    let mut world = World::new(&[0.0, 1.0]);
    world.run_all();
    let first = world.live.value[0].id;
    assert_eq!((world.writes, world.publications), (1, 1), "a fresh install is immediate");
    pass(&mut world, 243 * DAY, 60 * MINUTE);
    while world.live.value.len() == 1 {
        pass(&mut world, 10, 10);
        assert!(world.now < 1_000_000_000 + 244 * DAY, "a third of a year is left");
    }
    assert_eq!(world.live.value[1].id, first);
    for replica in &world.replicas {
        assert_eq!(replica.served.as_ref().unwrap().1.issuer, Some(first));
    }
    pass(&mut world, 59 * MINUTE, 10);
    assert_eq!(world.live.value.len(), 2);
    pass(&mut world, 3 * MINUTE, 10);
    let new = world.live.value[0].id;
    assert_eq!(world.live.value.len(), 1);
    for replica in &world.replicas {
        assert_eq!(replica.served.as_ref().unwrap().1.issuer, Some(new));
    }
}

/// With local clocks alone, it and the others would write six new CAs a minute, for ever.
#[test]
fn replica_with_wrong_clock_changes_nothing() {
    for wrong in [2 * YEAR, -2 * YEAR] {
        let mut world = World::new(&[0.0, 0.5, 1.0]);
        world.run_all();
        let (id, writes) = (world.live.value[0].id, world.writes);
        world.replicas[1].wrong = wrong;
        pass(&mut world, 60 * MINUTE, 10);
        world.replicas[1] = Replica { policy: Some(policy(0.5)), wrong, ..Replica::default() };
        pass(&mut world, 60 * MINUTE, 10);
        assert_eq!((world.live.value[0].id, world.writes), (id, writes));
        for replica in &world.replicas {
            assert_eq!(replica.served.as_ref().unwrap().1.issuer, Some(id));
        }
    }
}

#[test]
fn replica_that_starts_within_an_overlap_serves_at_once() {
    let start_anew = |world: &mut World| {
        world.replicas[1] = Replica { policy: Some(policy(1.0)), ..Replica::default() };
        world.run_all();
        let served = world.replicas[1].served.clone();
        served.map(|(_, leaf)| leaf.issuer)
    };
    let mut world = World::new(&[0.0, 1.0]);
    world.run_all();
    pass(&mut world, 243 * DAY, 60 * MINUTE);
    while world.live.value.len() == 1 {
        pass(&mut world, 10, 10);
    }
    assert_eq!(start_anew(&mut world), None, "an API server may not know it yet");
    pass(&mut world, 5 * MINUTE, 10);
    assert_eq!(world.live.value.len(), 2);
    let new = world.live.value[0].id;
    assert_eq!(start_anew(&mut world), Some(Some(new)));
}
