package cluster

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/client-go/kubernetes"
	"k8s.io/component-base/version"
)

// controlPlane is etcd, the API server, the controller manager and the scheduler, in this order.
func controlPlane(place Place, network Network, client kubernetes.Interface) []process {
	pki := func(name string) string { return place.path("pki", name) }
	etcd := fmt.Sprintf("http://127.0.0.1:%d", network.EtcdPort)
	bind := network.Cluster
	if network.Cluster != "127.0.0.1" {
		// Also at the Service's address, which pods use.
		bind = "0.0.0.0"
	}
	apiserver := []string{
		"--etcd-servers=" + etcd,
		"--bind-address=" + bind,
		"--advertise-address=" + network.Cluster,
		fmt.Sprintf("--secure-port=%d", network.APIPort),
		"--tls-cert-file=" + pki("apiserver.crt"),
		"--tls-private-key-file=" + pki("apiserver.key"),
		"--client-ca-file=" + pki("ca.crt"),
		"--kubelet-client-certificate=" + pki("kubelet-client.crt"),
		"--kubelet-client-key=" + pki("kubelet-client.key"),
		"--kubelet-preferred-address-types=InternalIP",
		"--service-account-key-file=" + pki("service-accounts.key"),
		"--service-account-signing-key-file=" + pki("service-accounts.key"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-cluster-ip-range=" + serviceRange,
		"--endpoint-reconciler-type=none",
		"--allow-privileged=true",
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		// There is no kube-proxy: Services of webhooks are resolved by their EndpointSlices.
		"--enable-aggregator-routing=true",
		"--profiling=false",
	}
	// MutatingAdmissionPolicy, which the suite measures the webhook against, is off by default before
	// 1.36 (KEP-3962).
	if version.Get().Minor == "35" {
		apiserver = append(apiserver,
			"--feature-gates=MutatingAdmissionPolicy=true",
			"--runtime-config=admissionregistration.k8s.io/v1beta1=true")
	}
	return []process{
		{name: "etcd", args: []string{
			"--data-dir=" + place.path("etcd"),
			"--listen-client-urls=" + etcd,
			fmt.Sprintf("--listen-peer-urls=http://127.0.0.1:%d", network.EtcdPeerPort),
		}, ready: listens("tcp", strings.TrimPrefix(etcd, "http://"))},
		{name: "kube-apiserver", args: apiserver, ready: func(ctx context.Context) error {
			return client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
		}},
		{name: "kube-controller-manager", args: []string{
			"--kubeconfig=" + pki("controller-manager.kubeconfig"),
			"--service-account-private-key-file=" + pki("service-accounts.key"),
			"--root-ca-file=" + pki("ca.crt"),
			"--use-service-account-credentials=true",
			// It starts some 40 controllers one after the other, each with an account that it asks for: by
			// its own limit of 20 requests a second that took most of a cluster's start.
			"--kube-api-qps=500",
			"--kube-api-burst=500",
			// It makes the folder, and its default is the machine's.
			"--flex-volume-plugin-dir=" + place.path("volume-plugins"),
			"--leader-elect=false",
			"--secure-port=0",
		}},
		{name: "kube-scheduler", args: []string{
			"--kubeconfig=" + pki("scheduler.kubeconfig"),
			"--leader-elect=false",
			"--secure-port=0",
		}},
	}
}
