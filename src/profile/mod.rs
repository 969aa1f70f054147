//! Runner profiles: what a user writes, and what it compiles to.

pub mod problem;

pub use problem::{Position, Problem};
