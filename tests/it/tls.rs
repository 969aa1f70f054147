//! Certificates: issued, served, replaced.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command, time::Duration};

use arc_rocm::{
    certs::{self, Issued},
    server::Limits,
    tls::{self, Files, Pair},
};
use rustls::{
    ALL_VERSIONS, HandshakeKind,
    version::{TLS12, TLS13},
};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use x509_parser::prelude::*;

use crate::{
    client::Client,
    server::{Server, eventually, fixture},
};

const POLL: Duration = Duration::from_millis(20);
const REPLACED: &str = r#"arc_rocm_tls_reloads_total{result="replaced"}"#;
const REJECTED: &str = r#"arc_rocm_tls_reloads_total{result="rejected"}"#;

/// Writes a Secret's files the way the kubelet does.
pub fn mount(directory: &Path, version: &str, certificate: &str, key: &str) {
    let data = directory.join(version);
    fs::create_dir(&data).unwrap();
    fs::write(data.join("tls.crt"), certificate).unwrap();
    fs::write(data.join("tls.key"), key).unwrap();
    let fresh = directory.join("..data_tmp");
    symlink(version, &fresh).unwrap();
    fs::rename(fresh, directory.join("..data")).unwrap();
    for file in ["tls.crt", "tls.key"] {
        let _ = symlink(Path::new("..data").join(file), directory.join(file));
    }
}

fn files(directory: &Path) -> Files {
    Files::new(directory.join("tls.crt"), directory.join("tls.key"))
}

pub fn issue() -> Issued {
    certs::issue(&[], 1).unwrap()
}

#[test]
fn tls_reload_applies_to_new_handshakes() {
    let server = Server::start(Limits::default());
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = (issue(), certs::issue(&[], 2).unwrap());
    mount(directory.path(), "..1", &old.certificate, &old.key);
    server.watch(files(directory.path()), POLL);
    let body = fixture("plain");
    let mut client = Client::connect(server.address, &old.ca);
    let first = client.certificate();
    assert_eq!(client.review(&body).status, 200);

    mount(directory.path(), "..2", &new.certificate, &new.key);
    eventually("replaced", || server.metric(REPLACED) == 1);

    let mut fresh = Client::connect(server.address, &new.ca);
    assert_eq!(fresh.handshake_kind(), Some(HandshakeKind::Full));
    assert_ne!(fresh.certificate(), first);
    assert_eq!(fresh.review(&body).status, 200);
    assert_eq!(client.review(&body).status, 200, "the old connection lives");
    assert!(Client::try_connect(server.address, &old.ca, ALL_VERSIONS, b"http/1.1").is_err());

    let not_after = tls::validity(&fresh.certificate()).unwrap().not_after;
    let series = r#"arc_rocm_tls_certificate_not_after_timestamp_seconds{certificate="leaf"}"#;
    assert_eq!(server.metric(series), u64::try_from(not_after).unwrap());
    std::thread::sleep(5 * POLL);
    assert_eq!(server.metric(REPLACED), 1, "the same bytes are no change");
}

#[test]
fn tls_bad_pair_keeps_the_old_and_is_counted_once() {
    let server = Server::start(Limits::default());
    let directory = tempfile::tempdir().unwrap();
    let (old, other) = (issue(), issue());
    mount(directory.path(), "..1", &old.certificate, &old.key);
    server.watch(files(directory.path()), POLL);

    mount(directory.path(), "..2", &other.certificate, &old.key);
    eventually("rejected", || server.metric(REJECTED) == 1);
    std::thread::sleep(5 * POLL);
    assert_eq!(server.metric(REJECTED), 1);
    Client::connect(server.address, &old.ca);

    fs::remove_file(directory.path().join("..data")).unwrap();
    eventually("rejected again", || server.metric(REJECTED) == 2);
    std::thread::sleep(5 * POLL);
    assert_eq!(server.metric(REJECTED), 2);
    Client::connect(server.address, &old.ca);

    mount(directory.path(), "..3", &other.certificate, &other.key);
    eventually("replaced", || server.metric(REPLACED) == 1);
    Client::connect(server.address, &other.ca);
}

/// A pair whose certificate ended long ago.
fn ended() -> Issued {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    let certificate = params.self_signed(&key).unwrap().pem();
    Issued { ca: certificate.clone(), certificate, key: key.serialize_pem() }
}

#[test]
fn tls_ended_pair_does_not_replace_a_good_one() {
    let server = Server::start(Limits::default());
    let directory = tempfile::tempdir().unwrap();
    let (old, new, ended) = (issue(), issue(), ended());
    mount(directory.path(), "..1", &old.certificate, &old.key);
    server.watch(files(directory.path()), POLL);

    mount(directory.path(), "..2", &ended.certificate, &ended.key);
    eventually("rejected", || server.metric(REJECTED) == 1);
    Client::connect(server.address, &old.ca);

    mount(directory.path(), "..3", &new.certificate, &new.key);
    eventually("replaced", || server.metric(REPLACED) == 1);
    Client::connect(server.address, &new.ca);
}

#[test]
fn tls_file_that_is_no_regular_file_stops_nothing() {
    let server = Server::start(Limits::default());
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = (issue(), issue());
    mount(directory.path(), "..1", &old.certificate, &old.key);
    server.watch(files(directory.path()), POLL);

    // Opening it would wait for a writer that never comes.
    let fifo = directory.path().join("..data/fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    fs::rename(fifo, directory.path().join("..data/tls.crt")).unwrap();
    eventually("rejected", || server.metric(REJECTED) == 1);

    mount(directory.path(), "..2", &new.certificate, &new.key);
    eventually("replaced", || server.metric(REPLACED) == 1);
    Client::connect(server.address, &new.ca);
}

#[test]
fn tls_1_2_and_1_3_are_supported() {
    let server = Server::start(Limits::default());
    for version in [&TLS12, &TLS13] {
        let mut client =
            Client::try_connect(server.address, &server.ca, &[version], b"http/1.1").unwrap();
        assert_eq!(client.review(&fixture("plain")).status, 200);
    }
}

#[test]
fn tls_unusable_pair_has_a_reason() {
    let (one, other) = (issue(), issue());
    let why = |certificate: &str, key: &str| {
        Pair::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap_err().to_string()
    };
    assert_eq!(why("", &one.key), "the certificate file has no CERTIFICATE");
    assert_eq!(why(&one.certificate, ""), "cannot read the private key");
    assert_eq!(
        why(&one.certificate, &other.key),
        "the certificate and the key do not match, or the kind of key is not supported"
    );
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert_eq!(why(garbage, &one.key), "the certificate is not X.509");
}

#[test]
fn issued_certificate_is_for_servers_only() {
    let issued = certs::issue(&["ci.example".to_owned(), "192.0.2.7".to_owned()], 30).unwrap();
    let ca = CertificateDer::from_pem_slice(issued.ca.as_bytes()).unwrap();
    let leaf = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap();
    let (_, ca) = parse_x509_certificate(&ca).unwrap();
    let (_, leaf) = parse_x509_certificate(&leaf).unwrap();

    let basic = ca.basic_constraints().unwrap().unwrap().value;
    assert_eq!((basic.ca, basic.path_len_constraint), (true, Some(0)));
    assert!(!leaf.is_ca());
    let usage = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.server_auth && !usage.client_auth && !usage.any);
    let names = &leaf.subject_alternative_name().unwrap().unwrap().value.general_names;
    for wanted in ["arc-rocm.arc-rocm.svc", "localhost", "ci.example"] {
        assert!(names.contains(&GeneralName::DNSName(wanted)), "{wanted}");
    }
    for wanted in
        [&[127, 0, 0, 1][..], &[192, 0, 2, 7], &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]]
    {
        assert!(names.contains(&GeneralName::IPAddress(wanted)), "{wanted:?}");
    }
    assert!(leaf.iter_extensions().any(|extension| {
        matches!(extension.parsed_extension(), ParsedExtension::AuthorityKeyIdentifier(_))
    }));
    let validity = leaf.validity();
    let days = (validity.not_after.timestamp() - validity.not_before.timestamp()) / 86_400;
    assert_eq!(days, 30);
    assert!(certs::issue(&["no spaces\u{e9}".to_owned()], 1).is_err());
}
