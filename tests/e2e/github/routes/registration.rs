//! The way from a personal access token to a tenant's URL and token.

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
};
use serde::Deserialize;
use serde_json::Value;

use super::{Answer, App, Failure, base, parse, token};
use crate::{refusal::Refusal, scope::Scope};

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

pub(super) async fn token_of_organization(
    State(app): State<App>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<(StatusCode, Json<Value>), Failure> {
    issue(&app, &headers, Scope::Organization(name))
}

pub(super) async fn token_of_repository(
    State(app): State<App>,
    Path((owner, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<(StatusCode, Json<Value>), Failure> {
    issue(&app, &headers, Scope::Repository(owner, name))
}

pub(super) async fn token_of_enterprise(
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

pub(super) async fn register(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Answer {
    let token = token(&headers, "RemoteAuth")?;
    let Registration { runner_event } = parse(&body)?;
    if runner_event != "register" {
        return Err(Refusal::malformed(format!("no event {runner_event}")).into());
    }
    let base = base(&headers)?;
    Ok(Json(app.change(|service, now| service.register(token, &base, now))?))
}
