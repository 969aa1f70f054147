// Package components holds the Kubernetes components that this program can be: each is the real
// one, from the modules that its releases are built from.
package components

import (
	"context"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"

	// Metrics and log formats that the components' own main packages link.
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
)

// Run runs the component called name with args until it ends, and reports true or ends the process.
// It reports false when there is no such component.
func Run(name string, args []string) bool {
	switch name {
	case "etcd":
		etcd(args)
		return true
	case "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl":
		// Flags of the components' libraries read os.Args by themselves.
		os.Args = append([]string{name}, args...)
		os.Exit(cli.Run(command(name)))
	}
	return false
}

func command(name string) *cobra.Command {
	switch name {
	case "kube-apiserver":
		return apiserver.NewAPIServerCommand()
	case "kube-controller-manager":
		return controllermanager.NewControllerManagerCommand()
	case "kube-scheduler":
		return scheduler.NewSchedulerCommand()
	case "kubelet":
		return kubelet.NewKubeletCommand(context.Background())
	default:
		return kubectl.NewDefaultKubectlCommand()
	}
}
