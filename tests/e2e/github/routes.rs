//! HTTP: from requests to the service and back. Paths, methods and codes are those of
//! `actions/scaleset` (`client.go`, `session_client.go`). The handlers are below `routes/`.

mod messages;
mod registration;
mod runners;
mod scale_sets;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::Request,
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::sync::watch;

use crate::{
    clock::{Seconds, now},
    control,
    refusal::Refusal,
    service::Service,
};

/// The longest that a poll may be held, in seconds: ARC's client gives up after five minutes
/// (its HTTP client's timeout), and a session is given to another after 90 s of silence.
pub(crate) const HOLD_MAX: u64 = 80;

/// What all calls of a tenant carry as `api-version`.
const API_VERSION: &str = "6.0-preview";

/// What handlers share.
#[derive(Clone)]
pub(crate) struct App {
    service: Arc<Mutex<Service>>,
    /// Told of every change, for polls that wait.
    changed: watch::Sender<()>,
    hold: Duration,
}

impl App {
    /// Holds polls so long.
    pub(crate) fn new(service: Service, hold: Duration) -> Self {
        Self { service: Arc::new(Mutex::new(service)), changed: watch::Sender::new(()), hold }
    }

    /// Asks the service.
    pub(crate) fn read<T>(&self, ask: impl FnOnce(&mut Service, Seconds) -> T) -> T {
        ask(&mut self.service.lock().unwrap_or_else(PoisonError::into_inner), now())
    }

    /// Changes the service, and wakes polls.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Service, Seconds) -> T) -> T {
        let answer = self.read(change);
        self.changed.send_replace(());
        answer
    }
}

/// A refusal on its way out.
#[derive(Debug)]
pub(crate) struct Failure(Refusal);

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::BAD_REQUEST);
        (status, Json(self.0.body())).into_response()
    }
}

/// Most answers.
type Answer = Result<Json<Value>, Failure>;

/// Reads a body, whatever its content type says: the client has a different one for each call.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| Refusal::malformed(error.to_string()).into())
}

/// All of it.
pub(crate) fn router(app: App) -> Router {
    let tenant = Router::new()
        .route("/_apis/runtime/runnergroups", get(scale_sets::runner_groups))
        .route("/_apis/runtime/runnergroups/", get(scale_sets::runner_groups))
        .route(
            "/_apis/runtime/runnerscalesets",
            get(scale_sets::find_scale_sets).post(scale_sets::create_scale_set),
        )
        .route(
            "/_apis/runtime/runnerscalesets/{id}",
            get(scale_sets::show_scale_set)
                .patch(scale_sets::update_scale_set)
                .delete(scale_sets::delete_scale_set),
        )
        .route(
            "/_apis/runtime/runnerscalesets/{id}/generatejitconfig",
            post(runners::generate_jit_config),
        )
        .route("/_apis/runtime/runnerscalesets/{id}/acquirejobs", post(messages::acquire_jobs))
        .route("/_apis/runtime/runnerscalesets/{id}/sessions", post(messages::open_session))
        .route(
            "/_apis/runtime/runnerscalesets/{id}/sessions/{session}",
            axum::routing::patch(messages::refresh_session).delete(messages::close_session),
        )
        .route("/_apis/runtime/runnerscalesets/{id}/messages", get(messages::next_message))
        .route(
            "/_apis/runtime/runnerscalesets/{id}/messages/{message}",
            delete(messages::delete_message),
        )
        .route("/_apis/distributedtask/pools/0/agents", get(runners::find_runners))
        .route(
            "/_apis/distributedtask/pools/0/agents/{id}",
            get(runners::show_runner).delete(runners::remove_runner),
        );
    let github = "/api/v3";
    let token = "actions/runners/registration-token";
    Router::new()
        .route(&format!("{github}/orgs/{{org}}/{token}"), post(registration::token_of_organization))
        .route(
            &format!("{github}/repos/{{owner}}/{{name}}/{token}"),
            post(registration::token_of_repository),
        )
        .route(
            &format!("{github}/enterprises/{{name}}/{token}"),
            post(registration::token_of_enterprise),
        )
        .route(&format!("{github}/actions/runner-registration"), post(registration::register))
        .nest("/tenants/{tenant}", tenant)
        .merge(control::router())
        .fallback(unknown)
        .layer(middleware::from_fn(log))
        .with_state(app)
}

/// One line for each request. Tokens are in headers, which are not logged.
async fn log(request: Request, next: Next) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let response = next.run(request).await;
    tracing::info!(%method, %uri, status = response.status().as_u16(), "answered");
    response
}

/// A request that the stand-in does not know is what to look for first when ARC changes.
async fn unknown(request: Request) -> Failure {
    let (method, uri) = (request.method(), request.uri());
    tracing::warn!(%method, %uri, "the stand-in knows no such request");
    Refusal::new(404, "NotFoundException", format!("no {method} {uri}")).into()
}

// === what requests carry ===

/// The token after this word in `Authorization`.
fn token<'h>(headers: &'h HeaderMap, scheme: &str) -> Result<&'h str, Failure> {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = value.and_then(|value| value.strip_prefix(scheme)?.strip_prefix(' '));
    let token = token.filter(|token| !token.is_empty());
    token.ok_or_else(|| Refusal::unauthorized(format!("expected {scheme} TOKEN")).into())
}

/// This server's URL, as the client reached it.
fn base(headers: &HeaderMap) -> Result<String, Failure> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.ok_or_else(|| Refusal::malformed("no Host"))?;
    Ok(format!("http://{host}"))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parameters {
    #[serde(rename = "api-version")]
    api_version: Option<String>,
    group_name: Option<String>,
    runner_group_id: Option<u64>,
    name: Option<String>,
    agent_name: Option<String>,
    session_id: Option<String>,
    last_message_id: Option<u64>,
}

impl App {
    /// Lets a tenant's call through that has the tenant's token and the version.
    fn admit(
        &self,
        tenant: u64,
        headers: &HeaderMap,
        parameters: &Parameters,
    ) -> Result<(), Failure> {
        let token = token(headers, "Bearer")?;
        self.read(|service, now| service.authorize(token, tenant, now))?;
        if parameters.api_version.as_deref() != Some(API_VERSION) {
            return Err(Refusal::malformed(format!("expected api-version={API_VERSION}")).into());
        }
        Ok(())
    }

    /// Lets a call to a message queue through that has the queue's token, and gives its session.
    fn admit_to_queue<'p>(
        &self,
        id: u64,
        headers: &HeaderMap,
        parameters: &'p Parameters,
    ) -> Result<&'p str, Failure> {
        let token = token(headers, "Bearer")?;
        self.read(|service, now| service.authorize_queue(token, id, now))?;
        let session = parameters.session_id.as_deref();
        session.ok_or_else(|| Refusal::malformed("expected sessionId").into())
    }
}
