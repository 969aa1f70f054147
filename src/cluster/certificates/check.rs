//! Certificates of somebody else's: whether the one in use is trusted, and nothing more.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Notify, time};

use super::{
    store::{Place, Store},
    verdict, watch,
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

/// How often to look without being woken: the certificate may change as well.
const PERIOD: Duration = Duration::from_secs(10);

/// Looks at the registration for ever, and opens and closes [`Gate::Trust`](crate::server::Gate).
pub async fn check(
    client: kube::Client,
    place: Place,
    identity: Arc<Identity>,
    service: Arc<Service>,
) {
    let store = Store::new(&client, place);
    let waker = Arc::new(Notify::new());
    watch::configuration(&store, &waker);
    let (mut trouble, mut verdicts) = (Trouble::default(), verdict::Verdicts::default());
    loop {
        let pause = match time::timeout(REQUEST_TIMEOUT, store.live()).await {
            Ok(Ok(live)) => {
                trouble.ends();
                let chain = identity.chain();
                let now = store.clock.now();
                let verdict = verdict::of(&store.place, live.as_ref(), &chain, now);
                verdicts.tell(&service, verdict);
                PERIOD
            }
            failed => {
                let message = match &failed {
                    Ok(Err(error)) => Chain(error).to_string(),
                    _ => "the API server does not answer".to_owned(),
                };
                if trouble.notes(&message) {
                    tracing::warn!(error = message, "cannot read the webhook configuration");
                }
                trouble.wait(random())
            }
        };
        let _ = time::timeout(pause, waker.notified()).await;
    }
}
