//! Paths of mounts.

/// A mount path in the form in which two paths are the same directory: without a trailing slash,
/// and below `/run`, where `/var/run` points in every distribution.
pub fn canonical(path: &str) -> &str {
    let path = if path.len() > 1 { path.trim_end_matches('/') } else { path };
    match path.strip_prefix("/var") {
        Some(run) if run == "/run" || run.starts_with("/run/") => run,
        _ => path,
    }
}

/// The variables that a `subPathExpr` such as `$(POD_NAME)-docker` uses.
pub fn variables(expression: &str) -> impl Iterator<Item = &str> {
    expression.split("$(").skip(1).filter_map(|rest| rest.split_once(')').map(|(name, _)| name))
}
