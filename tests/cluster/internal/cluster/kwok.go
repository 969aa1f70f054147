package cluster

import (
	"context"
	"fmt"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const (
	// nodeKind is the label that tells nodes that run pods (`real`) from those that only say so.
	nodeKind = "arc-rocm.dev/test-node"
	kwokKind = "kwok"
	// kwokGPUs is what a machine with MI300X has.
	kwokGPUs = "8"
)

// kwok takes the kubelet's part for the nodes of its kind, with the stages that its module brings.
func kwok(place Place, config Config) process {
	stage := func(name string) string { return "--config=" + filepath.Join(config.KwokStages, name) }
	return process{name: kwokKind, program: config.Kwok, args: []string{
		"--kubeconfig=" + place.path("pki", "kwok.kubeconfig"),
		"--manage-nodes-with-label-selector=" + nodeKind + "=" + kwokKind,
		"--node-ip=" + config.Network.Cluster,
		fmt.Sprintf("--server-address=%s:%d", config.Network.Cluster, config.Network.KwokPort),
		"--cidr=10.250.0.0/16",
		"--node-lease-duration-seconds=40",
		stage("node/fast/node-initialize.yaml"),
		stage("node/heartbeat-with-lease/node-heartbeat-with-lease.yaml"),
		stage("pod/fast/pod-ready.yaml"),
		stage("pod/fast/pod-complete.yaml"),
		stage("pod/fast/pod-delete.yaml"),
	}}
}

// makeKwokNodes makes nodes of the size that the built-in profile is for. They have no label
// `kubernetes.io/os`, which a real kubelet always sets: pods that really have to run ask for it.
func makeKwokNodes(ctx context.Context, client kubernetes.Interface, count int) error {
	for index := range count {
		name := fmt.Sprintf("kwok-%d", index)
		resources := corev1.ResourceList{
			corev1.ResourceCPU:              resource.MustParse("192"),
			corev1.ResourceMemory:           resource.MustParse("2300Gi"),
			corev1.ResourceEphemeralStorage: resource.MustParse("10Ti"),
			corev1.ResourcePods:             resource.MustParse("250"),
			"amd.com/gpu":                   resource.MustParse(kwokGPUs),
		}
		node := &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
				nodeKind:                 kwokKind,
				"kubernetes.io/hostname": name,
				"pytorch":                "yes",
			}},
			Status: corev1.NodeStatus{Capacity: resources, Allocatable: resources},
		}
		if _, err := client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("node %s: %w", name, err)
		}
	}
	return nil
}

// nodesReady is ready when `count` nodes are, and offer GPUs.
func nodesReady(client kubernetes.Interface, count int) func(context.Context) error {
	return func(ctx context.Context) error {
		nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		ready := 0
		for _, node := range nodes.Items {
			gpus := node.Status.Allocatable["amd.com/gpu"]
			for _, condition := range node.Status.Conditions {
				if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue && !gpus.IsZero() {
					ready++
				}
			}
		}
		if ready < count {
			return fmt.Errorf("%d of %d nodes are ready", ready, count)
		}
		return nil
	}
}

// accountsReady is ready when pods can be created in the namespace `default`.
func accountsReady(client kubernetes.Interface) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
		return err
	}
}
