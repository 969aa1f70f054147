//! Bounded: bodies at the size limit, many at once, neither end the process at the chart's memory limit nor
//! hold up the usual reviews.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use arc_rocm::server::limits::BODY_LIMIT;
use serde_json::Value;

use crate::{
    client::{Client, Response},
    memory::{chart_limit, kib},
    process::{Serving, exit, serve_by, signal},
    server::fixture,
};

/// Bodies of one kind that are sent at once.
const BODIES: usize = 64;
/// Usual reviews that are sent beside them, at least.
const USUAL: usize = 200;
/// The time in which 99 of 100 usual reviews are answered, each with a request to `/livez` after it.
const P99: Duration = Duration::from_secs(1);
/// Environment variables of a pod.
const VARIABLES: usize = 140_000;

/// What the answer to a body may be, beside a 503 for want of memory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Expected {
    /// HTTP 400: it is nothing that can be answered.
    Unreadable,
    /// A refusal that the API server's client may try again.
    TooMany,
    /// A patch.
    Allowed,
}

/// A captured review with `padding` as one more field of the pod's spec.
fn padded(padding: &str) -> String {
    let review = String::from_utf8(fixture("plain")).unwrap();
    review.replacen(r#""spec":{"#, &format!(r#""spec":{{"padding":{padding},"#), 1)
}

/// The same with a list of as many items as a body can have.
fn list(item: &str) -> String {
    let room = BODY_LIMIT - padded("[]").len();
    padded(&format!("[{}]", item.repeat(room / item.len()).trim_end_matches(',')))
}

/// The bodies, each with its name.
fn bodies() -> Vec<(&'static str, String, Expected)> {
    let deep = (BODY_LIMIT - padded("").len()) / 2;
    let room = BODY_LIMIT - padded(r#""""#).len();
    let variables = (0..VARIABLES).map(|number| format!(r#"{{"name":"V{number}"}},"#));
    let env = format!(r#""env":[{}"#, variables.collect::<String>());
    let review = String::from_utf8(fixture("plain")).unwrap();
    assert!(review.contains(r#""env":[{"#));
    let bodies = vec![
        (r#"{"":0},"#, list(r#"{"":0},"#), Expected::TooMany),
        ("0,", list("0,"), Expected::TooMany),
        (r#"{"a":0},"#, list(r#"{"a":0},"#), Expected::TooMany),
        ("nesting", padded(&["[".repeat(deep), "]".repeat(deep)].concat()), Expected::Unreadable),
        ("string", padded(&format!(r#""{}""#, "x".repeat(room))), Expected::Allowed),
        ("env", review.replacen(r#""env":["#, &env, 1), Expected::TooMany),
    ];
    for (name, body, _) in &bodies {
        assert!(body.len() <= BODY_LIMIT && body.len() > BODY_LIMIT / 2, "{name}: {}", body.len());
    }
    bodies
}

/// A memory cgroup of this test; removed on drop.
struct Group {
    path: PathBuf,
    /// The file that counts what the kernel killed for want of memory.
    events: &'static str,
}

impl Group {
    /// Makes one of `limit` bytes, where the kernel and the user's rights allow it.
    fn new(limit: u64) -> Option<Self> {
        let mount = Path::new("/sys/fs/cgroup");
        let name = format!("arc-rocm-bounded-{}", std::process::id());
        let is_v2 = mount.join("cgroup.controllers").exists();
        let (path, file, events) = if is_v2 {
            fs::write(mount.join("cgroup.subtree_control"), "+memory").ok()?;
            (mount.join(name), "memory.max", "memory.events")
        } else {
            (mount.join("memory").join(name), "memory.limit_in_bytes", "memory.oom_control")
        };
        if !is_v2 && !mount.join("memory/memory.limit_in_bytes").exists() {
            return None;
        }
        fs::create_dir(&path).ok()?;
        let group = Self { path, events };
        fs::write(group.path.join(file), limit.to_string()).ok()?;
        // Without swap, as a kubelet has it by default. Kernels without it have neither file.
        for (file, limit) in [("memory.swap.max", 0), ("memory.memsw.limit_in_bytes", limit)] {
            if group.path.join(file).exists() {
                fs::write(group.path.join(file), limit.to_string()).ok()?;
            }
        }
        Some(group)
    }

    /// Processes that the kernel killed.
    fn killed(&self) -> u64 {
        let events = fs::read_to_string(self.path.join(self.events)).unwrap();
        let count = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
        count.unwrap().parse().unwrap()
    }
}

/// Ends what a failed test leaves in it.
impl Drop for Group {
    fn drop(&mut self) {
        let processes = fs::read_to_string(self.path.join("cgroup.procs")).unwrap_or_default();
        for process in processes.lines() {
            let _ = Command::new("sh").args(["-c", r#"kill -KILL "$0""#, process]).status();
        }
        // A group is busy until the kernel is done with its processes.
        for _ in 0..100 {
            if fs::remove_dir(&self.path).is_ok() {
                break;
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Serves in the group from the first page of memory on.
fn serve(group: Option<&Group>, ca: &Path) -> Serving {
    let program = env!("CARGO_BIN_EXE_arc-rocm");
    let mut command = Command::new(program);
    if let Some(group) = group {
        command = Command::new("sh");
        command.args(["-c", r#"echo $$ >"$1" && shift && exec "$@""#, "sh"]);
        command.arg(group.path.join("cgroup.procs")).arg(program);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null());
    serve_by(command, &["--shutdown-grace", "0s", "--ca-out", ca.to_str().unwrap()])
}

/// Whether an answer is as expected; `false` for one that was shed.
fn is_answered(name: &str, expected: Expected, response: &Response) -> bool {
    if response.status == 503 {
        assert_eq!(response.header("retry-after"), Some("1"), "{name}");
        return false;
    }
    if expected == Expected::Unreadable {
        assert_eq!(response.status, 400, "{name}: {}", response.body);
        return true;
    }
    assert_eq!(response.status, 200, "{name}: {}", response.body);
    let review: Value = serde_json::from_str(&response.body).unwrap();
    let request: Value = serde_json::from_slice(&fixture("plain")).unwrap();
    assert_eq!(review["response"]["uid"], request["request"]["uid"], "{name}");
    if expected == Expected::Allowed {
        assert_eq!(review["response"]["allowed"], true, "{name}");
    } else {
        let status = &review["response"]["status"];
        assert_eq!(review["response"]["allowed"], false, "{name}");
        assert_eq!(
            (&status["code"], &status["reason"]),
            (&503.into(), &"ServiceUnavailable".into())
        );
    }
    true
}

#[test]
fn bodies_at_the_limit_neither_end_the_process_nor_hold_up_others() {
    let limit = chart_limit();
    let group = Group::new(limit * 1024);
    if group.is_none() {
        eprintln!("no memory cgroup can be made here: VmHWM alone is held against {limit} KiB");
    }
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.crt");
    let Serving { mut child, log, address, admin } = serve(group.as_ref(), &ca);
    let reader = thread::spawn(|| log.for_each(drop));
    let ca = fs::read_to_string(ca).unwrap();
    let usual = fixture("plain");

    println!("| kind | answered | shed | usual reviews with /livez | p50 ms | p99 ms | peak MiB |");
    for (name, body, expected) in bodies() {
        let sending = AtomicBool::new(true);
        let (results, times) = thread::scope(|scope| {
            let clients: Vec<_> = (0..BODIES)
                .map(|_| {
                    scope.spawn(|| {
                        // A refused body may be read in part only, and the connection then ends.
                        let response = Client::connect(address, &ca).try_review(body.as_bytes());
                        response.is_ok_and(|response| is_answered(name, expected, &response))
                    })
                })
                .collect();
            let others = scope.spawn(|| {
                let mut client = Client::connect(address, &ca);
                let mut times = Vec::new();
                while times.len() < USUAL || sending.load(Ordering::Relaxed) {
                    let start = Instant::now();
                    assert_eq!(client.review(&usual).status, 200);
                    assert_eq!(Client::get(admin, "/livez").status, 200);
                    times.push(start.elapsed());
                    thread::sleep(Duration::from_millis(2));
                }
                times
            });
            let results: Vec<_> = clients.into_iter().map(thread::ScopedJoinHandle::join).collect();
            sending.store(false, Ordering::Relaxed);
            (results, others.join())
        });
        let killed = group.as_ref().map_or(0, Group::killed);
        assert_eq!((child.try_wait().unwrap(), killed), (None, 0), "{name}: the process ended");
        let results: Vec<bool> = results.into_iter().map(Result::unwrap).collect();
        let answered = results.iter().filter(|answered| **answered).count();
        let mut times = times.unwrap();
        times.sort();
        let (p50, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
        let peak = kib(&child, "VmHWM");
        println!(
            "| `{name}` | {answered} | {} | {} | {:.1} | {:.1} | {} |",
            BODIES - answered,
            times.len(),
            p50.as_secs_f64() * 1e3,
            p99.as_secs_f64() * 1e3,
            peak / 1024
        );
        assert!(answered > 0, "{name}: every body was shed");
        assert!(p99 < P99, "{name}: {p99:?}");
        assert!(peak < limit, "{name}: {peak} KiB of {limit}");
    }
    signal(&child, "TERM");
    assert_eq!(exit(child).code(), Some(0));
    reader.join().unwrap();
}
