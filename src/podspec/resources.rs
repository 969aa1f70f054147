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

/// The extended resource of AMD's device plugin with its default naming strategy.
pub const AMD_GPU: &str = "amd.com/gpu";
/// The extended resource of the DeviceClass of AMD's DRA driver (KEP-5004).
const AMD_GPU_CLASS: &str = "deviceclass.resource.kubernetes.io/gpu.amd.com";

/// Whether the resource is an AMD GPU or a partition of one: `amd.com/gpu`, or with the naming
/// strategy `mixed` the compute and memory partition, such as `amd.com/cpx_nps4`
/// (ROCm/k8s-device-plugin `docs/user-guide/configuration.md`). Others of AMD's are not:
/// `amd.com/nic` and `amd.com/vnic` are network cards (ROCm/k8s-network-device-plugin).
pub fn is_amd_gpu(resource: &str) -> bool {
    let is_partition = |name: &str| {
        name.split_once('_').is_some_and(|(compute, memory)| {
            compute.len() == 3 && compute.ends_with("px") && memory.starts_with("nps")
        })
    };
    matches!(resource, AMD_GPU | AMD_GPU_CLASS)
        || resource.strip_prefix("amd.com/").is_some_and(is_partition)
}

/// How the extended resources of other vendors' GPUs and accelerators begin, as their device
/// plugins name them. NVIDIA's network cards are `nvidia.com/` too (NVIDIA/network-operator:
/// `nvidia.com/hostdev`), and serve nodes with AMD GPUs.
const OTHER_GPUS: [&str; 10] = [
    "nvidia.com/gpu",
    "nvidia.com/mig-",
    "gpu.intel.com/",
    "habana.ai/",
    "aws.amazon.com/neuron",
    "google.com/tpu",
    "huawei.com/Ascend",
    "qualcomm.com/qaic",
    "deviceclass.resource.kubernetes.io/gpu.nvidia.com",
    "deviceclass.resource.kubernetes.io/gpu.intel.com",
];

/// Whether the resource is a GPU or accelerator of another vendor than AMD.
pub fn is_other_gpu(resource: &str) -> bool {
    OTHER_GPUS.iter().any(|prefix| resource.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpu_names_are_those_of_device_plugins() {
        for gpu in ["amd.com/gpu", "amd.com/spx_nps1", "amd.com/dpx_nps2", "amd.com/cpx_nps4"] {
            assert!(is_amd_gpu(gpu) && !is_other_gpu(gpu), "{gpu}");
        }
        for other in ["nvidia.com/gpu", "nvidia.com/gpu.shared", "nvidia.com/mig-1g.5gb"] {
            assert!(is_other_gpu(other) && !is_amd_gpu(other), "{other}");
        }
        let no_gpus = [
            "amd.com/nic",
            "amd.com/vnic",
            "amd.com/px_nps",
            "amd.com/gpu_vf",
            "example.com/cpx_nps4",
            "nvidia.com/hostdev",
            "rdma/hca",
            "cpu",
        ];
        for none in no_gpus {
            assert!(!is_amd_gpu(none) && !is_other_gpu(none), "{none}");
        }
    }
}
