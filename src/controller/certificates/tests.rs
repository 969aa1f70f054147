use serde_json::Value;

use super::{
    testing::{ApiServer, PATIENCE},
    *,
};
use crate::{inject::Config, server::Limits, telemetry::Metrics};

const POLICY: Policy = Policy {
    ca: Duration::from_hours(900),
    leaf: Duration::from_hours(90),
    overlap: Duration::from_hours(1),
    settle: Duration::from_millis(100),
    turn: 0.0,
};

fn manager(api: &ApiServer) -> (CertManager, oneshot::Receiver<Arc<Identity>>) {
    let service = Service::new(Config::default(), Metrics::default(), Limits::default());
    let names = Names::new(&[]).unwrap();
    CertManager::new(&api.client(), testing::refs(), POLICY, names, Arc::new(service))
}

fn bundle(objects: &testing::Objects) -> Value {
    objects.configuration.as_ref().unwrap()["webhooks"][0]["clientConfig"]["caBundle"].clone()
}

/// Otherwise a draining replica would restore a leaked CA that was just deleted.
#[tokio::test]
async fn manager_asked_to_stop_writes_nothing() {
    let api = ApiServer::new();
    let (manager, first) = manager(&api);
    let shutdown = Shutdown::new();
    let task = tokio::spawn(manager.run(shutdown.clone()));
    let _identity = time::timeout(PATIENCE, first).await.unwrap().unwrap();
    let old = bundle(&api.objects());

    api.change(|objects| objects.secret = None);
    api.until("a Secret that is mended", |objects| objects.secret.is_some()).await;
    api.until("both CAs", |objects| bundle(objects) != old).await;

    shutdown.ask();
    time::timeout(PATIENCE, task).await.unwrap().unwrap();
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

fn validating() -> Value {
    serde_json::json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "arc-rocm"},
        "webhooks": [{
            "name": "validate.arc-rocm.dev",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "clientConfig": {"service": {"name": "arc-rocm", "namespace": "arc-rocm"}},
        }],
    })
}

fn bundle_of(configuration: Option<&Value>) -> Value {
    configuration.unwrap()["webhooks"][0]["clientConfig"]["caBundle"].clone()
}

#[tokio::test]
async fn validating_registration_gets_the_same_bundle_again() {
    let api = ApiServer::new();
    let (manager, first) = manager(&api);
    let _task = tokio::spawn(manager.run(Shutdown::new()));
    // The certificate does not wait for this registration.
    let _identity = time::timeout(PATIENCE, first).await.unwrap().unwrap();
    api.change(|objects| objects.validating = Some(validating()));
    let is_same = |objects: &testing::Objects| {
        let own = bundle_of(objects.validating.as_ref());
        !own.is_null() && own == bundle(objects)
    };
    api.until("the bundle in both registrations", is_same).await;
    api.change(|objects| {
        let registration = objects.validating.as_mut().unwrap();
        registration["webhooks"][0]["clientConfig"]["caBundle"] = "Cg==".into();
    });
    api.until("the wiped bundle restored", is_same).await;
}
