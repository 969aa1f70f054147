//! The main job from end to end on one machine. The webhook serves HTTPS with the built-in profile,
//! and the example posts the review of each pod to it, as the API server does. The reviews were
//! captured from a real API server and ARC 0.14.2 (tests/fixtures/arc).
//!
//! `cargo run --example main_job`

#![expect(clippy::print_stdout, reason = "an example prints its result")]

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::Arc,
};

use anyhow::{Context as _, ensure};
use arc_rocm::{
    certs::{self, Issued},
    inject::Config,
    server::{self, Limits, PATH, Service, Shutdown},
    telemetry::Metrics,
    tls::{self, Identity, Pair},
};
use axum::Router;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto::aws_lc_rs::default_provider,
};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use serde_json::Value;

/// The pod whose change is printed in full.
const SHOWN: &str = "plain";

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let _inside = runtime.enter();
    let (address, ca) = serve()?;
    println!("serving https://{address}{PATH} with the built-in profile\n");
    let tls = client(&ca)?;

    let mut shown = String::new();
    for (name, review) in captured()? {
        let answer = post(address, &tls, &review)?;
        let review: Value = serde_json::from_slice(&review)?;
        let response = answer.get("response").context("no response")?;
        ensure!(response.get("uid") == review.pointer("/request/uid"), "another uid");
        let annotation = |key: &str| {
            let value = response.get("auditAnnotations").and_then(|all| all.get(key));
            value.and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let mut pod = review.pointer("/request/object").context("no pod")?.clone();
        let before = serde_saphyr::to_string(&without_managed_fields(&pod))?;
        let mut operations = 0;
        if let Some(patch) = response.get("patch").and_then(Value::as_str) {
            let patch: json_patch::Patch = serde_json::from_slice(&BASE64_STANDARD.decode(patch)?)?;
            operations = patch.0.len();
            json_patch::patch(&mut pod, &patch)?;
        }
        println!(
            "{name:<24} {:<9} {:>2} operations  {} {}",
            annotation("outcome"),
            operations,
            annotation("profile"),
            annotation("reason")
        );
        if name == SHOWN {
            let after = serde_saphyr::to_string(&without_managed_fields(&pod))?;
            shown = similar::TextDiff::from_lines(&before, &after)
                .unified_diff()
                .context_radius(2)
                .header("the pod that ARC creates", "the pod that runs")
                .to_string();
        }
    }
    println!("\n{shown}");
    Ok(())
}

/// The captured reviews, by name.
fn captured() -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let mut reviews = Vec::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/arc"))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(name) = name.strip_suffix(".review.json") {
            reviews.push((name.to_owned(), fs::read(&path)?));
        }
    }
    reviews.sort();
    Ok(reviews)
}

/// Starts the webhook on a free port, with its own CA.
fn serve() -> anyhow::Result<(SocketAddr, String)> {
    let Issued { ca, certificate, key } = certs::issue(&[], 1)?;
    let identity = Identity::new(&Pair::from_pem(certificate.as_bytes(), key.as_bytes())?);
    let config = tls::server_config(Arc::new(identity))?;
    let service = Arc::new(Service::new(Config::default(), Metrics::default(), Limits::default()));
    let listener = server::listen(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let router = server::router(&service, Router::default());
    let server = server::spawn(listener, config, router, service, Shutdown::new())?;
    Ok((server.local_addr(), ca))
}

fn client(ca: &str) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes())?)?;
    Ok(Arc::new(
        ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth(),
    ))
}

/// Posts a review over TLS and returns the answer.
fn post(address: SocketAddr, tls: &Arc<ClientConfig>, review: &[u8]) -> anyhow::Result<Value> {
    let connection = ClientConnection::new(Arc::clone(tls), ServerName::try_from("localhost")?)?;
    let mut stream = StreamOwned::new(connection, TcpStream::connect(address)?);
    write!(
        stream,
        "POST {PATH}?timeout=5s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        review.len()
    )?;
    stream.write_all(review)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let text = std::str::from_utf8(&answer)?;
    let (head, body) = text.split_once("\r\n\r\n").context("no answer")?;
    ensure!(head.starts_with("HTTP/1.1 200"), "{head}");
    Ok(serde_json::from_str(body)?)
}

/// A pod without `managedFields`, which would hide the change.
fn without_managed_fields(pod: &Value) -> Value {
    let mut pod = pod.clone();
    if let Some(Value::Object(metadata)) = pod.get_mut("metadata") {
        metadata.remove("managedFields");
    }
    pod
}
