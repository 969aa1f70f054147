package cluster

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/vishvananda/netlink"
)

const (
	// maxNetworks is how many isolated clusters fit on one machine: one third byte each.
	maxNetworks = 200
	// serviceRange is where the API server takes the addresses of Services from; the first is its own.
	serviceRange = "10.96.0.0/16"
	// apiServiceIP is the Service `kubernetes`, as pods get it in KUBERNETES_SERVICE_HOST.
	apiServiceIP = "10.96.0.1"
	// RegistryAddress is the same in each isolated cluster, so that images can have it built in.
	RegistryAddress = "10.96.255.250:5000"
)

// Network is where the parts of a cluster find each other.
type Network struct {
	// Index tells networks of isolated clusters apart.
	Index int `json:"index"`
	// Host is the address of this machine as the cluster sees it.
	Host string `json:"host"`
	// Cluster is the address of the API server and of the node, as this machine sees it.
	Cluster string `json:"cluster"`
	// APIPort, EtcdPort, EtcdPeerPort are TCP ports at Cluster and at loopback.
	APIPort      int `json:"apiPort"`
	EtcdPort     int `json:"etcdPort"`
	EtcdPeerPort int `json:"etcdPeerPort"`
	// KwokPort serves for kwok's nodes what a kubelet serves.
	KwokPort int `json:"kwokPort"`
	// Pods is the range of addresses of the pods on the real node.
	Pods string `json:"pods"`
}

// link is the name of this machine's end of the cluster's link.
func (network Network) link() string { return fmt.Sprintf("arc-rocm-%d", network.Index) }

// Server is the address of the API server, a URL.
func (network Network) Server() string {
	return fmt.Sprintf("https://%s:%d", network.Cluster, network.APIPort)
}

// loopback is the network of a cluster without a namespace: free ports, found by asking for them.
func loopback() (Network, error) {
	network := Network{Host: "127.0.0.1", Cluster: "127.0.0.1"}
	for _, port := range []*int{&network.APIPort, &network.EtcdPort, &network.EtcdPeerPort, &network.KwokPort} {
		// All are held until the last is found, so that none is given twice.
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return network, err
		}
		defer listener.Close()
		*port = listener.Addr().(*net.TCPAddr).Port
	}
	return network, nil
}

// isolated is the network of an isolated cluster.
func isolated(index int) Network {
	return Network{
		Index:        index,
		Host:         fmt.Sprintf("10.213.%d.1", index),
		Cluster:      fmt.Sprintf("10.213.%d.2", index),
		APIPort:      443,
		EtcdPort:     2379,
		EtcdPeerPort: 2380,
		KwokPort:     10247,
		Pods:         fmt.Sprintf("10.244.%d.0/24", index),
	}
}

// join ties the network namespace of process pid to this machine's by a network that no other
// cluster has: it can be reached, pods included, and it reaches this machine's own address, but
// nothing beyond. The link goes with the namespace, some time later.
func join(pid int) (Network, error) {
	for index := range maxNetworks {
		network := isolated(index)
		// The kernel gives a link's name away once, so the name is the lock.
		name := network.link()
		err := netlink.LinkAdd(&netlink.Veth{
			LinkAttrs:     netlink.LinkAttrs{Name: name},
			PeerName:      "eth0",
			PeerNamespace: netlink.NsPid(pid),
		})
		if errors.Is(err, syscall.EEXIST) {
			continue
		}
		if err != nil {
			return network, fmt.Errorf("add link %s: %w", name, err)
		}
		if err := up(name, network.Host+"/30"); err != nil {
			return network, err
		}
		return network, route(name, network.Pods, network.Cluster)
	}
	return Network{}, errors.New("all networks of test clusters are taken")
}

// leave takes the link of `join` away at once. What does not work here the kernel does.
func (network Network) leave() {
	if link, err := netlink.LinkByName(network.link()); err == nil {
		_ = netlink.LinkDel(link)
	}
}

// settle sets up the inside of the namespace that `join` tied.
func (network Network) settle() error {
	own := []string{apiServiceIP + "/32", hostOf(RegistryAddress) + "/32"}
	if err := up("lo", own...); err != nil {
		return err
	}
	if err := up("eth0", network.Cluster+"/30"); err != nil {
		return err
	}
	return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0)
}

// hostOf is an address without its port.
func hostOf(address string) string {
	host, _, _ := net.SplitHostPort(address)
	return host
}

// up gives a link addresses, and sets it up.
func up(name string, addresses ...string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("link %s: %w", name, err)
	}
	for _, text := range addresses {
		address, err := netlink.ParseAddr(text)
		if err != nil {
			return err
		}
		if err := netlink.AddrAdd(link, address); err != nil {
			return fmt.Errorf("address %s on %s: %w", text, name, err)
		}
	}
	return netlink.LinkSetUp(link)
}

// route sends what goes to a range of addresses through a link, to a gateway.
func route(name, destination, gateway string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	_, network, err := net.ParseCIDR(destination)
	if err != nil {
		return err
	}
	way := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: network, Gw: net.ParseIP(gateway)}
	if err := netlink.RouteAdd(way); err != nil {
		return fmt.Errorf("route to %s: %w", destination, err)
	}
	return nil
}
