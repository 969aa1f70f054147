//! Stopping without losing a review.

use std::time::{Duration, Instant};

use arc_rocm::server::Limits;

use crate::{
    client::{Client, Tls, head},
    server::{Server, eventually, fixture},
};

/// A grace period that a test only waits for: a busy machine may lose all of it.
const GRACE: Duration = Duration::from_secs(1);
const HARD_STOP: Duration = Duration::from_millis(400);
/// Longer than any test.
const MINUTE: Duration = Duration::from_mins(1);

/// The limits of production, but for the end.
fn stops_after(shutdown_grace: Duration) -> Limits {
    Limits { shutdown_grace, hard_stop: HARD_STOP, ..Limits::default() }
}

/// Sends a request's head and waits until the server asks for the body: the request is in flight.
fn begin_request(client: &mut Client<Tls>, length: usize) {
    let head = String::from_utf8(head("/mutate", "application/json", length)).unwrap();
    client.send(head.replacen("\r\n", "\r\nExpect: 100-continue\r\n", 1).as_bytes());
    assert_eq!(client.response().status, 100);
}

#[test]
fn drain_is_unready_at_once_and_keeps_serving() {
    let mut server = Server::start(Limits { hard_stop: MINUTE, ..stops_after(MINUTE) });
    let body = fixture("plain");
    let mut old = server.connect();
    assert!(!old.review(&body).closes());

    server.shutdown.ask();
    // This waits less than the grace period.
    eventually("unready", || server.get("/readyz").status == 503);
    assert_eq!(server.get("/livez").status, 200);

    let response = old.review(&body);
    assert_eq!((response.status, response.closes()), (200, true));
    let response = server.connect().review(&body);
    assert_eq!((response.status, response.closes()), (200, true), "new connections are accepted");

    server.shutdown.ask();
    assert_eq!(server.join().abandoned, 0);
}

#[test]
fn drain_closes_idle_connections_after_the_grace() {
    let mut server = Server::start(Limits { hard_stop: MINUTE, ..stops_after(GRACE) });
    let mut idle = server.connect();
    assert!(!idle.review(&fixture("plain")).closes());
    let start = Instant::now();
    server.shutdown.ask();
    idle.until_closed();
    let took = start.elapsed();
    assert!(took >= GRACE, "{took:?}");
    assert_eq!(server.join().abandoned, 0);
    assert!(std::net::TcpStream::connect(server.address).is_err());
}

#[test]
fn drain_finishes_requests_in_flight() {
    let mut server = Server::start(Limits { hard_stop: MINUTE, ..stops_after(GRACE) });
    let body = fixture("plain");
    let mut client = server.connect();
    let (begin, end) = body.split_at(body.len() / 2);
    begin_request(&mut client, body.len());
    client.send(begin);
    server.shutdown.ask();
    eventually("closed", || std::net::TcpStream::connect(server.address).is_err());
    client.send(end);
    let response = client.response();
    assert_eq!((response.status, response.closes()), (200, true));
    client.until_closed();
    assert_eq!(server.join().abandoned, 0);
}

#[test]
fn hard_stop_abandons_stuck_requests() {
    let mut server = Server::start(Limits { request_deadline: MINUTE, ..stops_after(GRACE) });
    let mut client = server.connect();
    begin_request(&mut client, 100);
    client.send(b"{");
    let start = Instant::now();
    server.shutdown.ask();
    assert_eq!(server.join().abandoned, 1);
    assert!(start.elapsed() >= GRACE + HARD_STOP);
    client.until_closed();
}

#[test]
fn repeated_shutdown_skips_grace_and_wait() {
    let limits = Limits { request_deadline: MINUTE, hard_stop: MINUTE, ..stops_after(MINUTE) };
    let mut server = Server::start(limits);
    let mut client = server.connect();
    begin_request(&mut client, 100);
    client.send(b"{");
    let start = Instant::now();
    for _ in 0..3 {
        server.shutdown.ask();
    }
    assert_eq!(server.join().abandoned, 1);
    assert!(start.elapsed() < Duration::from_secs(5));
}
