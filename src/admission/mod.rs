//! The admission path: the bytes of an `AdmissionReview` in, the bytes of the answer out.
//!
//! A RunnerProfile is refused where it is bad ([`ProfileRequest`]); a pod never is.
//! Nothing here waits, and nothing here fails for what a pod says: a review that can be read is
//! always answered `allowed: true`, because ARC marks a runner whose pod was refused with 403 or
//! 422 as Failed for ever (actions-runner-controller, `ephemeralrunner_controller.go`).

mod answer;
mod decision;
mod record;
mod response;
mod review;
mod validate;

pub use answer::answer;
pub(crate) use answer::display_name;
pub use decision::Decision;
pub(crate) use decision::{decide, subject};
pub use record::{Answer, Outcome, Owner, Record};
pub(crate) use response::{conflict_json, review as answer_review};
pub(crate) use review::of_pod;
pub use review::{Request, Unreadable, read};
pub use validate::{ProfileDecision, ProfileRequest};
