//! Events, with an API server of the test.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use arc_rocm::controller::events::QUEUE;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    client::{Client, Tls},
    process::{Serving, base64_of, exit, serve_in, signal},
    server::{eventually, fixture},
};

/// Longer than any test takes: only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long the event task waits for one response of the API server.
const SINK_DEADLINE: Duration = Duration::from_secs(5);

/// Longer than a review, shorter than a review that waits for the event task.
const SLOW: Duration = Duration::from_secs(2);

/// Slow reviews on a busy machine. If reviews waited for the event task, each review with a full
/// queue would be slow, and those are many more.
const HICCUPS: usize = 5;

/// An API server that accepts a request of any path and responds with the given answer.
struct ApiServer {
    address: SocketAddr,
    /// Path and body of each request.
    requests: Receiver<(String, Value)>,
}

/// The response to the event in a request, if there is one.
type Answer = Option<fn(&Value) -> (u16, Value)>;

impl ApiServer {
    fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, requests) = channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, sender) = (stream.unwrap(), sender.clone());
                thread::spawn(move || attend(stream, &sender, answer));
            }
        });
        Self { address, requests }
    }

    fn event(&self) -> (String, Value) {
        self.requests.recv_timeout(PATIENCE).unwrap()
    }
}

/// Serves a connection to its end.
fn attend(stream: TcpStream, requests: &Sender<(String, Value)>, answer: Answer) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut path = None;
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            if path.is_none() {
                path = line.split(' ').nth(1).map(str::to_owned);
            }
            if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                length = text.parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let body = serde_json::from_slice(&body).unwrap();
        let answer = answer.map(|answer| answer(&body));
        if requests.send((path.unwrap(), body)).is_err() {
            return;
        }
        let Some((status, object)) = answer else {
            // Held open and silent until the client gives up.
            let _ = reader.read_to_end(&mut Vec::new());
            return;
        };
        let object = object.to_string();
        let head = format!(
            "HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            object.len()
        );
        if reader.get_mut().write_all((head + &object).as_bytes()).is_err() {
            return;
        }
    }
}

/// A process that serves with `--events`, and a client of it.
struct Scene {
    api: ApiServer,
    serving: Serving,
    client: Client<Tls>,
    _folder: TempDir,
}

fn scene(answer: Answer) -> Scene {
    let api = ApiServer::start(answer);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (kubeconfig, ca) = (path("kubeconfig"), path("ca.crt"));
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": format!("http://{}", api.address)}}],
        "users": [{"name": "u", "user": {}}],
    });
    fs::write(&kubeconfig, config.to_string()).unwrap();
    let serving = serve_in(
        &[("KUBECONFIG", &kubeconfig), ("HOSTNAME", "arc-rocm-7d4f-x2x4z")],
        &["--events", "--shutdown-grace", "0s", "--ca-out", &ca],
    );
    let client = Client::connect(serving.address, &fs::read_to_string(&ca).unwrap());
    Scene { api, serving, client, _folder: folder }
}

impl Scene {
    fn metric(&self, series: &str) -> u64 {
        let text = Client::get(self.serving.admin, "/metrics").body;
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap().parse().unwrap()
    }

    fn stop(self) -> Option<i32> {
        signal(&self.serving.child, "TERM");
        exit(self.serving.child).code()
    }
}

fn takes(event: &Value) -> (u16, Value) {
    (201, event.clone())
}

fn refuses(_: &Value) -> (u16, Value) {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "Forbidden",
        "message": "events is forbidden", "code": 403,
    });
    (403, status)
}

fn with(review: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(review.to_vec()).unwrap();
    assert!(text.contains(from), "{from}");
    text.replace(from, to).into_bytes()
}

#[test]
fn event_of_each_runner_is_complete() {
    let mut scene = scene(Some(takes));
    let first = fixture("plain");
    // The second answer is one from memory.
    let uid = "f88d59e7-20f4-470e-98e1-dabce558afa3";
    let second = with(&first, uid, "99999999-8888-7777-6666-555555555555");
    for review in [&first, &second] {
        assert_eq!(scene.client.review(review).status, 200);
    }
    let (path, event) = scene.api.event();
    assert!(path.starts_with("/api/v1/namespaces/arc-runners/events"), "{path}");
    assert_eq!(
        event["involvedObject"],
        json!({
            "apiVersion": "actions.github.com/v1alpha1",
            "kind": "EphemeralRunner",
            "namespace": "arc-runners",
            "name": "linux.rocm.gpu.gfx942.2-qx8ff-runner-b9ms2",
            "uid": uid,
        })
    );
    assert_eq!((&event["reason"], &event["type"]), (&json!("Injected"), &json!("Normal")));
    assert!(event["message"].as_str().unwrap().starts_with("Injected profile rocm ("), "{event}");
    assert_eq!(event["reportingComponent"], "arc-rocm.dev/webhook");
    assert_eq!(event["reportingInstance"], "arc-rocm-7d4f-x2x4z");
    for field in ["action", "eventTime", "firstTimestamp", "lastTimestamp"] {
        assert!(event[field].is_string(), "no {field} in {event}");
    }
    let (_, other) = scene.api.event();
    assert_eq!(other["involvedObject"]["uid"], "99999999-8888-7777-6666-555555555555");
    assert_ne!(other["metadata"]["name"], event["metadata"]["name"]);
    eventually("both sent", || scene.metric("arc_rocm_events_sent_total") == 2);
    assert_eq!(scene.stop(), Some(0));
}

#[test]
fn event_is_not_sent_for_dry_run_or_reinvocation() {
    let mut scene = scene(Some(takes));
    let review = fixture("plain");
    let dry = with(&review, r#""dryRun":false"#, r#""dryRun":true"#);
    assert_eq!(scene.client.review(&dry).status, 200);
    let answer = scene.client.review(&review).body;
    assert_eq!(scene.client.review(&reinvoked(&review, &answer)).status, 200);
    let opted_out = with(
        &review,
        r#""actions-ephemeral-runner":"True""#,
        r#""actions-ephemeral-runner":"True","arc-rocm.dev/inject":"false""#,
    );
    assert_eq!(scene.client.review(&opted_out).status, 200);
    // Events come in order: another one would be between these.
    let (_, event) = scene.api.event();
    assert_eq!(event["reason"], "Injected");
    let (_, event) = scene.api.event();
    assert_eq!(event["reason"], "InjectionSkipped");
    assert_eq!(event["message"], "Skipped: arc-rocm.dev/inject says false");
    assert_eq!(scene.stop(), Some(0));
}

/// The review of a pod with the patch that it was answered with.
fn reinvoked(review: &[u8], answer: &str) -> Vec<u8> {
    let answer: Value = serde_json::from_str(answer).unwrap();
    let mut review: Value = serde_json::from_slice(review).unwrap();
    let patch: json_patch::Patch =
        serde_json::from_str(&base64_of(&answer["response"]["patch"])).unwrap();
    json_patch::patch(&mut review["request"]["object"], &patch).unwrap();
    review.to_string().into_bytes()
}

/// linkerd2#3358: work beside the response made the injector time out.
#[test]
fn events_with_silent_api_server_delay_no_review() {
    let mut scene = scene(None);
    let review = fixture("plain");
    let begin = Instant::now();
    scene.client.review(&review);
    scene.api.event();
    // One event is being sent and stays so; these overfill the queue.
    let more = 50;
    let mut slow = 0;
    for _ in 0..QUEUE + more {
        let asked = Instant::now();
        assert_eq!(scene.client.review(&review).status, 200);
        if asked.elapsed() > SLOW {
            slow += 1;
            assert!(slow <= HICCUPS, "reviews wait for the sink");
        }
    }
    // The queue gets room whenever the task gives up an event.
    let dropped = scene.metric("arc_rocm_events_dropped_total");
    let free = begin.elapsed().as_secs() / SINK_DEADLINE.as_secs() + 1;
    let more = more as u64;
    assert!((more.saturating_sub(free).max(1)..=more).contains(&dropped), "{dropped} dropped");
    assert_eq!(scene.metric("arc_rocm_events_sent_total"), 0);
    let asked = Instant::now();
    assert_eq!(scene.stop(), Some(0));
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(10), "the end waits for it: {took:?}");
}

#[test]
fn events_missing_permission_is_logged_once() {
    let mut scene = scene(Some(refuses));
    let review = fixture("plain");
    for _ in 0..3 {
        assert_eq!(scene.client.review(&review).status, 200);
    }
    eventually("three refused", || scene.metric("arc_rocm_events_failed_total") == 3);
    signal(&scene.serving.child, "TERM");
    let warned = scene.serving.log.filter(|line| line["level"] == "WARN");
    let warned: Vec<Value> = warned.collect();
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert!(warned[0]["error"].as_str().unwrap().contains("events is forbidden"), "{warned:?}");
    assert_eq!(exit(scene.serving.child).code(), Some(0));
}

#[test]
fn events_in_the_queue_are_sent_at_shutdown() {
    let mut scene = scene(Some(takes));
    let review = fixture("plain");
    for _ in 0..60 {
        assert_eq!(scene.client.review(&review).status, 200);
    }
    // With the usual pauses it would take three seconds.
    signal(&scene.serving.child, "TERM");
    assert_eq!(exit(scene.serving.child).code(), Some(0));
    assert_eq!(scene.api.requests.try_iter().count(), 60);
}
