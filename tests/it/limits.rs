//! The server's limits against misbehaving clients.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use arc_rocm::{
    admission,
    server::{Limits, limits},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{
    client::{head, tcp, until_closed},
    http::chunked_head,
    server::{Server, eventually, fixture},
};

/// The deadline under test. All others are the far longer defaults, so that none of them passes first
/// on a busy machine.
const SHORT: Duration = Duration::from_millis(300);

/// This deadline passed and no other one: the next shortest has two seconds more. `start` is before
/// the server's clock starts.
fn assert_about(start: Instant, deadline: Duration) {
    let took = start.elapsed();
    assert!(took >= deadline, "{took:?} is before {deadline:?}");
    assert!(took < deadline + Duration::from_secs(4), "{took:?} is long after {deadline:?}");
}

#[test]
fn body_over_the_limit_by_its_length_gets_413() {
    let server = Server::start(Limits::default());
    let mut client = server.connect();
    client.send(&head("/mutate", "application/json", limits::BODY_LIMIT + 1));
    assert_eq!(client.response().status, 413);
    assert_eq!(server.metric(r#"arc_rocm_requests_refused_total{status="413"}"#), 1);
}

#[test]
fn body_over_the_limit_in_chunks_gets_413() {
    let server = Server::start(Limits::default());
    let mut client = server.connect();
    client.send(&chunked_head());
    let piece = vec![b' '; 64 * 1024];
    for _ in 0..limits::BODY_LIMIT / piece.len() {
        client.send(b"10000\r\n");
        client.send(&piece);
        client.send(b"\r\n");
    }
    client.send(b"1\r\n ");
    assert_eq!(client.response().status, 413);
}

#[test]
fn body_of_exactly_the_limit_is_read() {
    let server = Server::start(Limits::default());
    let mut client = server.connect();
    let mut body = fixture("plain");
    body.resize(limits::BODY_LIMIT, b' ');
    assert_eq!(client.review(&body).status, 200);
}

#[test]
fn client_without_first_byte_is_closed() {
    let server = Server::start(Limits { first_byte_deadline: SHORT, ..Limits::default() });
    let start = Instant::now();
    until_closed(&mut tcp(server.address));
    assert_about(start, SHORT);
    // The handshake is no byte of a request.
    let start = Instant::now();
    server.connect().until_closed();
    assert_about(start, SHORT);
}

/// With the defaults: 2,000 clients that say nothing, before and after the handshake, are no reason for
/// an API server to wait.
#[test]
fn silent_clients_delay_no_new_connection() {
    const SILENT: [usize; 2] = [1_100, 2_000];
    const NEW: usize = 100;
    // Both ends of each connection are in this process.
    let limit = getrlimit(Resource::Nofile);
    let needed = Some(10_000).min(limit.maximum.or(Some(10_000)));
    setrlimit(Resource::Nofile, Rlimit { current: needed, ..limit }).unwrap();
    let body = fixture("plain");
    println!("| silent clients | new connections with a review | p50 ms | p99 ms |");
    for count in SILENT {
        let server = Server::start(Limits::default());
        let mut silent: Vec<_> = (0..count - 100).map(|_| tcp(server.address)).collect();
        let handshaken: Vec<_> = (0..100).map(|_| server.connect()).collect();
        let mut times: Vec<_> = (0..NEW)
            .map(|_| {
                let start = Instant::now();
                assert_eq!(server.connect().review(&body).status, 200);
                // Those whose deadline has passed come again.
                silent.remove(0);
                silent.push(tcp(server.address));
                start.elapsed()
            })
            .collect();
        drop((silent, handshaken));
        times.sort();
        let (p50, p99) = (times[NEW / 2], times[NEW * 99 / 100]);
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        println!("| {count} | {NEW} | {:.1} | {:.1} |", ms(p50), ms(p99));
        assert!(p99 < Duration::from_secs(1), "{count}: {p99:?}");
    }
}

#[test]
fn slow_head_is_closed_at_the_idle_timeout() {
    let server = Server::start(Limits { idle_timeout: SHORT, ..Limits::default() });
    let start = Instant::now();
    let mut client = server.connect();
    client.send(b"POST /mutate HTTP/1.1\r\n");
    thread::sleep(SHORT / 3);
    // On a busy machine it is closed by now.
    let _ = client.try_send(b"Host: a\r\n");
    client.until_closed();
    assert_about(start, SHORT);
}

#[test]
fn idle_connection_is_closed_at_the_idle_timeout() {
    // Far longer than what has to happen within it, the sleep below included.
    let idle_timeout = 10 * SHORT;
    let server = Server::start(Limits { idle_timeout, ..Limits::default() });
    let mut client = server.connect();
    let body = fixture("plain");
    assert_eq!(client.review(&body).status, 200);
    // Each answer starts the time anew.
    thread::sleep(2 * SHORT);
    let start = Instant::now();
    assert_eq!(client.review(&body).status, 200);
    client.until_closed();
    assert_about(start, idle_timeout);
}

#[test]
fn client_that_reads_no_responses_is_closed() {
    let server = Server::start(Limits { write_timeout: SHORT, ..Limits::default() });
    let mut client = server.connect();
    let request = head("/nowhere", "application/json", 0).repeat(100);
    // Until the answers fill every buffer on the way, and the requests do too.
    while client.try_send(&request).is_ok() {}
    eventually("closed", || server.metric("arc_rocm_connections") == 0);
}

#[test]
fn slow_body_gets_503_at_the_request_deadline() {
    let server = Server::start(Limits { request_deadline: SHORT, ..Limits::default() });
    let mut client = server.connect();
    let start = Instant::now();
    client.send(&head("/mutate", "application/json", 100));
    client.send(b"{");
    let response = client.response();
    assert_eq!(response.status, 503);
    // client-go repeats a 5xx with this header, and no other (`rest/with_retry.go`).
    assert_eq!(response.header("retry-after"), Some("1"));
    assert_about(start, SHORT);
    client.until_closed();
}

#[test]
fn connection_above_the_cap_waits_for_a_place() {
    let server = Server::start(Limits { max_connections: 2, ..Limits::default() });
    let body = fixture("plain");
    let mut established = [server.connect(), server.connect()];
    for client in &mut established {
        assert_eq!(client.review(&body).status, 200);
    }
    let mut waiting = server.connect();
    waiting.send(&head("/mutate", "application/json", body.len()));
    waiting.send(&body);
    let [mut client, gone] = established;
    assert_eq!(client.review(&body).status, 200);
    assert_eq!(server.metric("arc_rocm_connections"), 2);
    drop(gone);
    assert_eq!(waiting.response().status, 200);
}

#[test]
fn large_body_without_a_turn_is_shed_with_retry_after() {
    let large_bodies = 2 * limits::SMALL_BODY;
    let limits = Limits { large_bodies, large_body_wait: SHORT, ..Limits::default() };
    let server = Server::start(limits);
    let body = vec![b' '; limits::SMALL_BODY + 1];
    // It has its turn once the server asks for the body.
    let mut holder = server.connect();
    let head = String::from_utf8(head("/mutate", "application/json", body.len())).unwrap();
    holder.send(head.replacen("\r\n", "\r\nExpect: 100-continue\r\n", 1).as_bytes());
    assert_eq!(holder.response().status, 100);

    let response = server.connect().review(&body);
    assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));
    assert_eq!(server.metric(r#"arc_rocm_requests_refused_total{status="503"}"#), 1);
    // A usual review needs no turn, and is answered even now.
    assert_eq!(server.connect().review(&fixture("plain")).status, 200);

    // The turn is given back.
    holder.send(&body);
    assert_eq!(holder.response().status, 400);
    assert_eq!(server.connect().review(&body).status, 400);
}

/// Large reviews under way, and the most that there were at a time.
static LARGE: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];
/// Held by the test: a large review waits for it.
static LARGE_HELD: Mutex<()> = Mutex::new(());

#[test]
fn large_reviews_wait_for_each_other_and_small_ones_do_not() {
    let held = LARGE_HELD.lock().unwrap();
    let server = Server::with_answerer(Limits::default(), |body, config| {
        if body.len() > limits::SMALL_BODY {
            let [now, most] = &LARGE;
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            drop(LARGE_HELD.lock().unwrap());
            now.fetch_sub(1, Ordering::SeqCst);
        }
        admission::answer(body, config)
    });
    let small = fixture("plain");
    let mut large = small.clone();
    large.resize(limits::SMALL_BODY + 1, b' ');
    thread::scope(|scope| {
        let clients: Vec<_> = (0..4 * limits::HEAVY_REVIEWS)
            .map(|_| scope.spawn(|| server.connect().review(&large).status))
            .collect();
        eventually("busy with large reviews", || {
            LARGE[0].load(Ordering::SeqCst) == limits::HEAVY_REVIEWS
        });
        // More connections than the server has worker threads.
        for _ in 0..8 {
            assert_eq!(server.connect().review(&small).status, 200);
        }
        drop(held);
        for client in clients {
            assert_eq!(client.join().unwrap(), 200);
        }
    });
    assert_eq!(LARGE[1].load(Ordering::SeqCst), limits::HEAVY_REVIEWS);
}

/// Set once a review is under way on the thread of the connections.
static STUCK: AtomicBool = AtomicBool::new(false);
/// Held by the test: every review waits for it.
static ALL_HELD: Mutex<()> = Mutex::new(());

/// The kubelet gives a probe one second by default, and restarts a container whose `/livez` fails.
///
/// One worker: tokio polls sockets on a worker, so of two workers the second may never see its
/// connection while the first is held.
#[test]
fn livez_answers_while_every_worker_is_busy() {
    let held = ALL_HELD.lock().unwrap();
    let server = Server::with_workers(1, Limits::default(), |body, config| {
        STUCK.store(true, Ordering::SeqCst);
        drop(ALL_HELD.lock().unwrap());
        admission::answer(body, config)
    });
    let body = fixture("plain");
    thread::scope(|scope| {
        let client = scope.spawn(|| server.connect().review(&body).status);
        eventually("busy", || STUCK.load(Ordering::SeqCst));
        for path in ["/livez", "/readyz", "/metrics"] {
            assert_eq!(server.get(path).status, 200, "{path}");
        }
        drop(held);
        assert_eq!(client.join().unwrap(), 200);
    });
}
