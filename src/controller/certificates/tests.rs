use base64::{Engine as _, prelude::BASE64_STANDARD};
use rustls_pki_types::CertificateDer;
use serde_json::{Value, json};

use super::{
    testing::{ApiServer, Objects, PATIENCE, registration},
    *,
};
use crate::{
    certs::{CA_CERTIFICATE, Issued, certificates, issue},
    inject::Config,
    server::{Gate, Limits},
    telemetry::Metrics,
    tls::{self, Pair},
};

const POLICY: Policy = Policy {
    ca: Duration::from_hours(900),
    leaf: Duration::from_hours(90),
    settle: Duration::from_millis(100),
    jitter: 0,
};

/// A manager at work.
struct Running {
    identity: Arc<Identity>,
    service: Arc<Service>,
    shutdown: Shutdown,
    task: tokio::task::JoinHandle<()>,
}

/// A service whose only closed gates are those of these tests.
fn service() -> Arc<Service> {
    let service = Service::new(Config::default(), Metrics::default(), Limits::default());
    service.gates().open(Gate::Serving);
    Arc::new(service)
}

fn manager(api: &ApiServer) -> (CertManager, oneshot::Receiver<Arc<Identity>>) {
    let names = Names::new(&[]).unwrap();
    let secret = ("arc-rocm", "arc-rocm-tls");
    CertManager::new(&api.client(), secret, "arc-rocm", true, POLICY, names, service())
}

/// Starts a manager and waits for its first certificate.
async fn started(api: &ApiServer) -> Running {
    let (manager, first) = manager(api);
    let (service, shutdown) = (Arc::clone(&manager.service), Shutdown::new());
    let task = tokio::spawn(manager.run(shutdown.clone()));
    let identity = time::timeout(PATIENCE, first).await.unwrap().unwrap();
    Running { identity, service, shutdown, task }
}

/// The `caBundle` of a registration.
fn bundle(registration: Option<&Value>) -> Vec<CertificateDer<'static>> {
    let bundle = registration.unwrap()["webhooks"][0]["clientConfig"]["caBundle"].as_str();
    let bundle = bundle.map(|text| BASE64_STANDARD.decode(text).unwrap());
    certificates(&String::from_utf8(bundle.unwrap_or_default()).unwrap())
}

fn set_bundle(registration: &mut Option<Value>, ca: &str) {
    let bundle = json!(k8s_openapi::ByteString(ca.as_bytes().to_vec()));
    registration.as_mut().unwrap()["webhooks"][0]["clientConfig"]["caBundle"] = bundle;
}

fn secret_cas(objects: &Objects) -> Vec<CertificateDer<'static>> {
    let secret = objects.secret.as_ref().map(|secret| secret["data"][CA_CERTIFICATE].clone());
    let pem = secret.map(|ca| BASE64_STANDARD.decode(ca.as_str().unwrap()).unwrap());
    certificates(&String::from_utf8(pem.unwrap_or_default()).unwrap())
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let seen = async {
        while !is_so() {
            time::sleep(Duration::from_millis(5)).await;
        }
    };
    time::timeout(PATIENCE, seen).await.unwrap_or_else(|_| panic!("never {what}"));
}

fn is_signed(identity: &Identity, ca: &CertificateDer<'static>) -> bool {
    tls::verify(&identity.chain(), std::slice::from_ref(ca), certs::now()).is_ok()
}

#[tokio::test]
async fn replicas_share_one_ca() {
    let api = ApiServer::new();
    let (one, two) = tokio::join!(started(&api), started(&api));
    let cas = secret_cas(&api.objects());
    assert_eq!((cas.len(), bundle(api.objects().configuration.as_ref())), (1, cas.clone()));
    until("the certificate of the Secret", || one.identity.chain() == two.identity.chain()).await;
    assert!(is_signed(&one.identity, &cas[0]));
    until("ready", || one.service.gates().closed().is_none()).await;
}

/// "A key that leaked" of docs/certificates.md: no step leaves a served certificate without its CA.
#[tokio::test]
async fn deleted_secret_gets_a_new_ca_that_is_served_once_settled() {
    let api = ApiServer::new();
    let running = started(&api).await;
    let old = secret_cas(&api.objects())[0].clone();
    api.change(|objects| objects.secret = None);
    let both = |objects: &Objects| bundle(objects.configuration.as_ref()).len() == 2;
    api.until("both CAs in the caBundle", both).await;
    let new = secret_cas(&api.objects());
    assert_eq!(bundle(api.objects().configuration.as_ref()), [new[0].clone(), old.clone()]);
    assert!(is_signed(&running.identity, &old), "served before the CA has settled");
    until("the new certificate", || is_signed(&running.identity, &new[0])).await;

    assert_eq!(new.len(), 1);
    let pem = certs::pem(&new);
    api.change(|objects| set_bundle(&mut objects.configuration, &pem));
    time::sleep(GATHER * 5).await;
    assert_eq!(bundle(api.objects().configuration.as_ref()), new);
    assert_eq!(running.service.gates().closed(), None);
}

/// Otherwise a draining replica would restore a leaked CA that was just deleted.
#[tokio::test]
async fn manager_asked_to_stop_writes_nothing() {
    let api = ApiServer::new();
    let running = started(&api).await;
    running.shutdown.ask();
    time::timeout(PATIENCE, running.task).await.unwrap().unwrap();
    api.change(|objects| objects.secret = None);
    time::sleep(GATHER * 5).await;
    assert_eq!(api.objects().secret, None);
}

#[tokio::test]
async fn manager_asked_to_stop_before_first_certificate_closes_the_channel() {
    let api = ApiServer::new();
    api.change(|objects| objects.configuration = None);
    let (manager, first) = manager(&api);
    let shutdown = Shutdown::new();
    let task = tokio::spawn(manager.run(shutdown.clone()));
    api.until("a Secret", |objects| objects.secret.is_some()).await;
    shutdown.ask();
    time::timeout(PATIENCE, task).await.unwrap().unwrap();
    first.await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn wiped_bundle_of_either_registration_is_restored() {
    let api = ApiServer::new();
    // The certificate does not wait for the registration for RunnerProfiles.
    let _running = started(&api).await;
    let own = secret_cas(&api.objects());
    api.change(|objects| objects.validating = Some(registration("ValidatingWebhookConfiguration")));
    let is_right = |objects: &Objects| {
        [&objects.configuration, &objects.validating].iter().all(|one| bundle(one.as_ref()) == own)
    };
    api.until("the bundle in both registrations", is_right).await;
    for which in 0..2 {
        api.change(|objects| {
            let all = [&mut objects.configuration, &mut objects.validating];
            set_bundle(all.into_iter().nth(which).unwrap(), "\n");
        });
        api.until("the wiped bundle restored", is_right).await;
    }
}

/// The RBAC of one registration may be missing.
#[tokio::test(start_paused = true)]
async fn bundle_that_cannot_be_written_does_not_delay_the_other() {
    let api = ApiServer::new();
    let _running = started(&api).await;
    let own = secret_cas(&api.objects());
    api.change(|objects| {
        objects.validating = Some(registration("ValidatingWebhookConfiguration"));
        objects.is_read_only = true;
    });
    // By then failures are retried every half a minute.
    time::sleep(Duration::from_mins(5)).await;
    assert_eq!(bundle(api.objects().validating.as_ref()), []);
    let start = time::Instant::now();
    api.change(|objects| set_bundle(&mut objects.configuration, "\n"));
    let is_restored = |objects: &Objects| bundle(objects.configuration.as_ref()) == own;
    api.until("the wiped bundle restored", is_restored).await;
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

/// Two tools that overwrite each other must not do so as fast as they can.
#[tokio::test(start_paused = true)]
async fn contention_slows_down() {
    let api = ApiServer::new();
    let running = started(&api).await;
    let published = || {
        let metrics = running.service.metrics().encode().unwrap();
        let series = "arc_rocm_ca_bundle_publishes_total{result=\"published\"} ";
        let line = metrics.lines().find_map(|line| line.strip_prefix(series));
        line.unwrap().parse::<u32>().unwrap()
    };
    let start = time::Instant::now();
    while start.elapsed() < Duration::from_mins(10) {
        api.change(|objects| set_bundle(&mut objects.configuration, "\n"));
        time::sleep(Duration::from_millis(500)).await;
    }
    assert!((10..=30).contains(&published()), "{} in ten minutes", published());
}

fn pair(issued: &Issued) -> Pair {
    Pair::from_pem(issued.certificate.as_bytes(), issued.key.as_bytes()).unwrap()
}

/// Starts to check a certificate from files.
fn checking(api: &ApiServer, pair: &Pair) -> (Arc<Service>, Arc<Identity>) {
    let (service, identity) = (service(), Arc::new(Identity::new(pair)));
    let (own, shared) = (Arc::clone(&identity), Arc::clone(&service));
    let manager = CertManager::checking(&api.client(), "arc-rocm", own, shared);
    tokio::spawn(manager.run(Shutdown::new()));
    (service, identity)
}

fn ca_ends(service: &Service) -> Option<i64> {
    let metrics = service.metrics().encode().unwrap();
    let series = r#"arc_rocm_tls_certificate_not_after_timestamp_seconds{certificate="ca"} "#;
    metrics.lines().find_map(|line| line.strip_prefix(series)?.parse().ok())
}

#[tokio::test]
async fn unreachable_api_server_is_counted_and_keeps_the_last_result() {
    let (api, issued) = (ApiServer::new(), issue(&[], 1).unwrap());
    api.change(|objects| {
        set_bundle(&mut objects.configuration, &issued.ca);
        objects.is_down = true;
    });
    let (service, _) = checking(&api, &pair(&issued));
    let failures = || service.metrics().certificate_failures.get();
    until("a failure", || failures() > 0).await;
    let reason = service.gates().closed().unwrap();
    let wanted = "cannot read MutatingWebhookConfiguration arc-rocm: ";
    assert!(reason.starts_with(wanted) && reason.contains("Service Unavailable"), "{reason}");

    api.change(|objects| objects.is_down = false);
    until("ready", || service.gates().closed().is_none()).await;
    let before = failures();
    api.change(|objects| objects.is_down = true);
    until("another failure", || failures() > before).await;
    assert_eq!(service.gates().closed(), None);
}

#[tokio::test]
async fn check_follows_the_bundle_and_writes_nothing() {
    let (api, one, two) = (ApiServer::new(), issue(&[], 1).unwrap(), issue(&[], 2).unwrap());
    let trust = |ca: &str| api.change(|objects| set_bundle(&mut objects.configuration, ca));
    let end = |issued: &Issued| tls::validity(&certificates(&issued.ca)[0]).unwrap().not_after;
    trust(&one.ca);
    let (service, identity) = checking(&api, &pair(&one));
    until("the CA's end", || ca_ends(&service) == Some(end(&one))).await;
    trust(&format!("{}{}", one.ca, two.ca));
    identity.replace(&pair(&two));
    until("the next one's end", || ca_ends(&service) == Some(end(&two))).await;
    trust("");
    until("not trusted", || service.gates().closed().is_some()).await;
    assert_eq!(ca_ends(&service), Some(end(&two)), "the last known end stays");
    assert_eq!(api.objects().secret, None);
    assert_eq!(bundle(api.objects().configuration.as_ref()), []);
}
