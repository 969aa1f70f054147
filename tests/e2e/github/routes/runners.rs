//! Runners.

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
};
use serde::Deserialize;

use super::{Answer, App, Failure, Parameters, parse};
use crate::service::Service;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JitSetting {
    name: String,
    #[serde(default)]
    work_folder: String,
}

pub(super) async fn generate_jit_config(
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

pub(super) async fn find_runners(
    State(app): State<App>,
    Path(tenant): Path<u64>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
) -> Answer {
    app.admit(tenant, &headers, &parameters)?;
    let name = parameters.agent_name.as_deref();
    Ok(Json(app.read(|service, _| service.find_runners(tenant, name))))
}

pub(super) async fn show_runner(
    State(app): State<App>,
    Path((tenant, id)): Path<(u64, u64)>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
) -> Answer {
    app.admit(tenant, &headers, &parameters)?;
    Ok(Json(app.read(|service, _| service.show_runner(tenant, id))?))
}

pub(super) async fn remove_runner(
    State(app): State<App>,
    Path((tenant, id)): Path<(u64, u64)>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
) -> Result<StatusCode, Failure> {
    app.admit(tenant, &headers, &parameters)?;
    app.change(|service, _| service.remove_runner(tenant, id))?;
    Ok(StatusCode::NO_CONTENT)
}
