//! Every limit of the server, with its unit and the reason for its value.

use std::time::Duration;

/// Connections served at a time. The API servers of a large cluster keep a few dozen open. The cap
/// bounds other clients, at some 30 KiB of TLS and HTTP state each, and up to [`READ_BUFFER`] more
/// while they send.
pub const MAX_CONNECTIONS: usize = 1024;

/// Connections accepted above [`MAX_CONNECTIONS`]. Each gets one response and `Connection: close`, so
/// that an API server gets through while other clients hold all regular connections.
pub const SPARE_CONNECTIONS: usize = 64;

/// Bytes of one body. The API server takes requests of at most 3 MiB, a review of a CREATE carries
/// one object, and the envelope takes the rest.
pub const BODY_LIMIT: usize = 4 * 1024 * 1024;

/// Bytes of all bodies that are being read or wait for an answer. Eighteen of the largest fit, and
/// some ten thousand of the usual 6 KiB. Beyond it a request is shed with 503, so that a flood of
/// bodies cannot fill the memory.
pub const BUFFERED_BODIES: usize = 72 * 1024 * 1024;

/// Bytes of a body above which a review waits for one of [`LARGE_REVIEWS`] and is answered on a
/// thread of its own. A usual review has 6 KiB and takes microseconds; one of 256 KiB takes
/// a millisecond or more, which would hold up every connection of a worker thread.
pub const LARGE_BODY: usize = 256 * 1024;

/// Large reviews that are answered at a time. Each holds a copy of its body and a tree of it, up to
/// some 30 MiB together, which no other limit counts; and each takes a core from the usual reviews.
pub const LARGE_REVIEWS: usize = 1;

/// Bytes that hyper reads ahead on one connection, which is also its bound on a request's head.
/// An API server's head has some 300 bytes.
pub const READ_BUFFER: usize = 64 * 1024;

/// Bytes of a refused body that are read and dropped, so that a client that is still writing gets the
/// response. Beyond it the server closes the connection.
pub const DISCARD_LIMIT: usize = 2 * BODY_LIMIT;

/// Header fields of one request; an API server sends fewer than ten.
pub const MAX_HEADERS: usize = 64;

/// From accept to the end of the TLS handshake. The API server waits at most 30 s for a webhook, and
/// usually 10 s.
pub const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);

/// From the end of the handshake to the first complete request head, so that port scanners cannot
/// hold connections.
pub const FIRST_REQUEST_DEADLINE: Duration = Duration::from_secs(10);

/// From one response to the next complete request head. The API server closes idle connections after
/// 90 s. The server must close later: a review sent into a closing connection is lost, because the
/// API server does not retry a POST.
pub const IDLE_TIMEOUT: Duration = Duration::from_mins(2);

/// From a request's head to the end of its body.
pub const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// How long the server reads a refused body, see [`DISCARD_LIMIT`].
pub const DISCARD_DEADLINE: Duration = Duration::from_secs(1);

/// The pause after a failed `accept`. Without file descriptors it fails at once each time and would
/// spin.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long a stopping server keeps serving, until every API server has seen the removal of its
/// endpoint.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);

/// How long requests in flight may take after the grace period. Grace and this stay below
/// Kubernetes' default terminationGracePeriodSeconds of 30.
pub const HARD_STOP: Duration = Duration::from_secs(15);

/// The limits of one server. The constants are the defaults; tests set shorter ones.
#[derive(Clone, Debug)]
pub struct Limits {
    /// See [`MAX_CONNECTIONS`].
    pub max_connections: usize,
    /// See [`SPARE_CONNECTIONS`].
    pub spare_connections: usize,
    /// See [`BODY_LIMIT`].
    pub body: usize,
    /// See [`BUFFERED_BODIES`].
    pub buffered_bodies: usize,
    /// See [`HANDSHAKE_DEADLINE`].
    pub handshake_deadline: Duration,
    /// See [`FIRST_REQUEST_DEADLINE`].
    pub first_request_deadline: Duration,
    /// See [`IDLE_TIMEOUT`].
    pub idle_timeout: Duration,
    /// See [`BODY_DEADLINE`].
    pub body_deadline: Duration,
    /// See [`DISCARD_DEADLINE`].
    pub discard_deadline: Duration,
    /// See [`SHUTDOWN_GRACE`].
    pub shutdown_grace: Duration,
    /// See [`HARD_STOP`].
    pub hard_stop: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: MAX_CONNECTIONS,
            spare_connections: SPARE_CONNECTIONS,
            body: BODY_LIMIT,
            buffered_bodies: BUFFERED_BODIES,
            handshake_deadline: HANDSHAKE_DEADLINE,
            first_request_deadline: FIRST_REQUEST_DEADLINE,
            idle_timeout: IDLE_TIMEOUT,
            body_deadline: BODY_DEADLINE,
            discard_deadline: DISCARD_DEADLINE,
            shutdown_grace: SHUTDOWN_GRACE,
            hard_stop: HARD_STOP,
        }
    }
}
