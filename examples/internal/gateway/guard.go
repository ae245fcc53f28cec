package gateway

import (
	"net/http"

	"github.com/convkit/rediskit/examples/internal/web"
)

// headers are sent with every answer. The page may load from, and connect to, this
// server only, and pages of other origins may not use this server.
var headers = map[string]string{
	"Content-Security-Policy":      "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Referrer-Policy":              "no-referrer",
	"X-Content-Type-Options":       "nosniff",
}

// ownPage reports whether a request is not one that a page of another origin makes. guard
// lets such a page's GETs pass, since it cannot read the answers. But an event stream takes
// one of a few places.
func ownPage(r *http.Request) bool {
	post := *r
	post.Method = http.MethodPost
	return http.NewCrossOriginProtection().Check(&post) == nil
}

// guard refuses requests that a page of another origin makes with its reader's browser.
// It does so before a request counts against a speaker's limits.
func guard(h http.Handler) http.Handler {
	ours := http.NewCrossOriginProtection()
	ours.SetDenyHandler(web.Handler(func(http.ResponseWriter, *http.Request) error {
		return web.Refuse(http.StatusForbidden, "a page of another origin may not do this")
	}))
	h = ours.Handler(h)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range headers {
			w.Header().Set(name, value)
		}
		h.ServeHTTP(w, r)
	})
}
