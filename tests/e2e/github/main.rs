//! GitHub stand-in.
fn main() {}
