//! Client authentication: `--client-ca` and `--client-name`.

use std::{fs, io, path::PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::{
    SupportedProtocolVersion,
    version::{TLS12, TLS13},
};

use crate::{
    client::{Client, Shown, Tls},
    process::{Serving, exit, serve_in, signal},
    server::{eventually, fixture, swap},
};

/// A CA for client certificates.
struct ClientCa {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl ClientCa {
    fn new() -> Self {
        Self::until(4000)
    }

    /// A CA whose certificate expires at the start of `year`.
    fn until(year: i32) -> Self {
        let mut params = CertificateParams::default();
        params.not_after = date_time_ymd(year, 1, 1);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A client's certificate with this common name.
    fn client(&self, name: &str) -> Shown {
        self.signed(name, |_| ())
    }

    /// A client's certificate with a change.
    fn signed(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Shown {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Shown { certificate, key: key.serialize_pem() }
    }
}

/// A server that accepts the clients of one CA.
struct AuthServer {
    directory: tempfile::TempDir,
    serving: Serving,
    ca: String,
}

impl AuthServer {
    fn serve(ca: &ClientCa, more: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name| directory.path().join(name).display().to_string();
        fs::write(path("clients.crt"), &ca.pem).unwrap();
        let (own, clients) = (path("ca.crt"), path("clients.crt"));
        let arguments = ["--ca-out", &own, "--client-ca", &clients, "--tls-poll", "20ms"];
        let more = [more, &["--shutdown-grace", "0s"]].concat();
        let serving = serve_in(&[], &[&arguments[..], &more].concat());
        let ca = fs::read_to_string(own).unwrap();
        Self { directory, serving, ca }
    }

    fn clients_ca(&self) -> PathBuf {
        self.directory.path().join("clients.crt")
    }

    fn swap(&self, text: &str) {
        swap(self.directory.path(), "clients.crt", text);
    }

    fn connect(
        &self,
        version: &'static SupportedProtocolVersion,
        shown: Option<&Shown>,
    ) -> io::Result<Client<Tls>> {
        Client::connect_as(self.serving.address, &self.ca, version, shown)
    }

    fn answers(&self, version: &'static SupportedProtocolVersion, shown: Option<&Shown>) -> bool {
        let answer = self
            .connect(version, shown)
            .and_then(|mut client| client.try_review(&fixture("plain")));
        match answer {
            Ok(answer) => answer.status == 200,
            Err(error) => {
                assert_ne!(error.kind(), io::ErrorKind::WouldBlock, "neither refused nor answered");
                false
            }
        }
    }

    /// The reason of the next refusal in the log.
    fn refused_for(&mut self) -> String {
        let line = self.serving.log.find(|line| line["message"] == "client refused").unwrap();
        assert_eq!(line["level"], "WARN");
        assert!(line["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
        line["error"].as_str().unwrap().to_owned()
    }

    fn has_metric(&self, line: &str) -> bool {
        Client::get(self.serving.admin, "/metrics").body.lines().any(|there| there == line)
    }

    fn ends_well(self) {
        signal(&self.serving.child, "TERM");
        assert_eq!(exit(self.serving.child).code(), Some(0));
    }
}

#[test]
fn client_auth_accepts_only_certificates_of_the_ca() {
    let (known, foreign) = (ClientCa::new(), ClientCa::new());
    let mut server = AuthServer::serve(&known, &[]);
    let server_auth = ExtendedKeyUsagePurpose::ServerAuth;
    let good = known.client("client");
    let refused = [
        (None, "it sent no certificate"),
        (Some(foreign.client("client")), "no CA of --client-ca signed"),
        (
            Some(known.signed("server", |params| params.extended_key_usages = vec![server_auth])),
            "does not allow extended key usage",
        ),
        (
            Some(known.signed("old", |params| params.not_after = date_time_ymd(2020, 1, 1))),
            "certificate expired",
        ),
        (
            Some(Shown { key: known.client("thief").key, ..known.client("client") }),
            "does not have the key",
        ),
    ];
    for version in [&TLS12, &TLS13] {
        assert!(server.answers(version, Some(&good)));
        for (shown, why) in &refused {
            assert!(!server.answers(version, shown.as_ref()), "{why}");
            // A repeated reason is not logged so soon.
            if *version == TLS12 {
                let reason = server.refused_for();
                assert!(reason.contains(why), "{reason}");
            }
        }
    }
    // The client may see the refusal before it is counted.
    eventually("ten refused", || server.has_metric("arc_rocm_callers_refused_total 10"));
    assert_eq!(Client::get(server.serving.admin, "/readyz").status, 200, "probes need none");
    server.ends_well();
}

#[test]
fn client_auth_refuses_certificates_of_an_expired_ca() {
    let (ended, other) = (ClientCa::until(2020), ClientCa::new());
    let mut server = AuthServer::serve(&ended, &[]);
    assert!(!server.answers(&TLS13, Some(&ended.client("a"))));
    assert_eq!(server.refused_for(), "no CA of --client-ca is valid now, replace the file");
    server.swap(&format!("{}{}", ended.pem, other.pem));
    eventually("replaced", || server.answers(&TLS13, Some(&other.client("a"))));
    assert!(!server.answers(&TLS13, Some(&ended.client("a"))));
    server.ends_well();
}

#[test]
fn client_auth_refuses_other_names() {
    let known = ClientCa::new();
    let flags = ["--client-name", "kube-apiserver", "--client-name", "api.example"];
    let mut server = AuthServer::serve(&known, &flags);
    let named = |name: &str| {
        let name = name.try_into().unwrap();
        known.signed("any", |params| params.subject_alt_names = vec![rcgen::SanType::DnsName(name)])
    };
    assert!(server.answers(&TLS13, Some(&known.client("kube-apiserver"))));
    assert!(server.answers(&TLS13, Some(&named("api.example"))));
    for other in [known.client("kubelet"), named("other.example"), named("sub.api.example")] {
        assert!(!server.answers(&TLS13, Some(&other)));
        let reason = server.refused_for();
        assert!(reason.ends_with("which is no --client-name"), "{reason}");
    }
    assert!(server.has_metric("arc_rocm_callers_refused_total 3"));
    server.ends_well();
}

#[test]
fn client_ca_reload_applies_to_new_handshakes() {
    let (old, new) = (ClientCa::new(), ClientCa::new());
    let server = AuthServer::serve(&old, &[]);
    let (of_old, of_new) = (old.client("a"), new.client("a"));
    let mut open = server.connect(&TLS13, Some(&of_old)).unwrap();
    assert_eq!(open.review(&fixture("plain")).status, 200);
    let reloads = |result: &str, count: u32| {
        let line = format!("arc_rocm_tls_reloads_total{{result=\"{result}\"}} {count}");
        eventually(&line, || server.has_metric(&line));
    };

    server.swap("no certificate\n");
    reloads("rejected", 1);
    server.swap(&of_old.certificate);
    reloads("rejected", 2);
    fs::remove_file(server.clients_ca()).unwrap();
    reloads("rejected", 3);
    assert!(server.answers(&TLS13, Some(&of_old)) && !server.answers(&TLS13, Some(&of_new)));
    server.swap(&format!("{}{}", old.pem, new.pem));
    reloads("replaced", 1);
    assert!(server.answers(&TLS13, Some(&of_old)) && server.answers(&TLS13, Some(&of_new)));
    server.swap(&new.pem);
    reloads("replaced", 2);
    assert!(!server.answers(&TLS13, Some(&of_old)) && server.answers(&TLS13, Some(&of_new)));
    assert_eq!(open.review(&fixture("plain")).status, 200, "the old connection lives");
    server.ends_well();
}
