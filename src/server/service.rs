//! One request to one answer.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures::future::BoxFuture;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderName, HeaderValue},
};
use tokio::{sync::Semaphore, task};

use super::{
    body::{self, Budget, Complete, Unread},
    gates::Gates,
    limits::{DISCARD_LIMIT, LARGE_BODY, LARGE_REVIEWS, Limits},
};
use crate::{
    admission::{self, Answer, Record, Unreadable},
    inject::Config,
    telemetry::{self, Metrics},
};

/// The path for reviews of pods.
pub const PATH: &str = "/mutate";
/// The path for reviews of RunnerProfiles.
pub const VALIDATE_PATH: &str = "/validate";
/// Reviews of RunnerProfiles at a time, their bodies included. Each takes milliseconds and some
/// megabytes, and they come when a person or a pipeline applies profiles.
const VALIDATIONS: usize = 2;
/// The longest that such a review waits for others. Less than the webhook's timeout.
const VALIDATION_WAIT: Duration = Duration::from_secs(2);

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const CLOSE: HeaderValue = HeaderValue::from_static("close");
/// Seconds. client-go tries again on a 5xx that carries Retry-After, and on nothing else.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// What answers a review: [`admission::answer`], unless a test says otherwise.
pub type Answerer = fn(&[u8], &Config) -> Result<Answer, Unreadable>;

/// What answers a review of a RunnerProfile: its bytes in, those of the answer out.
pub type ValidateHook =
    Box<dyn Fn(Vec<u8>) -> BoxFuture<'static, Result<Vec<u8>, Unvalidated>> + Send + Sync>;

/// Why a review of a RunnerProfile has no answer.
#[derive(Debug)]
pub enum Unvalidated {
    /// The body is no review that can be answered.
    Unreadable(Unreadable),
    /// The objects in the cluster were not read yet.
    NotReady,
    /// A bug.
    Panicked,
}
/// Sees the record of each answer before the answer is sent; must not block.
type Observer = Box<dyn Fn(&Record) + Send + Sync>;

/// What all connections share.
pub struct Service {
    answerer: Answerer,
    budget: Budget,
    /// Called with the record of each answer, for Events; `None` if none are wanted.
    observer: Option<Observer>,
    gates: Gates,
    /// Permits for reviews above [`LARGE_BODY`].
    large: Arc<Semaphore>,
    limits: Limits,
    metrics: Metrics,
    phase: AtomicU8,
    config: ArcSwap<Config>,
    /// Set where RunnerProfiles are watched.
    validate: OnceLock<ValidateHook>,
    validations: Arc<Semaphore>,
}

/// Where a server is in its life.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Phase {
    /// Not listening yet.
    Starting = 0,
    /// Serving, and meant to get requests.
    Serving = 1,
    /// Asked to stop; serves what comes, but wants no more.
    Draining = 2,
}

/// An answer, and whether the connection may live on.
pub(super) struct Reply {
    pub(super) response: Response<Full<Bytes>>,
    close: bool,
}

/// The answerer panicked.
struct Panicked;

/// What came of answering a review.
type Answered = Result<Result<Answer, Unreadable>, Panicked>;

/// Why a request gets no review. Never 403 or 422: the API server passes those on, and ARC takes
/// either for a verdict on the pod and fails the runner for ever.
struct Refusal {
    status: StatusCode,
    reason: String,
    extra: Option<(HeaderName, HeaderValue)>,
}

// === impl Service ===

impl Service {
    /// A service that answers by `config`.
    pub fn new(config: Config, metrics: Metrics, limits: Limits) -> Self {
        Self {
            answerer: admission::answer,
            budget: Budget::new(limits.buffered_bodies),
            observer: None,
            gates: Gates::default(),
            large: Arc::new(Semaphore::new(LARGE_REVIEWS)),
            limits,
            metrics,
            phase: AtomicU8::new(Phase::Starting as u8),
            config: ArcSwap::from_pointee(config),
            validate: OnceLock::new(),
            validations: Arc::new(Semaphore::new(VALIDATIONS)),
        }
    }

    /// The same with another answerer, such as one that panics.
    #[must_use]
    pub fn with_answerer(self, answerer: Answerer) -> Self {
        Self { answerer, ..self }
    }

    /// The same with a function that is called with the record of each answer.
    #[must_use]
    pub fn with_observer(self, observer: impl Fn(&Record) + Send + Sync + 'static) -> Self {
        Self { observer: Some(Box::new(observer)), ..self }
    }

    /// Serves [`VALIDATE_PATH`] from now on. Only the first hook counts.
    pub fn validate_by(&self, hook: ValidateHook) {
        let _ = self.validate.set(hook);
    }

    /// Replaces the config for all requests whose body is complete from now on.
    pub fn replace_config(&self, config: Config) {
        self.config.store(Arc::new(config));
    }

    /// The metrics.
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// What readiness waits for beside the server's own life.
    pub const fn gates(&self) -> &Gates {
        &self.gates
    }

    /// The limits.
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Where the server is in its life.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Starting,
            1 => Phase::Serving,
            _ => Phase::Draining,
        }
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Answers a request. `last` asks for the connection to end with it.
    pub(super) async fn respond(
        &self,
        request: Request<Incoming>,
        last: bool,
    ) -> Response<Full<Bytes>> {
        let mut reply = self.reply(request).await;
        // While draining each answer ends its connection, so that the API server's next review
        // goes to another replica; a connection that is closed without a word costs it one.
        if last || reply.close || self.phase() == Phase::Draining {
            reply.response.headers_mut().insert(header::CONNECTION, CLOSE);
        }
        reply.response
    }

    async fn reply(&self, request: Request<Incoming>) -> Reply {
        let hook = match request.uri().path() {
            VALIDATE_PATH => self.validate.get(),
            _ => None,
        };
        let refusal = check(&request, hook.is_some()).err();
        let mut body = request.into_body();
        if let Some(refusal) = refusal {
            return self.refuse(refusal, &mut body).await;
        }
        let hook = match hook {
            None => None,
            Some(hook) => {
                let permit = Arc::clone(&self.validations).acquire_owned();
                let permit = tokio::time::timeout(VALIDATION_WAIT, permit).await;
                let Ok(permit) = permit else { return self.refuse(busy(), &mut body).await };
                Some((hook, permit))
            }
        };
        let read = body::read(&mut body, self.limits.body, &self.budget);
        match tokio::time::timeout(self.limits.body_deadline, read).await {
            Ok(Ok(complete)) => match hook {
                None => self.admit(complete).await,
                Some((hook, permit)) => {
                    let work = hook(complete.joined().into_owned());
                    drop(complete);
                    // As with large reviews, the permit ends with the work.
                    let work = tokio::spawn(async move {
                        let _permit = permit;
                        work.await
                    });
                    self.validated(work.await.unwrap_or(Err(Unvalidated::Panicked)))
                }
            },
            Ok(Err(Unread::TooLarge)) => {
                let limit = self.limits.body;
                let reason = format!("the body has more than {limit} bytes");
                self.refuse(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, reason), &mut body).await
            }
            Ok(Err(Unread::NoRoom)) => {
                self.metrics.requests_shed.inc();
                self.refuse(busy(), &mut body).await
            }
            Ok(Err(Unread::Broken)) => {
                let reason = "the body ends before its announced length";
                self.refused(Refusal::new(StatusCode::BAD_REQUEST, reason)).closing()
            }
            Err(_elapsed) => {
                let reason = "the body took too long";
                self.refused(Refusal::new(StatusCode::REQUEST_TIMEOUT, reason)).closing()
            }
        }
    }

    /// Answers a review.
    async fn admit(&self, body: Complete<'_>) -> Reply {
        let start = Instant::now();
        let answered = if body.len() > LARGE_BODY {
            self.answer_large(body).await
        } else {
            // On this thread: a usual review takes microseconds, less than a hand-over to another
            // thread and back.
            answer(self.answerer, &body.joined(), &self.config.load())
        };
        let took = start.elapsed();
        match answered {
            Ok(Ok(Answer { body, record })) => {
                telemetry::log_admission(&record, took);
                if let Some(observe) = &self.observer {
                    observe(&record);
                }
                self.metrics.admitted(record, took);
                let mut response = Response::new(Full::new(Bytes::from(body)));
                response.headers_mut().insert(header::CONTENT_TYPE, JSON);
                Reply { response, close: false }
            }
            Ok(Err(unreadable)) => {
                self.refused(Refusal::new(StatusCode::BAD_REQUEST, unreadable.to_string()))
            }
            Err(Panicked) => {
                self.metrics.panics.inc();
                self.refused(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error"))
            }
        }
    }

    /// The answer to a review of a RunnerProfile.
    fn validated(&self, answer: Result<Vec<u8>, Unvalidated>) -> Reply {
        match answer {
            Ok(body) => {
                let mut response = Response::new(Full::new(Bytes::from(body)));
                response.headers_mut().insert(header::CONTENT_TYPE, JSON);
                Reply { response, close: false }
            }
            Err(Unvalidated::Unreadable(unreadable)) => {
                self.refused(Refusal::new(StatusCode::BAD_REQUEST, unreadable.to_string()))
            }
            Err(Unvalidated::NotReady) => {
                let reason = "the RunnerProfiles were not read yet, try again";
                let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, reason);
                self.refused(refusal.with(header::RETRY_AFTER, RETRY_AFTER))
            }
            Err(Unvalidated::Panicked) => {
                self.metrics.panics.inc();
                self.refused(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error"))
            }
        }
    }

    /// Answers a large review on a thread of its own, so that neither the admin port nor other reviews
    /// wait for it.
    async fn answer_large(&self, body: Complete<'_>) -> Answered {
        let permit = Arc::clone(&self.large).acquire_owned().await;
        let (answerer, config) = (self.answerer, self.config.load_full());
        let copy = body.joined().into_owned();
        drop(body);
        // The permit ends with the work, not with the request: a client that goes away does not
        // make room for another tree while its own still exists.
        let work = task::spawn_blocking(move || {
            let _permit = permit;
            answer(answerer, &copy, &config)
        });
        work.await.unwrap_or(Err(Panicked))
    }

    /// Refuses a request, and keeps its connection if the rest of the body is not too much to
    /// read past. Closing on bytes that are still coming would reset the connection, and the
    /// client would never see the refusal.
    async fn refuse(&self, refusal: Refusal, body: &mut Incoming) -> Reply {
        let discard = body::discard(body, DISCARD_LIMIT);
        let drained = tokio::time::timeout(self.limits.discard_deadline, discard).await;
        let reply = self.refused(refusal);
        if drained.unwrap_or(false) { reply } else { reply.closing() }
    }

    fn refused(&self, Refusal { status, reason, extra }: Refusal) -> Reply {
        self.metrics.refused(status.as_u16());
        // The reason is not logged: serde's messages quote what they do not like. Neither are a
        // port scanner's requests, unless asked for.
        match status {
            StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                tracing::debug!(status = status.as_u16(), "request refused");
            }
            _ => tracing::warn!(status = status.as_u16(), "request refused"),
        }
        let mut response = Response::new(Full::new(Bytes::from(reason)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, TEXT);
        headers.extend(extra);
        Reply { response, close: false }
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("limits", &self.limits)
            .field("phase", &self.phase())
            .finish_non_exhaustive()
    }
}

/// For a request that comes while too many others are under way.
fn busy() -> Refusal {
    let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "busy, try again");
    refusal.with(header::RETRY_AFTER, RETRY_AFTER)
}

/// Runs `answerer`. A panic ends the request and nothing else: a config is only read, and replaced as
/// a whole, so a panic leaves nothing half-done.
fn answer(answerer: Answerer, body: &[u8], config: &Config) -> Answered {
    catch_unwind(AssertUnwindSafe(|| answerer(body, config))).map_err(|_panic| Panicked)
}

/// Looks at everything but the body.
fn check<B>(request: &Request<B>, validates: bool) -> Result<(), Refusal> {
    if request.uri().path() != PATH && !validates {
        return Err(Refusal::new(StatusCode::NOT_FOUND, format!("only {PATH} is served here")));
    }
    if request.method() != Method::POST {
        let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "only POST is served here");
        return Err(refusal.with(header::ALLOW, HeaderValue::from_static("POST")));
    }
    if !request.headers().get(header::CONTENT_TYPE).is_some_and(is_json) {
        let reason = "the content type must be application/json";
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason));
    }
    Ok(())
}

/// Whether a content type is JSON, whatever its parameters.
fn is_json(value: &HeaderValue) -> bool {
    let essence = value.as_bytes().split(|&byte| byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

// === impl Reply ===

impl Reply {
    fn closing(self) -> Self {
        Self { close: true, ..self }
    }
}

// === impl Refusal ===

impl Refusal {
    fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into(), extra: None }
    }

    fn with(self, name: HeaderName, value: HeaderValue) -> Self {
        Self { extra: Some((name, value)), ..self }
    }
}
