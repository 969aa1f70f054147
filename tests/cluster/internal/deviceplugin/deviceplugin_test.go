package deviceplugin

import (
	"context"
	"net"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	pluginapi "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

// Time for all that a test asks, which takes some milliseconds.
const within = 20 * time.Second

// kubelet takes registrations.
type kubelet struct {
	pluginapi.UnimplementedRegistrationServer
	registered chan *pluginapi.RegisterRequest
}

func (kubelet kubelet) Register(_ context.Context, request *pluginapi.RegisterRequest) (*pluginapi.Empty, error) {
	kubelet.registered <- request
	return &pluginapi.Empty{}, nil
}

// served starts the plugin beside a kubelet of the test's own, and is a client of it.
func served(t *testing.T, count int) (context.Context, pluginapi.DevicePluginClient) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	folder, takes := t.TempDir(), kubelet{registered: make(chan *pluginapi.RegisterRequest, 1)}
	listener, err := net.Listen("unix", filepath.Join(folder, "kubelet.sock"))
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	pluginapi.RegisterRegistrationServer(server, takes)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, folder, count) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the plugin ended with %v", err)
		}
	})
	select {
	case request := <-takes.registered:
		if request.ResourceName != "amd.com/gpu" || request.Version != pluginapi.Version || request.Endpoint != socket {
			t.Errorf("registered %v", request)
		}
	case <-ctx.Done():
		t.Fatal("it did not register")
	}
	connection, err := grpc.NewClient("unix:"+filepath.Join(folder, socket), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	return ctx, pluginapi.NewDevicePluginClient(connection)
}

func TestEachGPUIsListedAndGiven(t *testing.T) {
	ctx, client := served(t, 2)
	stream, err := client.ListAndWatch(ctx, &pluginapi.Empty{})
	if err != nil {
		t.Fatal(err)
	}
	list, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, device := range list.Devices {
		if device.Health != pluginapi.Healthy {
			t.Errorf("%s is %s", device.ID, device.Health)
		}
		ids = append(ids, device.ID)
	}
	if !slices.Equal(ids, []string{"renderD128", "renderD136"}) {
		t.Fatalf("listed %v", ids)
	}

	// One container gets both, another only the second.
	response, err := client.Allocate(ctx, &pluginapi.AllocateRequest{ContainerRequests: []*pluginapi.ContainerAllocateRequest{
		asks(t, ids...), asks(t, ids[1]),
	}})
	if err != nil {
		t.Fatal(err)
	}
	var given [][]string
	for _, container := range response.ContainerResponses {
		var paths []string
		for _, device := range container.Devices {
			if device.HostPath != device.ContainerPath || device.Permissions != "rw" {
				t.Errorf("gave %v", device)
			}
			paths = append(paths, device.ContainerPath)
		}
		given = append(given, paths)
	}
	want := [][]string{{"/dev/kfd", "/dev/dri/renderD128", "/dev/dri/renderD136"}, {"/dev/kfd", "/dev/dri/renderD136"}}
	if !reflect.DeepEqual(given, want) {
		t.Errorf("gave %v", given)
	}
}

// asks is a container's request for GPUs, in a field whose name differs between minors.
func asks(t *testing.T, ids ...string) *pluginapi.ContainerAllocateRequest {
	t.Helper()
	request := &pluginapi.ContainerAllocateRequest{}
	for _, name := range []string{"DevicesIds", "DevicesIDs"} {
		if field := reflect.ValueOf(request).Elem().FieldByName(name); field.IsValid() {
			field.Set(reflect.ValueOf(ids))
			return request
		}
	}
	t.Fatal("the field has another name in this minor")
	return nil
}

func TestWithoutAKubeletItFails(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	if err := Serve(ctx, t.TempDir(), 1); err == nil {
		t.Error("no error")
	}
}
