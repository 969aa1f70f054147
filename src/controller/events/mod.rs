//! Events on the EphemeralRunner of a pod: what the webhook did with it, for
//! `kubectl describe ephemeralrunner`.
//!
//! A response never waits for an event: the server puts it into a bounded queue, and an event that
//! does not fit is counted and dropped. A task sends them, one at a time and at a bounded rate.
//! An event that the API server refuses is not retried. Linkerd's injector timed out on calls made
//! while it answered (linkerd2#3358), and a general recorder dropped its events silently
//! (linkerd2#3374).

mod message;
mod object;
mod outcome;
mod queue;
mod runner_event;
mod task;

pub use object::{MESSAGE_LENGTH, REPORTER};
pub use queue::{EventReceiver, EventSender, QUEUE};
pub use runner_event::{EventKind, RunnerEvent};
pub use task::EventTask;
