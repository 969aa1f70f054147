// Package deviceplugin offers fake device nodes as amd.com/gpu, with the paths that AMD's device
// plugin gives to a container: /dev/kfd and one render node for each GPU.
package deviceplugin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	pluginapi "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

const (
	// resource is the extended resource of AMD's plugin.
	resource = "amd.com/gpu"
	// socket is the plugin's own, beside the kubelet's.
	socket = "amd.com_gpu"
	// firstRender is the first minor number of DRM's render nodes (Linux, drm_drv.c).
	firstRender = 128
	// renderStep is what lies between the render nodes of two MI300X in SPX mode: each has eight
	// numbers, for its partitions.
	renderStep = 8
	// group owns the nodes on the cluster that the built-in profile is for.
	group = 110
	// kfd is the one compute node of all GPUs.
	kfd = "/dev/kfd"
)

// harmless is the device behind each fake node: the one of /dev/null.
var harmless = unix.Mkdev(1, 3)

// render is the path of GPU number `index`.
func render(index int) string { return fmt.Sprintf("/dev/dri/renderD%d", firstRender+renderStep*index) }

// MakeNodes makes the nodes of `count` GPUs in /dev, which has to be one of the caller's own.
func MakeNodes(count int) error {
	if err := os.MkdirAll("/dev/dri", 0o755); err != nil {
		return err
	}
	paths := []string{kfd}
	for index := range count {
		paths = append(paths, render(index))
	}
	for _, path := range paths {
		if err := unix.Mknod(path, unix.S_IFCHR|0o660, int(harmless)); err != nil {
			return fmt.Errorf("make %s: %w", path, err)
		}
		if err := errors.Join(os.Chmod(path, 0o660), os.Chown(path, 0, group)); err != nil {
			return err
		}
	}
	return nil
}

type plugin struct {
	pluginapi.UnimplementedDevicePluginServer
	count int
}

// Serve registers `count` GPUs with the kubelet whose folder of plugins is `folder`, and serves them
// until it fails or the context is done.
func Serve(ctx context.Context, folder string, count int) error {
	path := filepath.Join(folder, socket)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	pluginapi.RegisterDevicePluginServer(server, &plugin{count: count})
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	if err := register(ctx, folder); err != nil {
		return fmt.Errorf("register with the kubelet: %w", err)
	}
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		server.Stop()
		return nil
	}
}

func register(ctx context.Context, folder string) error {
	connection, err := grpc.NewClient("unix:"+filepath.Join(folder, "kubelet.sock"),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	_, err = pluginapi.NewRegistrationClient(connection).Register(ctx, &pluginapi.RegisterRequest{
		Version:      pluginapi.Version,
		Endpoint:     socket,
		ResourceName: resource,
	})
	return err
}

// GetDevicePluginOptions says that neither a preferred allocation nor a call before a start is needed.
func (*plugin) GetDevicePluginOptions(context.Context, *pluginapi.Empty) (*pluginapi.DevicePluginOptions, error) {
	return &pluginapi.DevicePluginOptions{}, nil
}

// ListAndWatch lists all GPUs once: fake ones do not break.
func (plugin *plugin) ListAndWatch(_ *pluginapi.Empty, stream pluginapi.DevicePlugin_ListAndWatchServer) error {
	list := &pluginapi.ListAndWatchResponse{}
	for index := range plugin.count {
		list.Devices = append(list.Devices, &pluginapi.Device{ID: filepath.Base(render(index)), Health: pluginapi.Healthy})
	}
	if err := stream.Send(list); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
}

// Allocate gives a container the nodes of the GPUs that the kubelet chose for it.
func (*plugin) Allocate(_ context.Context, request *pluginapi.AllocateRequest) (*pluginapi.AllocateResponse, error) {
	response := &pluginapi.AllocateResponse{}
	for _, container := range request.ContainerRequests {
		devices := []*pluginapi.DeviceSpec{device(kfd)}
		for _, id := range idsOf(container) {
			devices = append(devices, device("/dev/dri/"+id))
		}
		response.ContainerResponses = append(response.ContainerResponses, &pluginapi.ContainerAllocateResponse{Devices: devices})
	}
	return response, nil
}

func device(path string) *pluginapi.DeviceSpec {
	return &pluginapi.DeviceSpec{HostPath: path, ContainerPath: path, Permissions: "rw"}
}

// idsOf reads the ids of GPUs under the name that the field has in this minor of Kubernetes.
func idsOf(container any) []string {
	switch container := container.(type) {
	case interface{ GetDevicesIds() []string }:
		return container.GetDevicesIds()
	case interface{ GetDevicesIDs() []string }:
		return container.GetDevicesIDs()
	}
	return nil
}
