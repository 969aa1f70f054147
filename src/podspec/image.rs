//! Images of containers.

/// The image that ARC's charts fill in (gha-runner-scale-set `values.yaml`).
const CHART_IMAGE: &str = "ghcr.io/actions/actions-runner";

/// Whether ARC's chart filled in this image. An image with a digest was pinned by a person.
pub fn is_chart_image(image: &str) -> bool {
    !image.contains('@') && is_chart_image_or_pinned(image)
}

/// Whether an image is that of ARC's charts, pinned or not.
pub fn is_chart_image_or_pinned(image: &str) -> bool {
    image.split_once('@').map_or(image, |(name, _)| name).rsplit_once(CHART_IMAGE).is_some_and(
        |(mirror, tag)| {
            (mirror.is_empty() || mirror.ends_with('/')) && (tag.is_empty() || tag.starts_with(':'))
        },
    )
}

/// Whether an image is `original`, or has all of it in its path: a cluster that rewrites images to a
/// mirror does so before or after the webhook.
pub fn is_at_mirror(image: &str, original: &str) -> bool {
    image
        .strip_suffix(original)
        .is_some_and(|mirror| mirror.is_empty() || mirror.ends_with('/') && !original.is_empty())
}

/// The pull policy that the API server fills in for an image (`pkg/apis/core/v1/defaults.go`).
pub fn default_pull_policy(image: &str) -> &'static str {
    let name = image.rsplit_once('/').map_or(image, |(_, name)| name);
    match name.rsplit_once(':') {
        _ if name.contains('@') => "IfNotPresent",
        None | Some((_, "latest")) => "Always",
        Some(_) => "IfNotPresent",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chart_image_is_known_by_name_without_digest() {
        assert!(is_chart_image("ghcr.io/actions/actions-runner:latest"));
        assert!(is_chart_image("ghcr.io/actions/actions-runner:2.330.0"));
        assert!(is_chart_image("ghcr.io/actions/actions-runner"));
        assert!(!is_chart_image("ghcr.io/actions/actions-runner@sha256:abc"));
        assert!(!is_chart_image("ghcr.io/actions/actions-runner:1@sha256:abc"));
        assert!(!is_chart_image("ghcr.io/actions/actions-runner-dind:latest"));
        assert!(!is_chart_image("mirror.example.com/actions/actions-runner:latest"));
    }

    #[test]
    fn chart_image_at_a_mirror_is_known_by_its_path() {
        assert!(is_chart_image("mirror.example/ghcr.io/actions/actions-runner:latest"));
        assert!(is_chart_image("mirror.example:5000/proxy/ghcr.io/actions/actions-runner"));
        assert!(is_chart_image_or_pinned("mirror.example/ghcr.io/actions/actions-runner@sha256:a"));
        assert!(!is_chart_image("mirror.example/ghcr.io/actions/actions-runner@sha256:a"));
        assert!(!is_chart_image("notghcr.io/actions/actions-runner"));
        assert!(!is_chart_image("mirror.example/ghcr.io/actions/actions-runner-dind:1"));
    }

    #[test]
    fn image_at_a_mirror_has_the_whole_original_in_its_path() {
        assert!(is_at_mirror("ghcr.io/a/b:1", "ghcr.io/a/b:1"));
        assert!(is_at_mirror("mirror.example/x/ghcr.io/a/b:1", "ghcr.io/a/b:1"));
        assert!(!is_at_mirror("mirror.example/x/ghcr.io/a/b:2", "ghcr.io/a/b:1"));
        assert!(!is_at_mirror("mirrorghcr.io/a/b:1", "ghcr.io/a/b:1"));
        assert!(!is_at_mirror("mirror.example/", ""));
    }

    #[test]
    fn default_pull_policy_follows_the_api_server() {
        assert_eq!(default_pull_policy("busybox"), "Always");
        assert_eq!(default_pull_policy("localhost:5000/busybox"), "Always");
        assert_eq!(default_pull_policy("busybox:latest"), "Always");
        assert_eq!(default_pull_policy("busybox:1"), "IfNotPresent");
        assert_eq!(default_pull_policy("busybox@sha256:abc"), "IfNotPresent");
    }
}
