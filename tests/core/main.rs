//! The pure core on real input: captured reviews, generated pods.

mod generate;
mod goldens;
mod invalid_pods;
mod properties;
mod support;
mod validity;
