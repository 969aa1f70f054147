//! Runner profiles: what a user writes, and what it compiles to.
//!
//! A profile's way: text → [`source`] (a tree with positions) → [`schema`] (unknown fields,
//! wrong types) → inherit → check (what makes no sense) → expand (the short forms written out)
//! → [`template`]. All of it happens ahead; the admission path only picks a template.

mod check;
mod compile;
mod compiled;
pub mod crd;
mod expand;
mod inherit;
mod layer;
mod matcher;
mod normal;
pub mod objects;
pub mod pattern;
pub mod problem;
mod report;
pub mod schema;
mod set;
pub mod source;
pub mod spec;
pub mod status;
pub mod template;

pub use compile::{BUILTIN_TEXT, File, schema as spec_schema};
pub use compiled::{Profile, Selected};
pub use matcher::{Matcher, Mismatch};
pub use pattern::{Pattern, PatternError};
pub use problem::{Position, Problem};
pub use set::{BUILTIN, Match, ProfileSet};
pub use spec::KubernetesMode;
