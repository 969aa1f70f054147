//! Stopping without losing a review.

use std::time::{Duration, Instant};

use arc_rocm::server::Limits;

use crate::{
    client::head,
    server::{Server, fixture, quick},
};

#[test]
fn a_draining_server_is_unready_at_once_and_serves_on() {
    let mut server = Server::start(Limits { idle_timeout: Duration::from_secs(5), ..quick() });
    let body = fixture("plain");
    let mut old = server.connect();
    let mut idle = server.connect();
    assert!(!old.review(&body).closes());
    assert!(!idle.review(&body).closes());

    let start = Instant::now();
    server.shutdown.ask();
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(server.get("/readyz").status, 503);
    assert_eq!(server.get("/livez").status, 200);

    let response = old.review(&body);
    assert_eq!((response.status, response.closes()), (200, true));
    let response = server.connect().review(&body);
    assert_eq!((response.status, response.closes()), (200, true), "new ones are accepted");

    idle.until_closed();
    let took = start.elapsed();
    assert!(took >= quick().shutdown_grace, "idle ones live through the grace: {took:?}");
    assert_eq!(server.join().abandoned, 0);
    assert!(std::net::TcpStream::connect(server.address).is_err());
}

#[test]
fn a_request_in_flight_at_the_end_is_finished() {
    let mut server = Server::start(Limits {
        body_deadline: Duration::from_secs(5),
        hard_stop: Duration::from_secs(5),
        ..quick()
    });
    let body = fixture("plain");
    let mut client = server.connect();
    let (begin, end) = body.split_at(body.len() / 2);
    client.send(&head("/mutate", "application/json", body.len()));
    client.send(begin);
    std::thread::sleep(Duration::from_millis(50));
    server.shutdown.ask();
    std::thread::sleep(quick().shutdown_grace + Duration::from_millis(100));
    assert!(std::net::TcpStream::connect(server.address).is_err(), "nothing new is accepted");
    client.send(end);
    let response = client.response();
    assert_eq!((response.status, response.closes()), (200, true));
    client.until_closed();
    assert_eq!(server.join().abandoned, 0);
}

#[test]
fn the_hard_stop_ends_what_does_not_end() {
    let mut server = Server::start(Limits { body_deadline: Duration::from_mins(1), ..quick() });
    let mut client = server.connect();
    client.send(&head("/mutate", "application/json", 100));
    client.send(b"{");
    std::thread::sleep(Duration::from_millis(50));
    let start = Instant::now();
    server.shutdown.ask();
    assert_eq!(server.join().abandoned, 1);
    assert!(start.elapsed() >= quick().shutdown_grace + quick().hard_stop);
    client.until_closed();
}

#[test]
fn asking_again_skips_the_grace_and_then_the_wait() {
    let minute = Duration::from_mins(1);
    let limits =
        Limits { body_deadline: minute, shutdown_grace: minute, hard_stop: minute, ..quick() };
    let mut server = Server::start(limits);
    let mut client = server.connect();
    client.send(&head("/mutate", "application/json", 100));
    client.send(b"{");
    std::thread::sleep(Duration::from_millis(50));
    let start = Instant::now();
    for _ in 0..3 {
        server.shutdown.ask();
    }
    assert_eq!(server.join().abandoned, 1);
    assert!(start.elapsed() < Duration::from_secs(5));
}
