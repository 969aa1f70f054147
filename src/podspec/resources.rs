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

/// How the extended resources of other vendors' GPUs and accelerators begin, as their device
/// plugins name them.
const OTHER_GPUS: [&str; 7] = [
    "nvidia.com/",
    "gpu.intel.com/",
    "habana.ai/",
    "aws.amazon.com/neuron",
    "google.com/tpu",
    "huawei.com/Ascend",
    "qualcomm.com/qaic",
];

/// Whether the resource is a GPU or accelerator of another vendor than AMD.
pub fn is_other_gpu(resource: &str) -> bool {
    OTHER_GPUS.iter().any(|prefix| resource.starts_with(prefix))
}
