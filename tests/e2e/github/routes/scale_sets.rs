//! Runner groups and scale sets.

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
};

use super::{Answer, App, Failure, Parameters, parse};
use crate::{scale_set::Description, service::Service};

pub(super) async fn runner_groups(
    State(app): State<App>,
    Path(tenant): Path<u64>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
) -> Answer {
    app.admit(tenant, &headers, &parameters)?;
    let name = parameters.group_name.as_deref();
    Ok(Json(app.read(|service, _| service.runner_groups(name))))
}

pub(super) async fn find_scale_sets(
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

pub(super) async fn create_scale_set(
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

pub(super) async fn show_scale_set(
    State(app): State<App>,
    Path((tenant, id)): Path<(u64, u64)>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
) -> Answer {
    app.admit(tenant, &headers, &parameters)?;
    Ok(Json(app.read(|service, _| service.show_scale_set(tenant, id))?))
}

pub(super) async fn update_scale_set(
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

pub(super) async fn delete_scale_set(
    State(app): State<App>,
    Path((tenant, id)): Path<(u64, u64)>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
) -> Result<StatusCode, Failure> {
    app.admit(tenant, &headers, &parameters)?;
    app.change(|service, _| service.delete_scale_set(tenant, id));
    Ok(StatusCode::NO_CONTENT)
}
