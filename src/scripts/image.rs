//! The scripts as files of the webhook's own image, which a pod can have as an image volume.
//!
//! The volume is read-only and noexec: a shell runs the files. They have all parts, and the options say
//! which to use.

use super::{JOB_COMPLETED, JOB_STARTED, PARTS, dind, start};

/// Where a pod has the image.
pub const PATH: &str = "/opt/arc-rocm";
/// [`start`] there, run as `/bin/sh FILE ARGUMENTS...`.
pub const START_FILE: &str = "/opt/arc-rocm/start";
/// [`dind`] there, run as `/bin/sh FILE ARGUMENTS...`.
pub const DIND_FILE: &str = "/opt/arc-rocm/dind";

/// Name and text of each file, in the image's root.
pub fn files() -> [(&'static str, String); 4] {
    [
        ("start", start(&PARTS.map(|part| (part, true)))),
        ("dind", dind(true)),
        ("job-started.sh", JOB_STARTED.clone()),
        ("job-completed.sh", JOB_COMPLETED.clone()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_has_each_file_that_pods_run() {
        let paths = files().map(|(name, _)| format!("{PATH}/{name}"));
        for path in [START_FILE, DIND_FILE] {
            assert!(paths.iter().any(|other| other == path), "{path}");
        }
    }
}
