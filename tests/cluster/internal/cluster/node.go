package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubeletconfig "k8s.io/kubelet/config/v1beta1"
	"sigs.k8s.io/yaml"

	"arc-rocm.dev/tests/cluster/internal/debian"
	"arc-rocm.dev/tests/cluster/internal/deviceplugin"
	"arc-rocm.dev/tests/cluster/internal/images"
)

const (
	// realGPUs is how many GPUs the node that runs pods offers.
	realGPUs = 4
	// kubeletRoot is the kubelet's own default.
	kubeletRoot = "/var/lib/kubelet"
	// containerd's socket; its state is in /run, which is in memory, and its content at the place.
	containerd = "/run/containerd/containerd.sock"
)

const (
	// syncFrequency is how soon a changed Secret or ConfigMap is seen by running pods; the default of a
	// minute is long for a test.
	syncFrequency = 5 * time.Second
	// statusFrequency is how soon a node that came up is seen to be ready.
	statusFrequency = time.Second
)

// nodePackages are what a node needs besides the kubelet and containerd.
var nodePackages = []string{"containernetworking-plugins", "libseccomp2", "runc"}

// node is containerd, the kubelet and the device plugin, in this order.
func node(place Place, config Config) ([]process, error) {
	tree := config.NodeTree
	if err := deviceplugin.MakeNodes(realGPUs); err != nil {
		return nil, err
	}
	etc := place.path("etc")
	files := map[string]string{
		"containerd.toml":             containerdConfig(place, filepath.Join(tree, "usr/lib/cni")),
		"certs.d/_default/hosts.toml": mirror,
		"cni/10-pods.conflist":        podNetwork(config.Network, place.path("cni")),
	}
	text, err := kubeletConfig(place, config.Name)
	if err != nil {
		return nil, err
	}
	files["kubelet.yaml"] = text
	for name, text := range files {
		path := filepath.Join(etc, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	plugins := filepath.Join(kubeletRoot, "device-plugins")
	return []process{
		{
			name:    "containerd",
			program: config.Containerd,
			args:    []string{"--config", filepath.Join(etc, "containerd.toml")},
			env: []string{
				"PATH=" + filepath.Dir(config.Containerd) + ":" + filepath.Join(tree, "usr/bin") + ":" + filepath.Join(tree, "usr/sbin") + ":" + os.Getenv("PATH"),
				"LD_LIBRARY_PATH=" + filepath.Join(tree, "usr/lib", debian.Triplet()),
			},
			ready: listens("unix", containerd),
		},
		{name: "kubelet", args: []string{
			"--config=" + filepath.Join(etc, "kubelet.yaml"),
			"--kubeconfig=" + place.path("pki", "kubelet.kubeconfig"),
			"--hostname-override=" + nodeName,
			"--node-ip=" + config.Network.Cluster,
			"--node-labels=" + nodeKind + "=" + nodeName + ",pytorch=yes",
		}, ready: listens("unix", filepath.Join(plugins, "kubelet.sock"))},
		{name: "device-plugin", args: []string{plugins, fmt.Sprint(realGPUs)}},
	}, nil
}

// containerdConfig has what this cluster needs otherwise than containerd's defaults.
func containerdConfig(place Place, cni string) string {
	return fmt.Sprintf(`version = 3
root = %q
state = "/run/containerd"
[grpc]
  address = %q
[plugins."io.containerd.internal.v1.opt"]
  path = %q
[plugins."io.containerd.nri.v1.nri"]
  disable = true
[plugins."io.containerd.cri.v1.images"]
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = %q
  [plugins."io.containerd.cri.v1.images".registry]
    config_path = %q
[plugins."io.containerd.cri.v1.runtime"]
  disable_apparmor = true
  # A machine that is a sandbox itself may not lower oom_score_adj, and runc would give up.
  restrict_oom_score_adj = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = [%q]
    conf_dir = %q
`, place.path("containerd"), containerd, place.path("opt"), images.Pause, place.path("etc", "certs.d"), cni, place.path("etc", "cni"))
}

// mirror sends what is asked of any registry to the cluster's own.
const mirror = `[host."http://` + RegistryAddress + `"]
  capabilities = ["pull", "resolve"]
`

// podNetwork gives each pod an address that is routed, by a veth of its own; nothing is translated.
func podNetwork(network Network, data string) string {
	return fmt.Sprintf(`{
  "cniVersion": "1.0.0",
  "name": "pods",
  "plugins": [{
    "type": "ptp",
    "ipam": {
      "type": "host-local",
      "dataDir": %q,
      "ranges": [[{"subnet": %q}]],
      "routes": [{"dst": "0.0.0.0/0"}]
    }
  }]
}
`, data, network.Pods)
}

// kubeletConfig has what this cluster needs otherwise than the kubelet's defaults.
func kubeletConfig(place Place, name string) (string, error) {
	// Pods may have all of the machine: nothing is set aside and nothing evicted. An empty map is not
	// encoded, and means the defaults, by which a machine with a full disk gets no pod at all.
	evict := map[string]string{}
	for _, signal := range []string{"imagefs.available", "imagefs.inodesFree", "memory.available", "nodefs.available", "nodefs.inodesFree"} {
		evict[signal] = "0%"
	}
	var keepImages int32 = 100
	off, on, empty := false, true, ""
	var zero int32
	config := kubeletconfig.KubeletConfiguration{
		TypeMeta:                 metav1.TypeMeta{APIVersion: "kubelet.config.k8s.io/v1beta1", Kind: "KubeletConfiguration"},
		ContainerRuntimeEndpoint: "unix://" + containerd,
		PodLogsDir:               place.path("log", "pods"),
		VolumePluginDir:          place.path("volume-plugins"),
		Authentication: kubeletconfig.KubeletAuthentication{
			X509:      kubeletconfig.KubeletX509Authentication{ClientCAFile: place.path("pki", "ca.crt")},
			Anonymous: kubeletconfig.KubeletAnonymousAuthentication{Enabled: &off},
			Webhook:   kubeletconfig.KubeletWebhookAuthentication{Enabled: &on},
		},
		CgroupDriver:                "cgroupfs",
		CgroupRoot:                  cgroupOf(name),
		EnforceNodeAllocatable:      []string{"pods"},
		EvictionHard:                evict,
		ImageGCHighThresholdPercent: &keepImages,
		FailCgroupV1:                &off,
		FailSwapOn:                  &off,
		ResolverConfig:              &empty,
		HealthzPort:                 &zero,
		ClusterDomain:               "cluster.local",
		KubeReserved:                map[string]string{},
		MaxPods:                     110,
		SyncFrequency:               metav1.Duration{Duration: syncFrequency},
		NodeStatusUpdateFrequency:   metav1.Duration{Duration: statusFrequency},
		SerializeImagePulls:         &off,
		ContainerLogMaxSize:         resource.NewQuantity(10<<20, resource.BinarySI).String(),
	}
	text, err := yaml.Marshal(config)
	return string(text), err
}
