//! What a request is refused with.

use serde_json::{Value, json};

/// A refusal in the shape that the Actions service uses and its client reads
/// (`actions/scaleset`, `errors.go`): a status, the name of an exception, a sentence. The client
/// acts on four of the names: `AgentExistsException`, `AgentNotFoundException`,
/// `JobStillRunningException`, and any 401 of the message queue.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Refusal {
    /// HTTP status, 400 to 499.
    pub(crate) status: u16,
    /// Name of the exception, `typeName` of the body.
    pub(crate) name: &'static str,
    /// For people.
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(status: u16, name: &'static str, message: impl Into<String>) -> Self {
        Self { status, name, message: message.into() }
    }

    /// 400: the request does not say what it has to.
    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self::new(400, "ArgumentException", message)
    }

    /// 401: no token, an expired one, or one of something else.
    pub(crate) fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(401, "UnauthorizedRequestException", message)
    }

    /// 404: a scale set that is not there, or is another tenant's.
    pub(crate) fn no_scale_set(id: u64) -> Self {
        Self::new(404, "RunnerScaleSetNotFoundException", format!("no runner scale set {id}"))
    }

    /// 404: a runner that is not there, or is another tenant's.
    pub(crate) fn no_runner(id: u64) -> Self {
        Self::new(404, "AgentNotFoundException", format!("no agent {id}"))
    }

    /// 404: a message session that is not the one in force.
    pub(crate) fn no_session(id: &str) -> Self {
        Self::new(404, "RunnerScaleSetSessionNotFoundException", format!("no session {id}"))
    }

    /// The body of the answer.
    pub(crate) fn body(&self) -> Value {
        json!({"typeName": self.name, "message": self.message})
    }
}
