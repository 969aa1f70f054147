//! The routes of the webhook's port: one request to one response.

use std::{any::Any, sync::Arc, time::Instant};

use axum::{
    Router,
    body::{Body, Bytes, HttpBody as _},
    extract::{DefaultBodyLimit, FromRequest, Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::post,
};
use tokio::sync::OwnedSemaphorePermit;
use tower::ServiceBuilder;
use tower_http::{
    catch_panic::{CatchPanicLayer, ResponseForPanic},
    limit::RequestBodyLimitLayer,
    timeout::TimeoutLayer,
};

use super::{
    limits::{BODY_LIMIT, SMALL_BODY},
    service::Service,
};
use crate::{admission::Unreadable, telemetry};

/// The path for reviews of pods.
pub const PATH: &str = "/mutate";

const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Seconds. client-go tries again on a 5xx that carries Retry-After, and on nothing else.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// The routes: [`PATH`], and those of `others`, with the limits of all.
///
/// A refused request never gets 403 or 422: the API server passes those on, and ARC takes either for
/// a verdict on the pod and fails the runner for ever.
pub fn router(service: &Arc<Service>, others: Router<Arc<Service>>) -> Router {
    let limits = ServiceBuilder::new()
        .layer(CatchPanicLayer::custom(CountPanic(Arc::clone(service))))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::SERVICE_UNAVAILABLE,
            service.limits().request_deadline,
        ))
        .layer(RequestBodyLimitLayer::new(BODY_LIMIT))
        .layer(DefaultBodyLimit::disable());
    Router::new()
        .route(PATH, post(review_pod))
        .merge(others)
        .layer(limits)
        .layer(middleware::map_response_with_state(Arc::clone(service), finish))
        .with_state(Arc::clone(service))
}

/// A request's body as a whole. Up to [`SMALL_BODY`] it is read at once. A larger one, or one without
/// a Content-Length, first waits for its turn, and is shed with 503 if that does not come.
#[derive(Debug)]
pub struct ReviewBody {
    /// The bytes.
    pub bytes: Bytes,
    /// What a large body holds as long as it is in memory.
    permit: Option<OwnedSemaphorePermit>,
}

impl FromRequest<Arc<Service>> for ReviewBody {
    type Rejection = Response;

    async fn from_request(request: Request, service: &Arc<Service>) -> Result<Self, Response> {
        // Content-Length. Without one it is all that is left to read.
        let length = request.body().size_hint().upper().unwrap_or(BODY_LIMIT as u64);
        let permit = if length <= SMALL_BODY as u64 {
            None
        } else {
            let permit = service.large_body(length).await;
            Some(permit.ok_or_else(|| busy("too many large bodies, try again"))?)
        };
        let bytes = Bytes::from_request(request, &()).await.map_err(IntoResponse::into_response)?;
        Ok(Self { bytes, permit })
    }
}

/// Answers a review of a pod.
async fn review_pod(State(service): State<Arc<Service>>, body: ReviewBody) -> Response {
    let start = Instant::now();
    let (answerer, config) = (service.answerer, service.config());
    let answer = if body.permit.is_some() {
        // A large review would hold up all other connections of this thread.
        service.run_heavy(move || answerer(&body.bytes, &config)).await
    } else {
        answerer(&body.bytes, &config)
    };
    let took = start.elapsed();
    review_response(answer.map(|answer| {
        telemetry::log_admission(&answer.record, took);
        service.observe(&answer.record);
        service.metrics().admitted(answer.record, took);
        answer.body
    }))
}

/// The response to a review: the bytes of the `AdmissionReview`, or 400 with the reason.
pub fn review_response(answer: Result<Vec<u8>, Unreadable>) -> Response {
    match answer {
        Ok(body) => ([(header::CONTENT_TYPE, JSON)], body).into_response(),
        Err(unreadable) => (StatusCode::BAD_REQUEST, unreadable.to_string()).into_response(),
    }
}

/// 503, for a request that cannot be answered now. `finish` adds `Retry-After`.
pub fn busy(reason: &'static str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, reason).into_response()
}

/// Lets the API server repeat what got 503, also at the deadline of a request; counts a refused request,
/// and closes the connection of a draining server: the API server's next
/// review then goes to another replica. A connection that is closed without a word costs it one.
async fn finish(State(service): State<Arc<Service>>, mut response: Response) -> Response {
    let status = response.status();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    }
    if !status.is_success() {
        service.metrics().refused(status.as_u16());
        // Not the reason: it may quote the body. A port scanner's requests are of no interest.
        match status {
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
                tracing::debug!(status = status.as_u16(), "request refused");
            }
            _ => tracing::warn!(status = status.as_u16(), "request refused"),
        }
    }
    if service.is_draining() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Answers 500 for a panic, which ends one request and nothing else: a config is only read, and
/// replaced as a whole, so a panic leaves nothing half-done.
#[derive(Clone)]
struct CountPanic(Arc<Service>);

impl ResponseForPanic for CountPanic {
    type ResponseBody = Body;

    fn response_for_panic(&mut self, _message: Box<dyn Any + Send>) -> Response {
        self.0.metrics().panics.inc();
        (StatusCode::INTERNAL_SERVER_ERROR, "internal error").into_response()
    }
}
