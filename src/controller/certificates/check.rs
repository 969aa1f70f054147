//! Checks whether the API server trusts the certificate in use, where cert-manager or a person
//! renews it.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Notify, time};

use super::{
    store::{ObjectRefs, Store},
    trust_status::TrustStatus,
    watch,
};
use crate::{
    controller::{
        REQUEST_TIMEOUT,
        backoff::{Backoff, random},
    },
    server::Service,
    telemetry::Chain,
    tls::Identity,
};

/// The longest time between two checks: a certificate expires without an event.
const PERIOD: Duration = Duration::from_secs(10);

/// Checks the registration for ever, and opens and closes [`Gate::Trust`](crate::server::Gate). While
/// the registration cannot be read, the last result stays; before the first, the gate has the error.
pub async fn check(
    client: kube::Client,
    refs: ObjectRefs,
    identity: Arc<Identity>,
    service: Arc<Service>,
) {
    let store = Store::new(&client, refs);
    let waker = Arc::new(Notify::new());
    watch::configuration(&store, &waker);
    let (mut backoff, mut trust_status) = (Backoff::default(), TrustStatus::default());
    loop {
        let pause = match time::timeout(REQUEST_TIMEOUT, store.live()).await {
            Ok(Ok(live)) => {
                backoff.reset();
                let chain = identity.chain();
                let now = store.clock.now();
                trust_status.evaluate(&service, &store.refs, live.as_ref(), &chain, now);
                PERIOD
            }
            failed => {
                service.metrics().certificate_failures.inc();
                let error = match &failed {
                    Ok(Err(error)) => Chain(error).to_string(),
                    _ => "the API server does not answer".to_owned(),
                };
                if backoff.record(&error) {
                    tracing::warn!(
                        error,
                        "cannot read the MutatingWebhookConfiguration; the last result stays until it can be read"
                    );
                }
                let name = &store.refs.configuration;
                let reason = format!("cannot read MutatingWebhookConfiguration {name}: {error}");
                trust_status.unknown(&service, &reason);
                backoff.delay(random())
            }
        };
        tokio::select! {
            () = time::sleep(pause) => {}
            () = waker.notified() => {}
            () = identity.changed() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        certs::{Issued, certificates, issue},
        controller::certificates::testing::{ApiServer, PATIENCE, refs},
        inject::Config,
        server::Limits,
        telemetry::Metrics,
        tls::{self, Pair},
    };

    fn pair(issued: &Issued) -> Pair {
        Pair::from_pem(issued.certificate.as_bytes(), issued.key.as_bytes()).unwrap()
    }

    fn trusting(api: &ApiServer, ca: &str) {
        let bundle = json!(k8s_openapi::ByteString(ca.as_bytes().to_vec()));
        api.change(|objects| {
            let configuration = objects.configuration.as_mut().unwrap();
            configuration["webhooks"][0]["clientConfig"]["caBundle"] = bundle;
        });
    }

    /// Starts the check.
    fn checked(api: &ApiServer, pair: &Pair) -> (Arc<Service>, Arc<Identity>) {
        let service = Service::new(Config::default(), Metrics::default(), Limits::default());
        let (service, identity) = (Arc::new(service), Arc::new(Identity::new(pair)));
        tokio::spawn(check(api.client(), refs(), Arc::clone(&identity), Arc::clone(&service)));
        (service, identity)
    }

    async fn until(what: &str, is_so: impl Fn() -> bool) {
        let seen = async {
            while !is_so() {
                time::sleep(Duration::from_millis(5)).await;
            }
        };
        time::timeout(PATIENCE, seen).await.unwrap_or_else(|_| panic!("never {what}"));
    }

    fn ca_ends(service: &Service) -> Option<i64> {
        let metrics = service.metrics().encode().unwrap();
        let series = r#"arc_rocm_tls_certificate_not_after_timestamp_seconds{certificate="ca"} "#;
        metrics.lines().find_map(|line| line.strip_prefix(series)?.parse().ok())
    }

    fn end(ca: &str) -> i64 {
        tls::validity(&certificates(ca)[0]).unwrap().not_after
    }

    #[tokio::test]
    async fn unreachable_api_server_is_counted_and_keeps_the_last_result() {
        let (api, issued) = (ApiServer::new(), issue(&[], 1).unwrap());
        trusting(&api, &issued.ca);
        api.change(|objects| objects.is_down = true);
        let (service, _) = checked(&api, &pair(&issued));
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
    async fn ca_metric_follows_the_bundle() {
        let (api, one, two) = (ApiServer::new(), issue(&[], 1).unwrap(), issue(&[], 2).unwrap());
        trusting(&api, &one.ca);
        let (service, identity) = checked(&api, &pair(&one));
        until("the CA's end", || ca_ends(&service) == Some(end(&one.ca))).await;
        trusting(&api, &format!("{}{}", one.ca, two.ca));
        identity.replace(&pair(&two));
        until("the next one's end", || ca_ends(&service) == Some(end(&two.ca))).await;
        trusting(&api, "");
        until("not trusted", || service.gates().closed().is_some()).await;
        assert_eq!(ca_ends(&service), Some(end(&two.ca)), "the last known end stays");
    }
}
