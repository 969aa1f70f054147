//! Runner profiles: what a user writes, and what it compiles to.

pub mod problem;
pub mod schema;
pub mod source;

pub use problem::{Position, Problem};
