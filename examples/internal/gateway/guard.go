package gateway

import (
	"net/http"

	"github.com/convkit/rediskit/examples/internal/web"
)

// headers of every answer let the page load, and talk to, what is here and
// nothing else, and keep other pages from using what is here.
var headers = map[string]string{
	"Content-Security-Policy":      "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Referrer-Policy":              "no-referrer",
	"X-Content-Type-Options":       "nosniff",
}

// guard refuses what a page of another origin would have its reader's browser
// do here, before it counts against a speaker's limits.
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
