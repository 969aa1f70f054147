//! Runner profiles: what a user writes, and what it compiles to.
//!
//! A profile's way: text → [`source`] (a tree with positions) → [`schema`] (unknown fields,
//! wrong types) → inherit → check (what makes no sense) → expand (the short forms written out)
//! → [`template`]. All of it happens ahead; the admission path only picks a template.

mod check;
mod compile;
mod compiled;
mod crd;
mod depth_limited;
mod document;
mod duplicates;
mod expand;
mod inherit;
mod layer;
mod matcher;
pub(crate) mod normal;
mod numbers;
pub mod pattern;
pub mod problem;
mod report;
mod resolve;
pub mod schema;
mod set;
pub mod source;
pub mod spec;
pub mod status;
pub mod template;

pub(crate) use check::bad_image;
pub use compiled::{Profile, Selected};
pub use crd::CRD;
pub use depth_limited::DepthLimited;
pub use document::Origin;
pub(crate) use layer::beyond;
pub use matcher::{Matcher, Mismatch};
pub use pattern::{Pattern, PatternError};
pub use problem::{Position, Problem};
pub use resolve::{
    BUILTIN_TEXT, Change, File, Object, Resolved, SUITE_ENDING, resolve, resolve_change,
};
pub use schema::spec as spec_schema;
pub use set::{BUILTIN, Match, ProfileSet};
pub use spec::KubernetesMode;
