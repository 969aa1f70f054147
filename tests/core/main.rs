//! The pure core on real input: captured reviews, generated pods.

mod goldens;
mod memo;
mod names;
mod support;
