//! Requests and their statuses.

use std::{collections::BTreeSet, fs, time::Duration};

use arc_rocm::server::{Limits, limits::BODY_LIMIT};
use rustls::ALL_VERSIONS;
use serde_json::{Value, json};

use crate::{
    client::{Client, Tls, head},
    server::{Server, eventually, fixture, fixtures},
};

#[test]
fn captured_reviews_are_answered_with_their_uid() {
    let server = Server::start(Limits::default());
    let mut client = server.connect();
    for path in fixtures() {
        let body = fs::read(&path).unwrap();
        let response = client.review(&body);
        assert_eq!(response.status, 200, "{}", path.display());
        assert_eq!(response.header("content-type"), Some("application/json"));
        assert!(!response.closes());
        let asked: Value = serde_json::from_slice(&body).unwrap();
        let answered: Value = serde_json::from_str(&response.body).unwrap();
        assert_eq!(answered["response"]["uid"], asked["request"]["uid"]);
        assert_eq!(answered["response"]["allowed"], true);
    }
}

#[test]
fn one_connection_serves_many_requests() {
    let server = Server::start(Limits::default());
    let mut client = server.connect();
    let body = fixture("plain");
    for _ in 0..200 {
        assert_eq!(client.review(&body).status, 200);
    }
    assert_eq!(server.metric("arc_rocm_connections"), 1);
    assert_eq!(server.metric("arc_rocm_admission_duration_seconds_count"), 200);
}

#[test]
fn chunked_review_is_answered() {
    let server = Server::start(Limits::default());
    let mut client = server.connect();
    client.send(&chunked_head());
    for piece in fixture("dind").chunks(1000) {
        client.send(format!("{:x}\r\n", piece.len()).as_bytes());
        client.send(piece);
        client.send(b"\r\n");
    }
    client.send(b"0\r\n\r\n");
    assert_eq!(client.response().status, 200);
}

#[test]
fn expect_100_continue_is_answered() {
    let server = Server::start(Limits::default());
    let mut client = server.connect();
    let body = fixture("plain");
    let asking = |length: usize| {
        let head = String::from_utf8(head("/mutate", "application/json", length)).unwrap();
        head.replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n")
    };
    client.send(asking(body.len()).as_bytes());
    assert_eq!(client.response().status, 100);
    client.send(&body);
    assert_eq!(client.response().status, 200);
    client.send(asking(1_000_000_000).as_bytes());
    assert_eq!(client.response().status, 413);
    client.until_closed();
}

#[test]
fn other_paths_and_methods_are_refused() {
    let server = Server::start(Limits::default());
    let mut client = server.connect();
    let (body, json) = (fixture("plain"), "application/json");
    for path in ["/", "/mutate/", "/validate"] {
        assert_eq!(server.connect().post(path, json, &body).status, 404, "{path}");
    }
    for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
        client.send(format!("{method} /mutate HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        let response = client.response();
        assert_eq!((response.status, response.header("allow")), (405, Some("POST")));
    }
    assert_eq!(client.post("/mutate", json, &body).status, 200);
    assert_eq!(server.metric(r#"arc_rocm_requests_refused_total{status="404"}"#), 3);
    assert_eq!(server.metric(r#"arc_rocm_requests_refused_total{status="405"}"#), 4);
}

#[test]
fn what_is_no_review_gets_400_and_a_reason() {
    let server = Server::start(Limits::default());
    let mut client = server.connect();
    let good = fixture("plain");
    let review = |text: &str| format!(r#"{{"apiVersion":"admission.k8s.io/v1",{text}}}"#);
    let bodies = [
        Vec::new(),
        b"null".to_vec(),
        b"not json".to_vec(),
        b"\xff\xfe".to_vec(),
        good[..good.len() / 2].to_vec(),
        review(r#""kind":"Pod""#).into_bytes(),
        review(r#""kind":"AdmissionReview""#).into_bytes(),
        review(r#""kind":"AdmissionReview","request":{}"#).into_bytes(),
        review(r#""kind":"AdmissionReview","request":{"uid":""}"#).into_bytes(),
    ];
    for body in &bodies {
        let response = client.review(body);
        assert_eq!(response.status, 400, "{}", String::from_utf8_lossy(body));
        assert!(!response.body.is_empty());
    }
    assert_eq!(client.review(&good).status, 200, "the connection lives");
}

/// A captured review with changes.
fn changed(name: &str, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut review: Value = serde_json::from_slice(&fixture(name)).unwrap();
    change(&mut review);
    serde_json::to_vec(&review).unwrap()
}

/// The `response` of the answer to a review.
fn answered(client: &mut Client<Tls>, review: &[u8]) -> Value {
    let response = client.review(review);
    assert_eq!(response.status, 200, "{}", response.body);
    let mut answer: Value = serde_json::from_str(&response.body).unwrap();
    assert_eq!(answer["response"]["allowed"], true);
    answer["response"].take()
}

#[test]
fn request_that_creates_no_pod_is_allowed_unchanged() {
    let server = Server::start(Limits::default());
    let mut client = server.connect();
    // The plain review comes first, so that memory has something to get wrong.
    assert!(answered(&mut client, &fixture("plain"))["patch"].is_string());
    let update = changed("plain", |review| {
        let request = &mut review["request"];
        request["operation"] = "UPDATE".into();
        request["oldObject"] = request["object"].clone();
    });
    let delete = changed("plain", |review| {
        let request = &mut review["request"];
        request["operation"] = "DELETE".into();
        request["oldObject"] = request["object"].take();
    });
    let delete_without = changed("plain", |review| {
        let request = review["request"].as_object_mut().unwrap();
        request.insert("operation".to_owned(), "DELETE".into());
        request.remove("object");
    });
    let connect = changed("plain", |review| {
        let request = &mut review["request"];
        request["operation"] = "CONNECT".into();
        request["subResource"] = "exec".into();
    });
    let binding = changed("plain", |review| review["request"]["subResource"] = "binding".into());
    let deployment = changed("plain", |review| {
        review["request"]["kind"] = json!({"group": "apps", "version": "v1", "kind": "Deployment"});
        review["request"]["object"]["kind"] = "Deployment".into();
    });
    let bare = changed("plain", |review| {
        review["request"].as_object_mut().unwrap().remove("object");
    });
    for (review, reason) in [
        (update, "not-a-create"),
        (delete, "not-a-create"),
        (delete_without, "not-a-create"),
        (connect, "not-a-create"),
        (binding, "not-a-create"),
        (deployment, "not-a-pod"),
        (bare, "not-a-pod"),
    ] {
        let response = answered(&mut client, &review);
        let annotations = json!({"outcome": "skipped", "reason": reason});
        assert_eq!(response["auditAnnotations"], annotations, "{}", text(&review));
        for absent in ["patch", "patchType", "warnings"] {
            assert!(response.get(absent).is_none(), "{absent}: {response}");
        }
    }
}

fn text(review: &[u8]) -> &str {
    std::str::from_utf8(review).unwrap()
}

#[test]
fn a_review_of_another_version_gets_400() {
    let server = Server::start(Limits::default());
    let mut client = server.connect();
    let old = changed("plain", |review| review["apiVersion"] = "admission.k8s.io/v1beta1".into());
    let response = client.review(&old);
    assert_eq!(response.status, 400);
    assert_eq!(
        response.body,
        "expected AdmissionReview of admission.k8s.io/v1, got \"AdmissionReview\" of \
         \"admission.k8s.io/v1beta1\""
    );
    assert!(answered(&mut client, &fixture("plain"))["patch"].is_string(), "the connection lives");
}

/// A pod that is yet to be named.
fn nameless(name: &str) -> Vec<u8> {
    changed(name, |review| {
        let request = review["request"].as_object_mut().unwrap();
        request.remove("name");
        let metadata = request["object"]["metadata"].as_object_mut().unwrap();
        metadata.remove("name");
        metadata.insert("generateName".to_owned(), "prefix-".into());
    })
}

#[test]
fn pod_with_generate_name_is_patched() {
    let server = Server::with_answerer(Limits::default(), |body, rules| {
        let answer = arc_rocm::admission::answer(body, rules)?;
        assert_eq!(answer.record.name, "prefix-*", "or else a 500");
        Ok(answer)
    });
    let mut client = server.connect();
    let impostor = answered(&mut client, &nameless("impostor"));
    assert_eq!(impostor["auditAnnotations"]["reason"], "no-owner");
    let warning = "arc-rocm: no EphemeralRunner owns the pod, so it gets nothing privileged";
    assert_eq!(impostor["warnings"], json!([warning]));
    assert!(impostor.get("patch").is_none());
    for _ in 0..2 {
        let runner = answered(&mut client, &nameless("plain"));
        assert_eq!(runner["auditAnnotations"]["outcome"], "patched");
        assert_eq!(runner["patchType"], "JSONPatch");
    }
}

#[test]
fn dry_run_gets_the_same_patch() {
    let server = Server::start(Limits::default());
    let mut client = server.connect();
    let dry = changed("plain", |review| review["request"]["dryRun"] = true.into());
    let real = changed("plain", |review| review["request"]["dryRun"] = false.into());
    let dry = answered(&mut client, &dry);
    assert!(dry["patch"].is_string());
    let patched =
        r#"arc_rocm_admissions_total{outcome="patched",profile="rocm",reason="injected"}"#;
    assert_eq!(server.metric(patched), 0, "a dry run is no runner");
    assert_eq!(dry, answered(&mut client, &real));
    assert_eq!(server.metric(patched), 1);
}

#[test]
fn a_body_that_ends_early_gets_400() {
    let server = Server::start(Limits::default());
    let mut client = server.connect();
    let body = fixture("plain");
    client.send(&head("/mutate", "application/json", body.len()));
    client.send(&body[..100]);
    client.half_close();
    assert_eq!(client.response().status, 400);
    client.until_closed();
}

#[test]
fn broken_http_is_refused_and_closed() {
    let server = Server::start(Limits::default());
    for broken in [
        "nonsense\r\n\r\n".to_owned(),
        "POST /mutate HTTP/1.1\r\nContent-Length: x\r\n\r\n".to_owned(),
        format!("POST /mutate HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(65)),
    ] {
        let mut client = server.connect();
        client.send(broken.as_bytes());
        let status = client.response().status;
        assert!([400, 431].contains(&status), "{status}");
        client.until_closed();
    }
}

#[test]
fn panic_fails_one_request_only() {
    let server = Server::with_answerer(Limits::default(), |body, rules| {
        assert!(body.len() > 10, "short bodies are made to panic");
        arc_rocm::admission::answer(body, rules)
    });
    let mut client = server.connect();
    let response = client.review(b"{}");
    assert_eq!((response.status, response.closes()), (500, false));
    assert_eq!(client.review(&fixture("plain")).status, 200);
    assert_eq!(server.metric("arc_rocm_panics_total"), 1);
}

/// A series that appears with its first count has not increased, so no alert would see it.
#[test]
fn every_refusal_has_a_series_from_the_start() {
    let server = Server::with_answerer(
        Limits { request_deadline: Duration::from_millis(300), ..Limits::default() },
        |body, config| {
            assert!(body.len() > 10, "short bodies are made to panic");
            arc_rocm::admission::answer(body, config)
        },
    );
    let refusals = || {
        let text = server.get("/metrics").body;
        let series =
            text.lines().filter(|line| line.starts_with("arc_rocm_requests_refused_total"));
        series.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect::<Vec<_>>()
    };
    let json = "application/json";
    let before = refusals();
    let slow = [head("/mutate", json, 100), b"{".to_vec()].concat();
    let requests = [
        (404, head("/nowhere", json, 0)),
        (405, b"GET /mutate HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()),
        (400, [head("/mutate", json, 12), b"[1, 2, 3, 4]".to_vec()].concat()),
        (413, head("/mutate", json, BODY_LIMIT + 1)),
        (500, [head("/mutate", json, 2), b"{}".to_vec()].concat()),
        (503, slow),
    ];
    for (status, request) in requests {
        let mut client = server.connect();
        client.send(&request);
        assert_eq!(client.response().status, status);
        let series = format!(r#"arc_rocm_requests_refused_total{{status="{status}"}}"#);
        assert_eq!(server.metric(&series), 1, "{status}");
    }
    let (before, after) = (BTreeSet::from_iter(before), BTreeSet::from_iter(refusals()));
    assert_eq!(before, after);
    assert_eq!(before.len(), 6);
}

#[test]
fn admin_port_serves_livez_readyz_and_metrics() {
    let server = Server::start(Limits::default());
    assert_eq!(server.get("/livez").status, 200);
    eventually("ready", || server.get("/readyz").status == 200);
    assert_eq!(server.get("/mutate").status, 404);
    server.connect().review(&fixture("plain"));
    let metrics = server.get("/metrics");
    assert!(metrics.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    for series in [
        "arc_rocm_build_info{version=",
        "arc_rocm_admissions_total{outcome=",
        r#"arc_rocm_admission_duration_seconds_bucket{le="0.0001"}"#,
        r#"arc_rocm_admission_duration_seconds_bucket{le="5.0"}"#,
        "arc_rocm_connections ",
        r#"arc_rocm_tls_reloads_total{result="replaced"} 0"#,
        "arc_rocm_profiles_loaded 0",
        "arc_rocm_panics_total 0",
    ] {
        assert!(metrics.body.contains(series), "no {series} in\n{}", metrics.body);
    }
    assert!(metrics.body.ends_with("# EOF\n"));
}

#[test]
fn only_http_1_1_is_spoken() {
    let server = Server::start(Limits::default());
    assert_eq!(server.connect().alpn(), Some(&b"http/1.1"[..]));
    assert!(Client::try_connect(server.address, &server.ca, ALL_VERSIONS, b"h2").is_err());
}

pub fn chunked_head() -> Vec<u8> {
    b"POST /mutate HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
      Transfer-Encoding: chunked\r\n\r\n"
        .to_vec()
}
