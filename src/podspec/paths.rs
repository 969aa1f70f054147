//! Paths of mounts.

use std::path::Path;

/// A mount path in the form in which two paths are the same directory: without a trailing slash,
/// and below `/run`, where `/var/run` points in every distribution.
pub fn canonical(path: &str) -> &str {
    let path = if path.len() > 1 { path.trim_end_matches('/') } else { path };
    match path.strip_prefix("/var") {
        Some(run) if run == "/run" || run.starts_with("/run/") => run,
        _ => path,
    }
}

/// Whether one of two absolute paths is the other, or a directory above it.
pub fn overlap(one: &str, other: &str) -> bool {
    let (one, other) = (Path::new(canonical(one)), Path::new(canonical(other)));
    one.starts_with(other) || other.starts_with(one)
}

/// The variables that a `subPathExpr` such as `$(POD_NAME)-docker` uses.
pub fn variables(expression: &str) -> impl Iterator<Item = &str> {
    expression.split("$(").skip(1).filter_map(|rest| rest.split_once(')').map(|(name, _)| name))
}
