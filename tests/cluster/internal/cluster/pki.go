package cluster

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"net"
	"os"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	certutil "k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
	"k8s.io/kubernetes/cmd/kubeadm/app/util/pkiutil"
)

// nodeName is the node that runs pods.
const nodeName = "real"

// authority signs all certificates of one cluster.
type authority struct {
	place       Place
	certificate *x509.Certificate
	key         crypto.Signer
}

func newAuthority(place Place) (authority, error) {
	certificate, key, err := pkiutil.NewCertificateAuthority(&pkiutil.CertConfig{
		Config: certutil.Config{CommonName: "arc-rocm test cluster"},
	})
	if err != nil {
		return authority{}, err
	}
	if err := os.MkdirAll(place.path("pki"), 0o700); err != nil {
		return authority{}, err
	}
	ca := authority{place, certificate, key}
	return ca, os.WriteFile(ca.file("ca.crt"), pkiutil.EncodeCertPEM(certificate), 0o644)
}

func (ca authority) file(name string) string { return ca.place.path("pki", name) }

// issue makes a key and a certificate, in PEM.
func (ca authority) issue(config certutil.Config) (certificatePEM, keyPEM []byte, err error) {
	certificate, key, err := pkiutil.NewCertAndKey(ca.certificate, ca.key, &pkiutil.CertConfig{Config: config})
	if err != nil {
		return nil, nil, err
	}
	keyPEM, err = keyutil.MarshalPrivateKeyToPEM(key)
	return pkiutil.EncodeCertPEM(certificate), keyPEM, err
}

// writePair writes NAME.crt and NAME.key.
func (ca authority) writePair(name string, config certutil.Config) error {
	certificate, key, err := ca.issue(config)
	if err != nil {
		return fmt.Errorf("certificate %s: %w", name, err)
	}
	if err := os.WriteFile(ca.file(name+".crt"), certificate, 0o644); err != nil {
		return err
	}
	return os.WriteFile(ca.file(name+".key"), key, 0o600)
}

// writeKubeconfig writes a kubeconfig to path, for a user of these groups.
func (ca authority) writeKubeconfig(path, server, user string, groups ...string) error {
	certificate, key, err := ca.issue(certutil.Config{
		CommonName:   user,
		Organization: groups,
		Usages:       []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return fmt.Errorf("certificate of %s: %w", user, err)
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["cluster"] = &clientcmdapi.Cluster{
		Server:                   server,
		CertificateAuthorityData: pkiutil.EncodeCertPEM(ca.certificate),
	}
	config.AuthInfos["user"] = &clientcmdapi.AuthInfo{ClientCertificateData: certificate, ClientKeyData: key}
	config.Contexts["context"] = &clientcmdapi.Context{Cluster: "cluster", AuthInfo: "user"}
	config.CurrentContext = "context"
	return clientcmd.WriteToFile(*config, path)
}

// credentials writes all keys, certificates and kubeconfigs that the components need.
func credentials(place Place, network Network) error {
	ca, err := newAuthority(place)
	if err != nil {
		return err
	}
	serving := certutil.Config{
		CommonName: "kube-apiserver",
		Usages:     []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		AltNames: certutil.AltNames{
			DNSNames: []string{
				"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
				"kubernetes.default.svc.cluster.local",
			},
			IPs: []net.IP{net.ParseIP("127.0.0.1"), net.ParseIP(apiServiceIP), net.ParseIP(network.Cluster)},
		},
	}
	// The kubelet lets in who holds a certificate of the authority and may do it by RBAC.
	toKubelet := certutil.Config{
		CommonName:   "kube-apiserver-kubelet-client",
		Organization: []string{"system:masters"},
		Usages:       []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	// Signs service account tokens; the certificate beside the key is not used.
	tokens := certutil.Config{CommonName: "service-accounts", Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	for name, config := range map[string]certutil.Config{
		"apiserver": serving, "kubelet-client": toKubelet, "service-accounts": tokens,
	} {
		if err := ca.writePair(name, config); err != nil {
			return err
		}
	}
	for file, identity := range map[string][]string{
		"controller-manager.kubeconfig": {"system:kube-controller-manager"},
		"scheduler.kubeconfig":          {"system:kube-scheduler"},
		"kubelet.kubeconfig":            {"system:node:" + nodeName, "system:nodes"},
		// kwok acts as the kubelet of many nodes, which no single node's identity may.
		"kwok.kubeconfig": {"kwok", "system:masters"},
	} {
		if err := ca.writeKubeconfig(ca.file(file), network.Server(), identity[0], identity[1:]...); err != nil {
			return err
		}
	}
	return ca.writeKubeconfig(place.Kubeconfig(), network.Server(), "kubernetes-admin", "system:masters")
}
