//! The server's limits against misbehaving clients.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use arc_rocm::{
    admission,
    server::{Limits, limits},
};

use crate::{
    client::{head, tcp, until_closed},
    http::chunked_head,
    server::{Server, eventually, fixture},
};

/// The deadline under test. All others are the far longer defaults, so that none of them passes first
/// on a busy machine.
const SHORT: Duration = Duration::from_millis(300);

/// This deadline passed and no other one: the next shortest has ten seconds. `start` is before the
/// server's clock starts.
fn assert_about(start: Instant, deadline: Duration) {
    let took = start.elapsed();
    assert!(took >= deadline, "{took:?} is before {deadline:?}");
    assert!(took < deadline + Duration::from_secs(5), "{took:?} is long after {deadline:?}");
}

#[test]
fn a_body_over_the_limit_by_its_length_gets_413() {
    let server = Server::start(Limits::default());
    let mut client = server.connect();
    client.send(&head("/mutate", "application/json", limits::BODY_LIMIT + 1));
    assert_eq!(client.response().status, 413);
    assert_eq!(server.metric(r#"arc_rocm_requests_refused_total{status="413"}"#), 1);
}

#[test]
fn a_body_over_the_limit_in_chunks_gets_413_and_the_connection_lives() {
    let server =
        Server::start(Limits { discard_deadline: limits::BODY_DEADLINE, ..Limits::default() });
    let mut client = server.connect();
    client.send(&chunked_head());
    let piece = vec![b' '; 64 * 1024];
    for _ in 0..=limits::BODY_LIMIT / piece.len() {
        client.send(b"10000\r\n");
        client.send(&piece);
        client.send(b"\r\n");
    }
    client.send(b"0\r\n\r\n");
    assert_eq!(client.response().status, 413);
    assert_eq!(client.review(&fixture("plain")).status, 200);
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
fn silent_client_is_closed_at_the_handshake_deadline() {
    let server = Server::start(Limits { handshake_deadline: SHORT, ..Limits::default() });
    let start = Instant::now();
    until_closed(&mut tcp(server.address));
    assert_about(start, SHORT);
}

#[test]
fn client_without_first_request_is_closed() {
    let server = Server::start(Limits { first_request_deadline: SHORT, ..Limits::default() });
    let start = Instant::now();
    server.connect().until_closed();
    assert_about(start, SHORT);
}

#[test]
fn slow_first_head_is_closed() {
    let server = Server::start(Limits { first_request_deadline: SHORT, ..Limits::default() });
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
    // Far longer than what has to happen within each, the sleep below included.
    let (first_request_deadline, idle_timeout) = (10 * SHORT, 20 * SHORT);
    let server =
        Server::start(Limits { first_request_deadline, idle_timeout, ..Limits::default() });
    let mut client = server.connect();
    let body = fixture("plain");
    assert_eq!(client.review(&body).status, 200);
    // Each answer starts the time anew, which is past the first request's deadline in the end.
    thread::sleep(4 * SHORT);
    let start = Instant::now();
    assert_eq!(client.review(&body).status, 200);
    client.until_closed();
    assert_about(start, idle_timeout);
}

#[test]
fn client_that_reads_no_responses_is_closed() {
    let server = Server::start(Limits {
        first_request_deadline: SHORT,
        idle_timeout: SHORT,
        ..Limits::default()
    });
    let mut client = server.connect();
    let mut request = head("/nowhere", "application/json", 0);
    request = request.repeat(100);
    // Until the answers fill every buffer on the way, and the requests do too.
    while client.try_send(&request).is_ok() {}
    eventually("closed", || server.metric("arc_rocm_connections") == 0);
}

#[test]
fn a_slow_body_gets_408() {
    let server = Server::start(Limits { body_deadline: SHORT, ..Limits::default() });
    let mut client = server.connect();
    client.send(&head("/mutate", "application/json", 100));
    client.send(b"{");
    let response = client.response();
    assert_eq!((response.status, response.closes()), (408, true));
    client.until_closed();
}

#[test]
fn connections_above_the_cap_get_one_response() {
    let server =
        Server::start(Limits { max_connections: 2, spare_connections: 1, ..Limits::default() });
    let body = fixture("plain");
    let mut regular = [server.connect(), server.connect()];
    for client in &mut regular {
        assert!(!client.review(&body).closes());
    }
    for _ in 0..3 {
        let mut spare = server.connect();
        let response = spare.review(&body);
        assert_eq!((response.status, response.closes()), (200, true));
        spare.until_closed();
    }
    assert_eq!(server.metric("arc_rocm_connections_over_cap_total"), 3);

    let [mut client, gone] = regular;
    drop(gone);
    eventually("a regular place again", || !server.connect().review(&body).closes());
    assert!(!client.review(&body).closes());
}

#[test]
fn client_without_a_slot_waits_for_one() {
    let server = Server::start(Limits {
        max_connections: 1,
        spare_connections: 0,
        // The first client's handshake is a real one.
        handshake_deadline: 3 * SHORT,
        first_request_deadline: SHORT,
        ..Limits::default()
    });
    let start = Instant::now();
    let mut first = server.connect();
    let mut waiting = tcp(server.address);
    first.until_closed();
    // Only now does its own handshake deadline start.
    until_closed(&mut waiting);
    assert_about(start, 4 * SHORT);
}

#[test]
fn request_beyond_memory_budget_is_shed_with_retry_after() {
    let server = Server::start(Limits { buffered_bodies: 20_000, ..Limits::default() });
    let body = vec![b' '; 19_000];
    // One request holds nearly all there is.
    let mut holder = server.connect();
    holder.send(&head("/mutate", "application/json", body.len() + 1));
    holder.send(&body);
    thread::sleep(Duration::from_millis(500));

    let mut client = server.connect();
    let (start, end) = body.split_at(9_000);
    client.send(&head("/mutate", "application/json", body.len()));
    client.send(start);
    thread::sleep(Duration::from_millis(20));
    client.send(end);
    let response = client.response();
    assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));
    assert!(!response.closes());
    assert_eq!(server.metric("arc_rocm_requests_shed_total"), 1);
    // A review that comes in one piece needs no memory of its own, and is answered even now.
    assert_eq!(client.review(&fixture("impostor")).status, 200);

    // The memory is given back.
    holder.send(b" ");
    assert_eq!(holder.response().status, 400);
    assert_eq!(client.review(&body).status, 400);
}

/// Large reviews under way, and the most that there were at a time.
static LARGE: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];
/// Held by the test: a large review waits for it.
static HELD: Mutex<()> = Mutex::new(());

#[test]
fn large_reviews_wait_for_each_other_and_small_ones_do_not() {
    let held = HELD.lock().unwrap();
    let server = Server::with_answerer(Limits::default(), |body, config| {
        if body.len() > limits::LARGE_BODY {
            let [now, most] = &LARGE;
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            drop(HELD.lock().unwrap());
            now.fetch_sub(1, Ordering::SeqCst);
        }
        admission::answer(body, config)
    });
    let small = fixture("plain");
    let mut large = small.clone();
    large.resize(limits::LARGE_BODY + 1, b' ');
    thread::scope(|scope| {
        let clients: Vec<_> = (0..4 * limits::LARGE_REVIEWS)
            .map(|_| scope.spawn(|| server.connect().review(&large).status))
            .collect();
        eventually("busy with large reviews", || {
            LARGE[0].load(Ordering::SeqCst) == limits::LARGE_REVIEWS
        });
        // More connections than the server has worker threads.
        for _ in 0..8 {
            assert_eq!(server.connect().review(&small).status, 200);
            assert_eq!(server.get("/livez").status, 200);
        }
        drop(held);
        for client in clients {
            assert_eq!(client.join().unwrap(), 200);
        }
    });
    assert_eq!(LARGE[1].load(Ordering::SeqCst), limits::LARGE_REVIEWS);
}
