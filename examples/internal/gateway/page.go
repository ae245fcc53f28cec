package gateway

import (
	"embed"
	"fmt"
	"net/http"
	"path"

	"github.com/convkit/rediskit/examples/internal/web"
)

//go:embed page
var page embed.FS

// pageRoutes returns the routes of the Dashboard's files. index.html is served as /.
func pageRoutes() []web.Route {
	files, _ := page.ReadDir("page") // embedded, so it cannot fail
	var routes []web.Route
	for _, file := range files {
		name := file.Name()
		at := "/" + name
		if name == "index.html" {
			at = "/{$}"
		}
		routes = append(routes, web.Route{Method: http.MethodGet, Path: at, Handle: serveFile(name)})
	}
	return routes
}

func serveFile(name string) web.Handler {
	return func(w http.ResponseWriter, _ *http.Request) error {
		body, err := page.ReadFile("page/" + name)
		if err != nil {
			return fmt.Errorf("read a file of the page: %w", err)
		}
		w.Header().Set("Content-Type", contentTypes[path.Ext(name)])
		w.Header().Set("Cache-Control", "no-cache")
		_, _ = w.Write(body)
		return nil
	}
}

// contentTypes does not use package mime, whose tables depend on the machine.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}
