package cluster

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	kubeletconfig "k8s.io/kubelet/config/v1beta1"
	"k8s.io/kubernetes/pkg/kubelet/eviction"
	"sigs.k8s.io/yaml"

	"arc-rocm.dev/tests/cluster/internal/images"
)

func TestNetworksOfClustersAreApart(t *testing.T) {
	services := netip.MustParsePrefix(serviceRange)
	for _, address := range []string{apiServiceIP, hostOf(RegistryAddress)} {
		if !services.Contains(netip.MustParseAddr(address)) {
			t.Errorf("%s is no address of a Service", address)
		}
	}
	var taken []netip.Prefix
	for index := range maxNetworks {
		network := isolated(index)
		link := netip.PrefixFrom(netip.MustParseAddr(network.Host), 30).Masked()
		if !link.Contains(netip.MustParseAddr(network.Cluster)) || network.Host == network.Cluster {
			t.Errorf("%d: %s and %s are not the ends of a link", index, network.Host, network.Cluster)
		}
		for _, prefix := range []netip.Prefix{link, netip.MustParsePrefix(network.Pods)} {
			if slices.ContainsFunc(append(taken, services), prefix.Overlaps) {
				t.Errorf("%d: %s is taken", index, prefix)
			}
			taken = append(taken, prefix)
		}
		// IFNAMSIZ is 16, with the zero at the end.
		if len(network.link()) > 15 {
			t.Errorf("%s is too long for a link's name", network.link())
		}
	}
}

func TestPortsOfAPlainClusterAreDistinct(t *testing.T) {
	network, err := loopback()
	if err != nil {
		t.Fatal(err)
	}
	ports := []int{network.APIPort, network.EtcdPort, network.EtcdPeerPort, network.KwokPort}
	slices.Sort(ports)
	if ports[0] == 0 || len(slices.Compact(ports)) != 4 {
		t.Errorf("got %v", ports)
	}
}

func TestControllersThatTheKubeletWants(t *testing.T) {
	if got := needed("cpuset cpu io memory hugetlb pids rdma misc\n"); !slices.Equal(got, []string{"cpuset", "cpu", "memory", "hugetlb", "pids"}) {
		t.Errorf("got %v", got)
	}
}

func TestGroupsGoFromTheLeavesUp(t *testing.T) {
	group := filepath.Join(t.TempDir(), cgroupOf("one"))
	if err := os.MkdirAll(filepath.Join(group, "kubepods", "pod", "container"), 0o755); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		// The second time it is gone.
		if err := removeGroup(group); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(group); err == nil {
		t.Error("it is still there")
	}
	if cgroupOf("a") == cgroupOf("b") || !strings.HasPrefix(cgroupOf("a"), "/") {
		t.Errorf("got %s, %s", cgroupOf("a"), cgroupOf("b"))
	}
}

func TestTheKubeletEvictsNothingAndStaysInItsPlace(t *testing.T) {
	text, err := kubeletConfig("/x", "one")
	if err != nil {
		t.Fatal(err)
	}
	var config kubeletconfig.KubeletConfiguration
	if err := yaml.UnmarshalStrict([]byte(text), &config); err != nil {
		t.Fatal(err)
	}
	for signal := range eviction.DefaultEvictionHard {
		if config.EvictionHard[signal] != "0%" {
			t.Errorf("by %s it evicts at %q", signal, config.EvictionHard[signal])
		}
	}
	if config.CgroupRoot != cgroupOf("one") || config.CgroupDriver != "cgroupfs" {
		t.Errorf("cgroups: %s, %s", config.CgroupRoot, config.CgroupDriver)
	}
	for _, path := range []string{config.PodLogsDir, config.VolumePluginDir, config.Authentication.X509.ClientCAFile} {
		if !strings.HasPrefix(path, "/x/") {
			t.Errorf("%q is outside of the place", path)
		}
	}
	if *config.Authentication.Anonymous.Enabled {
		t.Error("anybody may ask the kubelet")
	}
}

func TestContainerdWritesInItsPlace(t *testing.T) {
	text := containerdConfig(`/a "b"`, "/tree/cni")
	for _, line := range []string{
		`root = "/a \"b\"/containerd"`, `path = "/a \"b\"/opt"`, `conf_dir = "/a \"b\"/etc/cni"`,
		`config_path = "/a \"b\"/etc/certs.d"`, `bin_dirs = ["/tree/cni"]`, `sandbox = "` + images.Pause + `"`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no line %s in\n%s", line, text)
		}
	}
}

func TestPodsHaveTheNetworkThatIsRouted(t *testing.T) {
	var config struct {
		Plugins []struct {
			IPAM struct {
				DataDir string
				Ranges  [][]struct{ Subnet string }
			}
		}
	}
	if err := json.Unmarshal([]byte(podNetwork(isolated(3), `/a "b"`)), &config); err != nil {
		t.Fatal(err)
	}
	ipam := config.Plugins[0].IPAM
	if ipam.DataDir != `/a "b"` || ipam.Ranges[0][0].Subnet != isolated(3).Pods {
		t.Errorf("got %v", ipam)
	}
}

func TestTheAPIServerUsesTheEtcdOfItsCluster(t *testing.T) {
	network := isolated(1)
	network.EtcdPort = 4711
	parts := controlPlane("/x", network, nil)
	if !slices.Contains(parts[0].args, "--listen-client-urls=http://127.0.0.1:4711") ||
		!slices.Contains(parts[1].args, "--etcd-servers=http://127.0.0.1:4711") {
		t.Errorf("got %v, %v", parts[0].args, parts[1].args)
	}
}

// TestAPlainControlPlaneIsOnLoopbackAlone: it is on the machine's own network.
func TestAPlainControlPlaneIsOnLoopbackAlone(t *testing.T) {
	network, err := loopback()
	if err != nil {
		t.Fatal(err)
	}
	apiserver := controlPlane("/x", network, nil)[1].args
	if !slices.Contains(apiserver, "--bind-address=127.0.0.1") {
		t.Errorf("got %v", apiserver)
	}
}

func TestCertificates(t *testing.T) {
	place, network := Place(t.TempDir()), isolated(9)
	if err := credentials(place, network); err != nil {
		t.Fatal(err)
	}
	read := func(name string) []byte {
		text, err := os.ReadFile(place.path("pki", name))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(read("ca.crt"))
	block, _ := pem.Decode(read("apiserver.crt"))
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{network.Cluster, apiServiceIP, "127.0.0.1", "kubernetes.default.svc"} {
		if _, err := certificate.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	secrets, err := filepath.Glob(place.path("pki", "*.key"))
	if err != nil || len(secrets) == 0 {
		t.Fatal(secrets, err)
	}
	kubeconfigs, _ := filepath.Glob(place.path("pki", "*.kubeconfig"))
	for _, path := range append(append(secrets, kubeconfigs...), place.Kubeconfig()) {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
}
