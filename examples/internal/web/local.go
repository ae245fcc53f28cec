package web

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// local refuses requests whose Host is not a local name. A page on the internet can
// let its own name resolve to 127.0.0.1. For a browser, this server then belongs to
// the origin of that page, and the page may read every answer.
func local(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isLocal(r.Host) {
			Handler(func(http.ResponseWriter, *http.Request) error {
				return Refuse(http.StatusMisdirectedRequest, "this server listens for this machine alone; ask for localhost, or start it with another -addr")
			}).ServeHTTP(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}

func isLocal(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil { // it has no port
		name = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	addr, err := netip.ParseAddr(name)
	return err == nil && addr.IsLoopback() || strings.EqualFold(name, "localhost")
}
