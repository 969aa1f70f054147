//! Reviews of RunnerProfiles over HTTP.

use std::{thread, time::Duration};

use arc_rocm::{
    admission::ProfileRequest,
    server::{Limits, Unvalidated, VALIDATE_PATH, ValidateHook},
};
use serde_json::{Value, json};

use crate::{
    client::head,
    server::{Server, fixture},
};

const JSON: &str = "application/json";

/// A review of the creation of a profile.
fn review(spec: &Value) -> Vec<u8> {
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "1",
            "kind": {"group": "arc-rocm.dev", "version": "v1alpha1", "kind": "RunnerProfile"},
            "operation": "CREATE",
            "name": "fleet",
            "object": {"metadata": {"name": "fleet"}, "spec": spec},
        },
    });
    review.to_string().into_bytes()
}

/// Checks each profile by itself.
fn hook() -> ValidateHook {
    Box::new(|body| {
        Box::pin(async move {
            let request = ProfileRequest::read(&body).map_err(Unvalidated::Unreadable)?;
            Ok(request.answer(&request.decide(&[], &[])))
        })
    })
}

#[test]
fn validate_answers_with_every_problem() {
    let server = Server::start(Limits::default());
    server.service.validate_by(hook());
    let mut client = server.connect();
    let good = client.post(VALIDATE_PATH, JSON, &review(&json!({"extends": "rocm"})));
    assert_eq!((good.status, good.header("content-type")), (200, Some(JSON)));
    assert_eq!(good.body.parse::<Value>().unwrap()["response"]["allowed"], true);
    let bad = client.post(VALIDATE_PATH, JSON, &review(&json!({"gpus": 1, "group": []})));
    let answer: Value = bad.body.parse().unwrap();
    assert_eq!((bad.status, &answer["response"]["status"]["code"]), (200, &json!(422)));
    let causes = answer["response"]["status"]["details"]["causes"].as_array().unwrap();
    assert_eq!(causes.len(), 2, "{causes:?}");
    assert_eq!(client.review(&fixture("plain")).status, 200);
    assert_eq!(client.post(VALIDATE_PATH, JSON, b"{}").status, 400);
    assert_eq!(client.post(VALIDATE_PATH, "text/plain", b"{}").status, 415);
}

#[test]
fn validate_is_absent_where_no_objects_are_watched() {
    let server = Server::start(Limits::default());
    let response = server.connect().post(VALIDATE_PATH, JSON, &review(&json!({})));
    assert_eq!(response.status, 404);
}

#[test]
fn validate_before_the_objects_are_read_is_retriable() {
    let server = Server::start(Limits::default());
    server.service.validate_by(Box::new(|_| Box::pin(async { Err(Unvalidated::NotReady) })));
    let mut client = server.connect();
    let response = client.post(VALIDATE_PATH, JSON, &review(&json!({})));
    assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));
    assert_eq!(client.review(&fixture("plain")).status, 200);
}

/// Clients that never send their bodies hold both turns; pods do not wait for them.
#[test]
fn validate_that_hangs_delays_no_pod() {
    let server = Server::start(Limits::default());
    server.service.validate_by(hook());
    let mut silent: Vec<_> = (0..2).map(|_| server.connect()).collect();
    for client in &mut silent {
        client.send(&head(VALIDATE_PATH, JSON, 10));
    }
    // Until both have their turn, the third review may get one.
    let mut third = server.connect();
    let body = review(&json!({}));
    let is_busy = || third.post(VALIDATE_PATH, JSON, &body).status == 503;
    let mut tries = std::iter::repeat_with(is_busy).take(20);
    assert!(tries.any(|is_busy| is_busy || {
        thread::sleep(Duration::from_millis(50));
        false
    }));
    assert_eq!(server.connect().review(&fixture("plain")).status, 200);
}
