package redistest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Certs are a certificate authority of the test's own and two certificates that it has
// signed: one for a server at 127.0.0.1 or localhost, and one for a client. The fields are
// paths of PEM files.
type Certs struct {
	CA                    string
	ServerCert, ServerKey string
	ClientCert, ClientKey string

	roots  *x509.CertPool
	client tls.Certificate
}

// TLS creates certificates that are valid for an hour.
//
//	certs := redistest.TLS(t)
//	p := redistest.Start(t, certs.Args()...)
//	rdb := p.Client(func(o *redis.Options) { o.TLSConfig = certs.Config() })
func TLS(t testing.TB) *Certs {
	t.Helper()
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	c := &Certs{
		CA:         file("ca.crt"),
		ServerCert: file("server.crt"), ServerKey: file("server.key"),
		ClientCert: file("client.crt"), ClientKey: file("client.key"),
		roots: x509.NewCertPool(),
	}
	ca := newIdentity(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "redistest CA"},
		IsCA:    true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil)
	server := newIdentity(t, &x509.Certificate{
		Subject:     pkix.Name{CommonName: "redistest server"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
		// A Redis server is also a client of other servers.
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, ca)
	client := newIdentity(t, &x509.Certificate{
		Subject:     pkix.Name{CommonName: "redistest client"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, ca)
	writePEM(t, c.CA, "CERTIFICATE", ca.cert.Raw)
	server.save(t, c.ServerCert, c.ServerKey)
	client.save(t, c.ClientCert, c.ClientKey)
	c.roots.AddCert(ca.cert)
	c.client = tls.Certificate{Certificate: [][]byte{client.cert.Raw}, PrivateKey: client.key}
	return c
}

// Args returns the settings with which Start starts a server that speaks only TLS, on the
// port in its Addr. The server asks for no client certificate, unless "--tls-auth-clients",
// "yes" is added.
func (c *Certs) Args() []string {
	return []string{
		"--port", "0", "--tls-port", "{port}", "--tls-auth-clients", "no",
		"--tls-ca-cert-file", c.CA, "--tls-cert-file", c.ServerCert, "--tls-key-file", c.ServerKey,
	}
}

// Config returns a configuration that trusts the authority and sends the client's
// certificate.
func (c *Certs) Config() *tls.Config {
	return &tls.Config{RootCAs: c.roots, Certificates: []tls.Certificate{c.client}}
}

type identity struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// newIdentity makes a key and a certificate from template, signed by the issuer, or by
// itself without one.
func newIdentity(t testing.TB, template *x509.Certificate, issuer *identity) *identity {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = serial
	template.NotBefore = time.Now().Add(-time.Minute)
	template.NotAfter = time.Now().Add(time.Hour)
	if issuer == nil {
		issuer = &identity{cert: template, key: key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer.cert, &key.PublicKey, issuer.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &identity{cert: cert, key: key}
}

func (id *identity) save(t testing.TB, certFile, keyFile string) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(id.key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, certFile, "CERTIFICATE", id.cert.Raw)
	writePEM(t, keyFile, "PRIVATE KEY", der)
}

func writePEM(t testing.TB, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}
