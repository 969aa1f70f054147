// peer is what arc-rocm is measured beside: a mutating webhook as a Go team writes one today, with
// controller-runtime. It decodes the pod into its type, adds what arc-rocm adds to the pod `plain`,
// encodes it again and answers with the difference. It has no profiles, and its containers have no
// scripts, as if those were in their images.
//
//	peer --bind ADDRESS:PORT --cert-dir FOLDER
//
// The folder has tls.crt and tls.key. The suite's case figures-peer registers it, and compares its
// pods with those of arc-rocm. `go test -bench .` measures what an answer costs the API server.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/netip"
	"os"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

const (
	status      = "arc-rocm.dev/status"
	token       = "/var/run/secrets/kubernetes.io/serviceaccount"
	runnerImage = "ghcr.io/saienduri/ghascale-rocm-dev:main"
	dindImage   = "ghcr.io/saienduri/dind:main"
	socket      = "unix:///var/run/docker.sock"
)

// volumes are shared by runner and dind, but for the last one.
var volumes = []corev1.VolumeMount{
	{Name: "work", MountPath: "/home/runner/_work"},
	{Name: "dind-sock", MountPath: "/var/run"},
	{Name: "dind-externals", MountPath: "/home/runner/externals"},
	{Name: "docker-data", MountPath: "/home/runner/docker-data"},
	{Name: "podinfo", MountPath: "/etc/podinfo"},
}

type injector struct{ decoder admission.Decoder }

// Handle answers one review.
func (i injector) Handle(_ context.Context, request admission.Request) admission.Response {
	pod := &corev1.Pod{}
	if err := i.decoder.Decode(request, pod); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	if _, done := pod.Annotations[status]; done {
		return admission.Allowed("")
	}
	runner := runnerOf(pod)
	if runner == nil {
		return admission.Allowed("")
	}
	inject(pod, runner)
	injected, err := json.Marshal(pod)
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, err)
	}
	return admission.PatchResponseFromRaw(request.Object.Raw, injected)
}

func runnerOf(pod *corev1.Pod) *corev1.Container {
	for i := range pod.Spec.Containers {
		if pod.Spec.Containers[i].Name == "runner" {
			return &pod.Spec.Containers[i]
		}
	}
	return nil
}

func inject(pod *corev1.Pod, runner *corev1.Container) {
	var mounts []corev1.VolumeMount
	for _, mount := range runner.VolumeMounts {
		if mount.MountPath == token {
			mounts = append(mounts, mount)
		}
	}
	spec := &pod.Spec
	spec.InitContainers = append(spec.InitContainers, externals(mounts), dind(mounts))
	for _, volume := range volumes {
		spec.Volumes = append(spec.Volumes, corev1.Volume{
			Name:         volume.Name,
			VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}},
		})
	}
	if spec.NodeSelector == nil {
		spec.NodeSelector = map[string]string{}
	}
	spec.NodeSelector["pytorch"] = "yes"
	if spec.SecurityContext == nil {
		spec.SecurityContext = &corev1.PodSecurityContext{}
	}
	spec.SecurityContext.SupplementalGroups = append(spec.SecurityContext.SupplementalGroups, 110)
	grace := int64(90)
	spec.TerminationGracePeriodSeconds = &grace

	runner.Image = runnerImage
	runner.Command = append([]string{
		"/bin/sh", "/opt/start", "--gpus=2", "--group-add=110", "--wait-for-docker=120", "--",
	}, runner.Command...)
	runner.Env = append(
		runner.Env,
		corev1.EnvVar{Name: "DOCKER_HOST", Value: socket},
		ofPod("POD_NAME", "metadata.name"),
		ofPod("NODE_NAME", "spec.nodeName"),
		corev1.EnvVar{Name: "KUBE_CPU_REQUEST", ValueFrom: &corev1.EnvVarSource{
			ResourceFieldRef: &corev1.ResourceFieldSelector{
				Resource: "requests.cpu",
				Divisor:  resource.MustParse("1"),
			},
		}},
	)
	runner.VolumeMounts = append(runner.VolumeMounts, volumes...)
	runner.Resources = corev1.ResourceRequirements{
		Requests: amounts("cpu", "40", "memory", "450000Mi", "ephemeral-storage", "100G", "amd.com/gpu", "2"),
		Limits:   amounts("ephemeral-storage", "100G", "amd.com/gpu", "2"),
	}

	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	pod.Annotations[status] = `{"profile":"rocm","version":"0.1.0","digest":"0123456789ab"}`
}

// externals copies the runner's externals to where dind sees them too.
func externals(mounts []corev1.VolumeMount) corev1.Container {
	copied := corev1.VolumeMount{Name: "dind-externals", MountPath: "/home/runner/tmpDir"}
	return corev1.Container{
		Name:            "init-dind-externals",
		Image:           runnerImage,
		ImagePullPolicy: corev1.PullAlways,
		Command:         []string{"cp", "-r", "/home/runner/externals/.", "/home/runner/tmpDir/"},
		Resources: corev1.ResourceRequirements{
			Requests: amounts("cpu", "40", "memory", "450000Mi", "ephemeral-storage", "100G"),
			Limits:   amounts("ephemeral-storage", "100G"),
		},
		VolumeMounts: append([]corev1.VolumeMount{copied}, mounts...),
	}
}

func dind(mounts []corev1.VolumeMount) corev1.Container {
	always, yes, no := corev1.ContainerRestartPolicyAlways, true, false
	shared := volumes[:len(volumes)-1]
	return corev1.Container{
		Name:            "dind",
		Image:           dindImage,
		ImagePullPolicy: corev1.PullIfNotPresent,
		RestartPolicy:   &always,
		Command:         []string{"/bin/sh", "/opt/dind"},
		Args: []string{
			"--host=" + socket, "--group=$(DOCKER_GROUP_GID)", "--data-root=/home/runner/docker-data",
		},
		Env:       []corev1.EnvVar{{Name: "DOCKER_GROUP_GID", Value: "123"}},
		Lifecycle: &corev1.Lifecycle{},
		Resources: corev1.ResourceRequirements{
			Requests: amounts("cpu", "1m", "memory", "1Mi", "ephemeral-storage", "1Mi"),
		},
		SecurityContext: &corev1.SecurityContext{
			Privileged:               &yes,
			AllowPrivilegeEscalation: &yes,
			ReadOnlyRootFilesystem:   &no,
			RunAsNonRoot:             &no,
		},
		VolumeMounts: append(append([]corev1.VolumeMount{}, shared...), mounts...),
	}
}

func ofPod(variable, field string) corev1.EnvVar {
	source := &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: field}}
	return corev1.EnvVar{Name: variable, ValueFrom: source}
}

// amounts takes names and quantities in turns.
func amounts(pairs ...string) corev1.ResourceList {
	list := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		list[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return list
}

func run() error {
	bind := flag.String("bind", "", "address and port to listen on")
	folder := flag.String("cert-dir", "", "folder of tls.crt and tls.key")
	flag.Parse()
	address, err := netip.ParseAddrPort(*bind)
	if err != nil {
		return err
	}
	ctrl.SetLogger(klog.Background())
	server := webhook.NewServer(webhook.Options{
		Host:    address.Addr().String(),
		Port:    int(address.Port()),
		CertDir: *folder,
	})
	handler := injector{admission.NewDecoder(scheme.Scheme)}
	server.Register("/mutate", &webhook.Admission{Handler: handler})
	return server.Start(ctrl.SetupSignalHandler())
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(1)
	}
}
