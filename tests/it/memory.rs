//! Memory: reviews, connections and changes of files, many and all different, must not pile up in
//! the process. Other webhooks have grown until they were killed (kyverno/kyverno#4072,
//! kubewarden/adm-controller#1950).

use std::{fs, net::SocketAddr, path::Path, process::Child, thread};

use arc_rocm::{certs::Issued, podspec::Quantity};

use crate::{
    client::{Client, head, tcp},
    process::{FLEET, Serving, exit, fleet_of, serve_in, signal},
    server::{eventually, fixtures, swap},
    tls::{issue, mount},
};

/// Rounds until everything has the size that it keeps: the allocator has its arenas.
const WARM_UP: u64 = 5;
/// Rounds in which profiles are swapped as well.
const SWAPPING: u64 = 6;
/// Rounds in which they stay, so that what a config gathers would pile up.
const STEADY: u64 = 8;
/// Clients at a time.
const CLIENTS: u64 = 3;
/// Connections of one client in one round, one after another.
const CONNECTIONS: u64 = 7;
/// Reviews on each.
const REVIEWS: u64 = 10;

/// KiB by which the process may grow after the warm-up. The allocator's own ups and downs are 1 to
/// 2 MiB. A leak of 30 KiB for each connection would be 9, one of the profiles at each swap 10.
const GROWTH: u64 = 6 * 1024;

/// splitmix64 (<https://prng.di.unimi.it/splitmix64.c>): what is sent is the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn padding(&mut self, least: u64, most: u64) -> String {
        let length = least + self.below(most - least);
        let words: Vec<_> = (0..=length / 16).map(|_| format!("{:016x}", self.next())).collect();
        words.concat()
    }
}

/// A review that no other is like: names, namespace, scale set, and so much more in its pod.
fn review(random: &mut Random, captured: &[String], padding: &str) -> String {
    let index = usize::try_from(random.below(captured.len() as u64)).unwrap();
    let drawn = random.next();
    captured[index]
        .replace("linux.rocm.gpu.gfx942", &format!("set-{drawn:x}"))
        .replace("arc-runners", &format!("team-{}", drawn % 997))
        .replacen(r#""uid":""#, &format!(r#""uid":"{drawn:x}-"#), 1)
        .replacen(r#""spec":{"#, &format!(r#""spec":{{"padding":"{padding}","#), 1)
}

/// One client's part in a round.
fn call(address: SocketAddr, ca: &str, captured: &[String], mut random: Random) {
    for _ in 0..CONNECTIONS {
        let mut client = Client::connect(address, ca);
        for number in 0..REVIEWS {
            let size = match number {
                0 => 64 * 1024,
                1 => 256 * 1024,
                _ => 4 * 1024,
            };
            let padding = random.padding(size / 2, size);
            let sent = review(&mut random, captured, &padding);
            let (sent, status) = match number {
                2 => (sent[..sent.len() / 2].to_owned(), 400),
                3 => (sent.replace("AdmissionReview", "Review"), 400),
                4 => (padding, 400),
                _ => (sent, 200),
            };
            assert_eq!(client.review(sent.as_bytes()).status, status);
            // The next pod of the same scale set.
            let again = sent.replacen(r#""uid":""#, r#""uid":"0"#, 1);
            assert_eq!(client.review(again.as_bytes()).status, status);
        }
        // One that goes in the middle of a body, and one that says nothing.
        client.send(&head("/mutate", "application/json", 100_000));
        client.send(&vec![b' '; 50_000]);
        drop(client);
        drop(tcp(address));
    }
}

/// A program that serves from files that can be swapped.
struct Swapped {
    directory: tempfile::TempDir,
    serving: Serving,
    ca: String,
}

impl Swapped {
    fn serve() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        let Issued { ca, certificate, key } = issue();
        mount(directory.path(), "..0", &certificate, &key);
        fs::create_dir(path("profiles")).unwrap();
        fs::write(path(FLEET), fleet_of("1")).unwrap();
        let arguments = [
            ["--tls-cert", &path("tls.crt")],
            ["--tls-key", &path("tls.key")],
            ["--profiles", &path("profiles")],
            ["--poll", "20ms"],
            ["--shutdown-grace", "0s"],
        ];
        let serving = serve_in(&[], arguments.as_flattened());
        Self { directory, serving, ca }
    }

    fn swap_profiles(&self, text: &str, result: &str) {
        self.swap("profile", result, || swap(self.directory.path(), FLEET, text));
    }

    fn swap_certificate(&self, version: &str, Issued { certificate, key, .. }: &Issued, to: &str) {
        self.swap("tls", to, || mount(self.directory.path(), version, certificate, key));
    }

    /// Does it, and waits until it has come to this result.
    fn swap(&self, what: &str, result: &str, swap: impl FnOnce()) {
        let series = format!(r#"arc_rocm_{what}_reloads_total{{result="{result}"}} "#);
        let count = || -> u64 {
            let text = self.metrics();
            text.lines().find_map(|line| line.strip_prefix(&series)).unwrap().parse().unwrap()
        };
        let before = count();
        swap();
        eventually(&series, || count() > before);
    }

    fn metrics(&self) -> String {
        Client::get(self.serving.admin, "/metrics").body
    }

    fn kib(&self, figure: &str) -> u64 {
        kib(&self.serving.child, figure)
    }
}

/// A figure of a process, in KiB (`proc_pid_status(5)`).
pub fn kib(child: &Child, figure: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let figure = status.lines().find_map(|line| line.strip_prefix(figure)?.strip_prefix(':'));
    figure.unwrap().trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

/// What the chart lets a pod have, in KiB.
pub fn chart_limit() -> u64 {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/helm/arc-rocm/values.yaml");
    let values: serde_json::Value =
        serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let limit = values["resources"]["limits"]["memory"].as_str().unwrap();
    let limit: Quantity = limit.parse().unwrap();
    limit.whole().unwrap() / 1024
}

#[test]
fn memory_stays_constant_and_below_the_charts_limit() {
    let mut fleet = Swapped::serve();
    // Read the log, or its queue would fill up.
    let log = std::mem::replace(&mut fleet.serving.log, Box::new(std::iter::empty()));
    let reader = thread::spawn(|| log.for_each(drop));
    let captured: Vec<_> =
        fixtures().iter().map(|path| fs::read_to_string(path).unwrap()).collect();

    let (mut warm, mut worst, mut series) = (0, 0, 0);
    let mut told = Vec::new();
    for round in 0..WARM_UP + SWAPPING + STEADY {
        let (address, ca) = (fleet.serving.address, fleet.ca.clone());
        thread::scope(|scope| {
            for client in 0..CLIENTS {
                let random = Random(round * CLIENTS + client);
                let (ca, captured) = (&ca, &captured);
                scope.spawn(move || call(address, ca, captured, random));
            }
        });
        let (good, bad) = (issue(), Issued { key: issue().key, ..issue() });
        fleet.swap_certificate(&format!("..bad-{round}"), &bad, "rejected");
        fleet.swap_certificate(&format!("..good-{round}"), &good, "replaced");
        fleet.ca = good.ca;
        fleet.swap_profiles(&fleet_of(&format!("many-{round}")), "rejected");
        if round < WARM_UP + SWAPPING {
            fleet.swap_profiles(&fleet_of(&(1 + round % 8).to_string()), "replaced");
        }

        let now = fleet.kib("VmRSS");
        told.push(now);
        let lines = fleet.metrics().lines().count();
        if round < WARM_UP {
            (warm, series) = (warm.max(now), lines);
        } else {
            worst = worst.max(now);
            assert_eq!(lines, series, "names must not become series of metrics");
        }
    }
    let peak = fleet.kib("VmHWM");
    signal(&fleet.serving.child, "TERM");
    assert_eq!(exit(fleet.serving.child).code(), Some(0));
    reader.join().unwrap();
    assert!(worst <= warm + GROWTH, "from {warm} KiB after the warm-up to {worst}: {told:?}");
    let limit = chart_limit();
    assert!(peak < limit, "{peak} KiB of {limit}");
}
