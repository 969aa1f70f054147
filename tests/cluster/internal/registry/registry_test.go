package registry

import (
	"context"
	"net"
	"testing"
	"time"
)

func TestServesUntilItIsToldToEnd(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- ServeOn(ctx, listener, t.TempDir()) }()
	waiting, stop := context.WithTimeout(ctx, 10*time.Second)
	defer stop()
	addr := listener.Addr().String()
	if err := Ready(waiting, addr); err != nil {
		t.Fatal(err)
	}
	if err := Serve(addr, t.TempDir()); err == nil {
		t.Error("a second one at the same address")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	short, stop := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer stop()
	if err := Ready(short, addr); err == nil {
		t.Error("ready after its end")
	}
}
