//! Which profile a runner pod gets.

pub mod pattern;

pub use pattern::{Match, Pattern, PatternError};
