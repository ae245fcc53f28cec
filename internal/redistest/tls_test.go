package redistest

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

func TestOnlyClientsWithTheAuthorityTrustATLSServer(t *testing.T) {
	startsReal(t)
	certs := TLS(t)
	p := Start(t, certs.Args()...)
	ping := func(config *tls.Config) error {
		return p.Client(func(o *redis.Options) { o.TLSConfig = config }).Ping(t.Context()).Err()
	}
	if err := ping(certs.Config()); err != nil {
		t.Errorf("with the authority: %v", err)
	}
	if err := ping(&tls.Config{RootCAs: certs.Config().RootCAs}); err != nil {
		t.Errorf("without a client certificate: %v", err)
	}
	if err := ping(&tls.Config{}); !errors.As(err, new(x509.UnknownAuthorityError)) {
		t.Errorf("without the authority: %v", err)
	}
	if err := p.Client().Ping(t.Context()).Err(); err == nil {
		t.Error("the server answers without TLS")
	}
}

func TestATLSServerMayRequireClientCertificates(t *testing.T) {
	startsReal(t)
	certs := TLS(t)
	p := Start(t, append(certs.Args(), "--tls-auth-clients", "yes")...)
	proxy := StartProxy(t, p.Addr()) // cannot read TLS, and forwards everything
	ping := func(config *tls.Config) error {
		return p.Client(func(o *redis.Options) {
			o.Addr, o.TLSConfig = proxy.Addr(), config
		}).Ping(t.Context()).Err()
	}
	if err := ping(certs.Config()); err != nil {
		t.Errorf("with a certificate: %v", err)
	}
	if err := ping(&tls.Config{RootCAs: certs.Config().RootCAs}); err == nil ||
		!strings.Contains(err.Error(), "certificate required") {
		t.Errorf("without a certificate: %v", err)
	}
	if n := proxy.Requests(); n != 0 {
		t.Errorf("the proxy read %d commands through TLS", n)
	}
}
