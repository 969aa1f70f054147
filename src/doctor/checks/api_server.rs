//! Whether the API server is reachable and new enough.

use crate::doctor::{Check, Facts, FindingCode, Unknown};

const NAME: &str = "api-server";
/// The chart's `kubeVersion`: `ValidatingAdmissionPolicy` is v1 since 1.30 (KEP-3488). Sidecars, such
/// as dind, are on by default since 1.29 (KEP-753).
const OLDEST: u32 = 30;
/// The minors that `tests/e2e` runs on.
const TESTED: std::ops::RangeInclusive<u32> = 35..=37;

/// The only check without a reachable API server.
pub(in super::super) fn unreachable(error: &Unknown) -> Check {
    let mut check = Check::new(NAME);
    check.add(FindingCode::ApiServerUnreachable, error.to_string(), &[]);
    check
}

pub(super) fn check(facts: &Facts) -> Check {
    let mut check = Check::new(NAME);
    let Some(version) = check.known(&facts.version) else { return check };
    check.summary.clone_from(version);
    match minor(version) {
        Some(minor) if minor < OLDEST => check.add(
            FindingCode::ApiServerTooOld,
            format!("{version} is older than 1.{OLDEST}"),
            &[],
        ),
        Some(minor) if !TESTED.contains(&minor) => check.add(
            FindingCode::ApiServerUntested,
            format!(
                "{version} is not tested; tested are 1.{} to 1.{}",
                TESTED.start(),
                TESTED.end()
            ),
            &[],
        ),
        Some(_) => {}
        None => check.unknown(format!("{version:?} is no Kubernetes version 1.x")),
    }
    check
}

/// The minor of `v1.37.2` or `v1.35.1-eks-abc`.
fn minor(version: &str) -> Option<u32> {
    let rest = version.trim_start_matches('v').strip_prefix("1.")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::testing::{codes, healthy};

    #[test]
    fn version_is_checked_by_its_minor() {
        let of =
            |version: &str| codes(&check(&Facts { version: Ok(version.to_owned()), ..healthy() }));
        assert!(of("v1.37.2").is_empty());
        assert!(of("v1.35.4-eks-3025e55").is_empty());
        assert_eq!(of("v1.30.0"), ["api-server-untested"]);
        assert_eq!(of("v1.38.0+k3s1"), ["api-server-untested"]);
        assert_eq!(of("v1.29.15"), ["api-server-too-old"]);
        assert_eq!(of(""), ["unknown"]);
    }
}
