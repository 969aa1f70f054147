//! The pod as it came: raw JSON, read but never re-serialised.

pub mod json;

pub use json::{Json, Text};
