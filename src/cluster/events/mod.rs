//! Events on the EphemeralRunner that a pod belongs to: what was done with it, where whoever wrote
//! the scale set looks, in `kubectl describe ephemeralrunner`.
//!
//! Whoever answers a review leaves a notice and goes on: the queue is bounded, and what does not
//! fit is counted and forgotten. Linkerd's injector timed out when many pods came at once, for the
//! sake of calls that it made while it answered (linkerd2#3358), and a general recorder kept its
//! events back without a word (linkerd2#3374). A task of its own sends ours, one at a time and
//! never too fast. One that the API server does not take is not tried again: the next pods' are
//! better news.

mod fate;
mod message;
mod notice;
mod object;
mod queue;
mod task;

pub use notice::{News, Notice};
pub use object::{MESSAGE_LENGTH, REPORTER};
pub use queue::{Inbox, Outbox, QUEUE};
pub use task::Running;
