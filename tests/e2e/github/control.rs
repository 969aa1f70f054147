//! `/control`: what the scripts of a test ask for. GitHub has nothing of the kind.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `GET /control/state` | | 200: scale sets with listener, statistics, jobs, runners |
//! | `POST /control/scale-sets/ID/jobs` | `{"count": N}`, optionally `"offer": true` | 201 `{"jobs": [IDs]}` |
//! | `POST /control/jobs/ID/start` | `{"runner": NAME}` | 204 |
//! | `POST /control/jobs/ID/complete` | `{"result": RESULT}`, `succeeded` unless given | 204 |
//!
//! Jobs are assigned at once, so that the listener scales up. With `offer` they are only offered:
//! a listener that acquires jobs gets them, one that waits for assigned ones does not (ARC's own
//! since it took over `actions/scaleset`).

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    refusal::Refusal,
    routes::{App, Failure, parse},
};

/// Jobs that one request may ask for: more than any test needs, and a slip of a script takes no
/// memory.
const JOBS_MAX: u64 = 10_000;

/// Results that GitHub has.
const RESULTS: [&str; 4] = ["succeeded", "failed", "canceled", "skipped"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewJobs {
    count: u64,
    #[serde(default)]
    offer: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Start {
    runner: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Complete {
    #[serde(default = "succeeded")]
    result: String,
}

fn succeeded() -> String {
    "succeeded".to_owned()
}

/// The routes below `/control`.
pub(crate) fn router() -> Router<App> {
    Router::new()
        .route("/control/state", get(state))
        .route("/control/scale-sets/{id}/jobs", post(add_jobs))
        .route("/control/jobs/{id}/start", post(start))
        .route("/control/jobs/{id}/complete", post(complete))
}

async fn state(State(app): State<App>) -> Json<Value> {
    Json(app.read(|service, _| service.state()))
}

async fn add_jobs(
    State(app): State<App>,
    Path(id): Path<u64>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let NewJobs { count, offer } = parse(&body)?;
    if !(1..=JOBS_MAX).contains(&count) {
        return Err(Refusal::malformed(format!("count is 1 to {JOBS_MAX}")).into());
    }
    let jobs = app.change(|service, now| service.add_jobs(id, count, offer, now))?;
    Ok((StatusCode::CREATED, Json(jobs)))
}

async fn start(
    State(app): State<App>,
    Path(id): Path<u64>,
    body: Bytes,
) -> Result<StatusCode, Failure> {
    let Start { runner } = parse(&body)?;
    app.change(|service, now| service.start_job(id, &runner, now))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn complete(
    State(app): State<App>,
    Path(id): Path<u64>,
    body: Bytes,
) -> Result<StatusCode, Failure> {
    let Complete { result } = parse(&body)?;
    let known = RESULTS.into_iter().find(|known| *known == result);
    let result = known.ok_or_else(|| Refusal::malformed(format!("no result {result}")))?;
    app.change(|service, now| service.complete_job(id, result, now))?;
    Ok(StatusCode::NO_CONTENT)
}
