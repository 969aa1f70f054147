//! Names of resources.

/// Whether the resource is huge pages, which a container gets only beside CPU or memory.
pub fn is_huge(resource: &str) -> bool {
    resource.starts_with("hugepages-")
}

/// Whether requests and limits of this resource must be equal, and one needs the other:
/// extended resources and huge pages (`pkg/apis/core/v1/helper`, `IsOvercommitAllowed`).
pub fn is_exact(resource: &str) -> bool {
    is_huge(resource) || (resource.contains('/') && !resource.contains("kubernetes.io/"))
}
