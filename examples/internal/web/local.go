package web

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// local refuses requests to any name but this machine's own. A page elsewhere
// can have its own name resolve to 127.0.0.1: to a browser, the server is then
// of that page's origin, which may read all that it answers.
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
