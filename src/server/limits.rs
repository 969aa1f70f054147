//! Every limit of the server, with its unit and the reason for its value.
//!
//! Together they keep the process below the chart's memory limit (`tests/it/bounded.rs`).

use std::time::Duration;

/// Connections that have sent at least one byte of a request. HTTP/1.1 needs one for each review at
/// a time, and an API server runs 200 mutating requests at a time by default. Each costs some 30 KiB,
/// and up to [`SMALL_BODY`] more while it sends.
pub const MAX_CONNECTIONS: usize = 1024;

/// Connections before their first byte of a request. Each costs some 10 KiB for at most
/// [`FIRST_BYTE_DEADLINE`], so that silent clients keep no API server out.
pub const MAX_NEW_CONNECTIONS: usize = 4096;

/// From accept to the first byte of a request, with the TLS handshake between. The API server waits
/// 10 s for a webhook by default, and sends at once.
pub const FIRST_BYTE_DEADLINE: Duration = Duration::from_secs(5);

/// From one response to the head of the next request. The API server closes idle connections after
/// 90 s. The server must close later: a review sent into a closing connection is lost, because the
/// API server does not retry a POST.
pub const IDLE_TIMEOUT: Duration = Duration::from_mins(2);

/// From a request's head to its response. The longest timeout that a registration may ask for is
/// 30 s, and the default is 10 s.
pub const REQUEST_DEADLINE: Duration = Duration::from_secs(10);

/// How long a client may leave a response unread: `TCP_USER_TIMEOUT`, tcp(7).
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes of one body. The API server takes requests of at most 3 MiB, a review of a CREATE carries
/// one object, and the envelope takes the rest.
pub const BODY_LIMIT: usize = 4 * 1024 * 1024;

/// Bytes of a body up to which a review is read beside all others, and a pod's is answered on the
/// thread of its connection. A usual review has 6 KiB and takes 50 us, less than a hand-over to
/// another thread and back.
pub const SMALL_BODY: usize = 64 * 1024;

/// Bytes of all bodies above [`SMALL_BODY`] at a time, by their Content-Length. For a moment they take
/// twice as much.
pub const LARGE_BODIES: usize = 32 * 1024 * 1024;

/// How long such a body waits for its turn, before the answer is 503 with `Retry-After`.
pub const LARGE_BODY_WAIT: Duration = Duration::from_secs(2);

/// Reviews with such a body, and reviews of RunnerProfiles, that are answered at a time, on threads of
/// their own. Each takes a core for milliseconds, and its tree up to 30 MiB.
pub const HEAVY_REVIEWS: usize = 1;

/// Bytes that hyper reads ahead on one connection, which is also its bound on a request's head.
/// An API server's head has some 300 bytes.
pub const READ_BUFFER: usize = 32 * 1024;

/// Header fields of one request; an API server sends fewer than ten.
pub const MAX_HEADERS: usize = 64;

/// The pause after a failed `accept`. Without file descriptors it fails at once each time and would
/// spin.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long a stopping server keeps serving, until every API server has seen the removal of its
/// endpoint.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);

/// How long requests in flight may take after the grace period. Grace and this stay below
/// Kubernetes' default terminationGracePeriodSeconds of 30.
pub const HARD_STOP: Duration = Duration::from_secs(15);

/// The limits of one server. The constants are the defaults; tests set smaller ones.
#[derive(Clone, Debug)]
pub struct Limits {
    /// See [`MAX_CONNECTIONS`].
    pub max_connections: usize,
    /// See [`MAX_NEW_CONNECTIONS`].
    pub max_new_connections: usize,
    /// See [`FIRST_BYTE_DEADLINE`].
    pub first_byte_deadline: Duration,
    /// See [`IDLE_TIMEOUT`].
    pub idle_timeout: Duration,
    /// See [`REQUEST_DEADLINE`].
    pub request_deadline: Duration,
    /// See [`WRITE_TIMEOUT`].
    pub write_timeout: Duration,
    /// See [`LARGE_BODIES`].
    pub large_bodies: usize,
    /// See [`LARGE_BODY_WAIT`].
    pub large_body_wait: Duration,
    /// See [`SHUTDOWN_GRACE`].
    pub shutdown_grace: Duration,
    /// See [`HARD_STOP`].
    pub hard_stop: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: MAX_CONNECTIONS,
            max_new_connections: MAX_NEW_CONNECTIONS,
            first_byte_deadline: FIRST_BYTE_DEADLINE,
            idle_timeout: IDLE_TIMEOUT,
            request_deadline: REQUEST_DEADLINE,
            write_timeout: WRITE_TIMEOUT,
            large_bodies: LARGE_BODIES,
            large_body_wait: LARGE_BODY_WAIT,
            shutdown_grace: SHUTDOWN_GRACE,
            hard_stop: HARD_STOP,
        }
    }
}
