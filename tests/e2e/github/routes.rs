//! HTTP: from requests to the service and back. Paths, methods and codes are those of
//! `actions/scaleset` (`client.go`, `session_client.go`).

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Query, Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use crate::{
    clock::{Seconds, now},
    control,
    refusal::Refusal,
    scale_set::Description,
    scope::Scope,
    service::Service,
};

/// The longest that a poll may be held, in seconds: ARC's client gives up after five minutes
/// (its HTTP client's timeout), and a session is given to another after 90 s of silence.
pub(crate) const HOLD_MAX: u64 = 80;

/// What all calls of a tenant carry as `api-version`.
const API_VERSION: &str = "6.0-preview";

/// How many runners a listener may have, in its polls.
const MAX_CAPACITY: &str = "x-scalesetmaxcapacity";

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
        .route("/_apis/runtime/runnergroups", get(runner_groups))
        .route("/_apis/runtime/runnergroups/", get(runner_groups))
        .route("/_apis/runtime/runnerscalesets", get(find_scale_sets).post(create_scale_set))
        .route(
            "/_apis/runtime/runnerscalesets/{id}",
            get(show_scale_set).patch(update_scale_set).delete(delete_scale_set),
        )
        .route("/_apis/runtime/runnerscalesets/{id}/generatejitconfig", post(generate_jit_config))
        .route("/_apis/runtime/runnerscalesets/{id}/acquirejobs", post(acquire_jobs))
        .route("/_apis/runtime/runnerscalesets/{id}/sessions", post(open_session))
        .route(
            "/_apis/runtime/runnerscalesets/{id}/sessions/{session}",
            axum::routing::patch(refresh_session).delete(close_session),
        )
        .route("/_apis/runtime/runnerscalesets/{id}/messages", get(next_message))
        .route("/_apis/runtime/runnerscalesets/{id}/messages/{message}", delete(delete_message))
        .route("/_apis/distributedtask/pools/0/agents", get(find_runners))
        .route(
            "/_apis/distributedtask/pools/0/agents/{id}",
            get(show_runner).delete(remove_runner),
        );
    let github = "/api/v3";
    let token = "actions/runners/registration-token";
    Router::new()
        .route(&format!("{github}/orgs/{{org}}/{token}"), post(token_of_organization))
        .route(&format!("{github}/repos/{{owner}}/{{name}}/{token}"), post(token_of_repository))
        .route(&format!("{github}/enterprises/{{name}}/{token}"), post(token_of_enterprise))
        .route(&format!("{github}/actions/runner-registration"), post(register))
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

// === registration ===

fn issue(
    app: &App,
    headers: &HeaderMap,
    scope: Scope,
) -> Result<(StatusCode, Json<Value>), Failure> {
    // Any personal access token will do.
    token(headers, "Bearer")?;
    let issued = app.change(|service, now| service.registration_token(scope, now));
    Ok((StatusCode::CREATED, Json(issued)))
}

async fn token_of_organization(
    State(app): State<App>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<(StatusCode, Json<Value>), Failure> {
    issue(&app, &headers, Scope::Organization(name))
}

async fn token_of_repository(
    State(app): State<App>,
    Path((owner, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<(StatusCode, Json<Value>), Failure> {
    issue(&app, &headers, Scope::Repository(owner, name))
}

async fn token_of_enterprise(
    State(app): State<App>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<(StatusCode, Json<Value>), Failure> {
    issue(&app, &headers, Scope::Enterprise(name))
}

#[derive(Deserialize)]
struct Registration {
    runner_event: String,
}

async fn register(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Answer {
    let token = token(&headers, "RemoteAuth")?;
    let Registration { runner_event } = parse(&body)?;
    if runner_event != "register" {
        return Err(Refusal::malformed(format!("no event {runner_event}")).into());
    }
    let base = base(&headers)?;
    Ok(Json(app.change(|service, now| service.register(token, &base, now))?))
}

// === runner groups and scale sets ===

async fn runner_groups(
    State(app): State<App>,
    Path(tenant): Path<u64>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
) -> Answer {
    app.admit(tenant, &headers, &parameters)?;
    let name = parameters.group_name.as_deref();
    Ok(Json(app.read(|service, _| service.runner_groups(name))))
}

async fn find_scale_sets(
    State(app): State<App>,
    Path(tenant): Path<u64>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
) -> Answer {
    app.admit(tenant, &headers, &parameters)?;
    let Parameters { runner_group_id, name, .. } = parameters;
    let find = |service: &mut Service, _| {
        service.find_scale_sets(tenant, runner_group_id, name.as_deref())
    };
    Ok(Json(app.read(find)))
}

async fn create_scale_set(
    State(app): State<App>,
    Path(tenant): Path<u64>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    app.admit(tenant, &headers, &parameters)?;
    let description: Description = parse(&body)?;
    Ok(Json(app.change(|service, now| service.create_scale_set(tenant, description, now))?))
}

async fn show_scale_set(
    State(app): State<App>,
    Path((tenant, id)): Path<(u64, u64)>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
) -> Answer {
    app.admit(tenant, &headers, &parameters)?;
    Ok(Json(app.read(|service, _| service.show_scale_set(tenant, id))?))
}

async fn update_scale_set(
    State(app): State<App>,
    Path((tenant, id)): Path<(u64, u64)>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    app.admit(tenant, &headers, &parameters)?;
    let description: Description = parse(&body)?;
    Ok(Json(app.change(|service, _| service.update_scale_set(tenant, id, description))?))
}

async fn delete_scale_set(
    State(app): State<App>,
    Path((tenant, id)): Path<(u64, u64)>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
) -> Result<StatusCode, Failure> {
    app.admit(tenant, &headers, &parameters)?;
    app.change(|service, _| service.delete_scale_set(tenant, id))?;
    Ok(StatusCode::NO_CONTENT)
}

// === runners ===

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JitSetting {
    name: String,
    #[serde(default)]
    work_folder: String,
}

async fn generate_jit_config(
    State(app): State<App>,
    Path((tenant, id)): Path<(u64, u64)>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    app.admit(tenant, &headers, &parameters)?;
    let JitSetting { name, work_folder } = parse(&body)?;
    let generate =
        |service: &mut Service, _| service.generate_jit_config(tenant, id, &name, &work_folder);
    Ok(Json(app.change(generate)?))
}

async fn find_runners(
    State(app): State<App>,
    Path(tenant): Path<u64>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
) -> Answer {
    app.admit(tenant, &headers, &parameters)?;
    let name = parameters.agent_name.as_deref();
    Ok(Json(app.read(|service, _| service.find_runners(tenant, name))))
}

async fn show_runner(
    State(app): State<App>,
    Path((tenant, id)): Path<(u64, u64)>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
) -> Answer {
    app.admit(tenant, &headers, &parameters)?;
    Ok(Json(app.read(|service, _| service.show_runner(tenant, id))?))
}

async fn remove_runner(
    State(app): State<App>,
    Path((tenant, id)): Path<(u64, u64)>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
) -> Result<StatusCode, Failure> {
    app.admit(tenant, &headers, &parameters)?;
    app.change(|service, _| service.remove_runner(tenant, id))?;
    Ok(StatusCode::NO_CONTENT)
}

// === sessions and messages ===

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewSession {
    owner_name: String,
}

async fn open_session(
    State(app): State<App>,
    Path((tenant, id)): Path<(u64, u64)>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    app.admit(tenant, &headers, &parameters)?;
    let NewSession { owner_name } = parse(&body)?;
    let base = base(&headers)?;
    let open =
        |service: &mut Service, now| service.open_session(tenant, id, &owner_name, &base, now);
    Ok(Json(app.change(open)?))
}

async fn refresh_session(
    State(app): State<App>,
    Path((tenant, id, session)): Path<(u64, u64, String)>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
) -> Answer {
    app.admit(tenant, &headers, &parameters)?;
    let base = base(&headers)?;
    let refresh =
        |service: &mut Service, now| service.refresh_session(tenant, id, &session, &base, now);
    Ok(Json(app.change(refresh)?))
}

async fn close_session(
    State(app): State<App>,
    Path((tenant, id, session)): Path<(u64, u64, String)>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
) -> Result<StatusCode, Failure> {
    app.admit(tenant, &headers, &parameters)?;
    app.change(|service, now| service.close_session(tenant, id, &session, now))?;
    Ok(StatusCode::NO_CONTENT)
}

/// The long poll: the next message as soon as there is one, or 202 without a body.
async fn next_message(
    State(app): State<App>,
    Path((tenant, id)): Path<(u64, u64)>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let session = app.admit_to_queue(id, &headers, &parameters)?;
    let seen = parameters.last_message_id.unwrap_or(0);
    if let Some(capacity) = headers.get(MAX_CAPACITY) {
        let capacity = capacity.to_str().ok().and_then(|capacity| capacity.parse().ok());
        let capacity = capacity.ok_or_else(|| Refusal::malformed("the capacity is a number"))?;
        app.read(|service, _| service.note_capacity(tenant, id, capacity))?;
    }
    let end = Instant::now() + app.hold;
    let mut changed = app.changed.subscribe();
    loop {
        let next = app.read(|service, now| service.next_message(tenant, id, session, seen, now))?;
        if let Some(message) = next {
            return Ok(Json(message).into_response());
        }
        if timeout_at(end, changed.changed()).await.is_err() {
            return Ok(StatusCode::ACCEPTED.into_response());
        }
    }
}

async fn delete_message(
    State(app): State<App>,
    Path((tenant, id, message)): Path<(u64, u64, u64)>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
) -> Result<StatusCode, Failure> {
    let session = app.admit_to_queue(id, &headers, &parameters)?;
    app.change(|service, now| service.delete_message(tenant, id, session, message, now))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes the queue's token as well as the tenant's: which of them the client sends has changed.
async fn acquire_jobs(
    State(app): State<App>,
    Path((tenant, id)): Path<(u64, u64)>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let token = token(&headers, "Bearer")?;
    app.read(|service, now| {
        let of_queue = service.authorize_queue(token, id, now);
        of_queue.or_else(|_| service.authorize(token, tenant, now))
    })?;
    let jobs: Vec<u64> = parse(&body)?;
    Ok(Json(app.change(|service, now| service.acquire_jobs(tenant, id, &jobs, now))?))
}
