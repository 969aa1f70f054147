//! Sessions and messages.

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use super::{Answer, App, Failure, Parameters, base, parse, token};
use crate::{refusal::Refusal, service::Service};

/// How many runners a listener may have, in its polls.
const MAX_CAPACITY: &str = "x-scalesetmaxcapacity";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewSession {
    owner_name: String,
}

pub(super) async fn open_session(
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

pub(super) async fn refresh_session(
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

pub(super) async fn close_session(
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
pub(super) async fn next_message(
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

pub(super) async fn delete_message(
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
pub(super) async fn acquire_jobs(
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
