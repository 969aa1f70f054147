//! Certificates of somebody else's: whether the one in use is trusted, and nothing more.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Notify, time};

use super::{
    store::{Place, Store},
    verdict::Verdicts,
    watch,
};
use crate::{
    cluster::{
        REQUEST_TIMEOUT,
        trouble::{Trouble, random},
    },
    server::Service,
    telemetry::Chain,
    tls::Identity,
};

/// How often to look without being woken: a certificate ends without a word.
const PERIOD: Duration = Duration::from_secs(10);

/// Looks at the registration for ever, and opens and closes [`Gate::Trust`](crate::server::Gate).
/// While it cannot be read, the last verdict holds; where there is none, the gate says why.
pub async fn check(
    client: kube::Client,
    place: Place,
    identity: Arc<Identity>,
    service: Arc<Service>,
) {
    let store = Store::new(&client, place);
    let waker = Arc::new(Notify::new());
    watch::configuration(&store, &waker);
    let (mut trouble, mut verdicts) = (Trouble::default(), Verdicts::default());
    loop {
        let pause = match time::timeout(REQUEST_TIMEOUT, store.live()).await {
            Ok(Ok(live)) => {
                trouble.ends();
                let chain = identity.chain();
                let now = store.clock.now();
                verdicts.judge(&service, &store.place, live.as_ref(), &chain, now);
                PERIOD
            }
            failed => {
                service.metrics().certificate_failures.inc();
                let error = match &failed {
                    Ok(Err(error)) => Chain(error).to_string(),
                    _ => "the API server does not answer".to_owned(),
                };
                if trouble.notes(&error) {
                    tracing::warn!(error, "cannot read the webhook configuration");
                }
                let name = &store.place.configuration;
                let reason = format!("cannot read MutatingWebhookConfiguration {name}: {error}");
                verdicts.cannot(&service, &reason);
                trouble.wait(random())
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
        cluster::certificates::testing::{ApiServer, PATIENCE, place},
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

    /// Starts to check.
    fn checked(api: &ApiServer, pair: &Pair) -> (Arc<Service>, Arc<Identity>) {
        let service = Service::new(Config::default(), Metrics::default(), Limits::default());
        let (service, identity) = (Arc::new(service), Arc::new(Identity::new(pair)));
        tokio::spawn(check(api.client(), place(), Arc::clone(&identity), Arc::clone(&service)));
        (service, identity)
    }

    async fn until(what: &str, so: impl Fn() -> bool) {
        let seen = async {
            while !so() {
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
    async fn an_api_server_that_is_down_is_counted_and_the_reason_until_there_is_a_verdict() {
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
    async fn the_end_of_the_authority_in_the_bundle_is_a_metric_and_so_is_that_of_the_next() {
        let (api, one, two) = (ApiServer::new(), issue(&[], 1).unwrap(), issue(&[], 2).unwrap());
        trusting(&api, &one.ca);
        let (service, identity) = checked(&api, &pair(&one));
        until("the authority's end", || ca_ends(&service) == Some(end(&one.ca))).await;
        trusting(&api, &format!("{}{}", one.ca, two.ca));
        identity.replace(&pair(&two));
        until("the next one's end", || ca_ends(&service) == Some(end(&two.ca))).await;
        trusting(&api, "");
        until("not trusted", || service.gates().closed().is_some()).await;
        assert_eq!(ca_ends(&service), Some(end(&two.ca)), "what was known stays");
    }
}
