package components

import (
	"flag"
	"log"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"go.etcd.io/etcd/server/v3/embed"
)

// etcd serves one member at --listen-client-urls with its data in --data-dir, until it is told to
// end. Nothing is synced to disk: the data of a test cluster need not survive a power cut, and
// fsync is most of what etcd waits for.
func etcd(args []string) {
	flags := flag.NewFlagSet("etcd", flag.ExitOnError)
	dir := flags.String("data-dir", "", "folder of the data")
	client := flags.String("listen-client-urls", "", "where to listen for clients")
	peer := flags.String("listen-peer-urls", "", "where to listen for members")
	_ = flags.Parse(args)

	config := embed.NewConfig()
	config.Dir = *dir
	config.LogLevel = "error"
	config.UnsafeNoFsync = true
	config.ListenClientUrls = []url.URL{mustURL(*client)}
	config.AdvertiseClientUrls = config.ListenClientUrls
	config.ListenPeerUrls = []url.URL{mustURL(*peer)}
	config.AdvertisePeerUrls = config.ListenPeerUrls
	config.InitialCluster = config.InitialClusterFromName(config.Name)

	server, err := embed.StartEtcd(config)
	if err != nil {
		log.Fatal("etcd: ", err)
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	select {
	case <-ended:
		server.Close()
	case err := <-server.Err():
		log.Fatal("etcd: ", err)
	}
}

func mustURL(text string) url.URL {
	parsed, err := url.Parse(text)
	if err != nil {
		log.Fatal("etcd: ", err)
	}
	return *parsed
}
