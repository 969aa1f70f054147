//! Checking an object before it is stored.

use std::{sync::Arc, time::Duration};

use kube::{Api, api::ListParams};
use tokio::{
    sync::{Mutex, watch::Receiver},
    time::{Instant, sleep_until, timeout},
};

use super::{Latest, stored::Stored};
use crate::{
    admission::{ProfileDecision, ProfileRequest},
    profile::Object,
    server::{Unvalidated, ValidateHook},
};

/// Between two reads of all objects, so that a flood of bad objects does not burden the API server.
const LIST_INTERVAL: Duration = Duration::from_millis(200);
/// The longest wait for such a read. Less than the webhook's timeout.
const LIST_TIMEOUT: Duration = Duration::from_secs(2);

/// Answers reviews of RunnerProfiles.
#[derive(Debug)]
pub(super) struct Validator {
    api: Api<Stored>,
    latest: Receiver<Latest>,
    /// When the objects may be read again.
    next_list: Mutex<Instant>,
}

impl Validator {
    pub(super) fn new(api: Api<Stored>, latest: Receiver<Latest>) -> Self {
        Self { api, latest, next_list: Mutex::new(Instant::now()) }
    }

    /// For the server.
    pub(super) fn into_hook(self) -> ValidateHook {
        let validator = Arc::new(self);
        Box::new(move |body| {
            let validator = Arc::clone(&validator);
            Box::pin(async move { validator.answer(&body).await })
        })
    }

    /// The `AdmissionReview` that answers the one in `body`.
    async fn answer(&self, body: &[u8]) -> Result<Vec<u8>, Unvalidated> {
        let request = ProfileRequest::read(body).map_err(Unvalidated::Unreadable)?;
        let decision = if request.is_checked() {
            self.decide(&request).await?
        } else {
            request.decide(&[], &[])
        };
        if let Some((field, message)) = decision.problems.first() {
            let problems = decision.problems.len();
            tracing::info!(
                profile = request.name,
                problems,
                first = format!("{field}: {message}"),
                "a RunnerProfile was refused when it was applied"
            );
        }
        Ok(request.answer(&decision))
    }

    async fn decide(&self, request: &ProfileRequest) -> Result<ProfileDecision, Unvalidated> {
        let Some(latest) = self.latest.borrow().clone() else { return Err(Unvalidated::NotReady) };
        let decision = decide(request, &latest, None).await?;
        if decision == ProfileDecision::default() {
            return Ok(decision);
        }
        // What was applied a moment before may not have come by the watch yet. Where the objects
        // cannot be read, those that are known have to do.
        match timeout(LIST_TIMEOUT, self.list()).await {
            Ok(Ok(objects)) => decide(request, &latest, Some(objects)).await,
            _ => Ok(decision),
        }
    }

    /// All objects, as the API server has them now.
    async fn list(&self) -> kube::Result<Vec<Object>> {
        let mut next = self.next_list.lock().await;
        sleep_until(*next).await;
        *next = Instant::now() + LIST_INTERVAL;
        let list = self.api.list(&ListParams::default()).await?;
        Ok(list.items.iter().map(Stored::object).collect())
    }
}

/// Decides beside `objects`, or those of `latest`. It takes milliseconds, so it keeps no thread
/// from answering reviews of pods.
async fn decide(
    request: &ProfileRequest,
    latest: &Arc<super::Compiled>,
    objects: Option<Vec<Object>>,
) -> Result<ProfileDecision, Unvalidated> {
    let (request, latest) = (request.clone(), Arc::clone(latest));
    let decide = move || {
        let objects = objects.as_deref().unwrap_or(&latest.objects);
        request.decide(&latest.files, objects)
    };
    tokio::task::spawn_blocking(decide).await.map_err(|_| Unvalidated::Panicked)
}
