package web

import (
	"net/http"
	"testing"
)

func TestALocalServerAnswersOnlyToLocalNames(t *testing.T) {
	t.Parallel()
	addr := serving(t, http.NotFound)
	client := &http.Client{Transport: &http.Transport{}}
	for host, want := range map[string]int{
		"":                       http.StatusNotFound, // as the URL has it
		"localhost":              http.StatusNotFound,
		"LocalHost:8080":         http.StatusNotFound,
		"127.0.0.1":              http.StatusNotFound,
		"[::1]":                  http.StatusNotFound,
		"[::1]:80":               http.StatusNotFound,
		"rebound.example":        http.StatusMisdirectedRequest,
		"localhost.example:8080": http.StatusMisdirectedRequest,
		"127.0.0.1.example":      http.StatusMisdirectedRequest,
		"192.168.1.1":            http.StatusMisdirectedRequest,
		"[2001:db8::1]:8080":     http.StatusMisdirectedRequest,
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("Host %q: status %d, want %d", host, res.StatusCode, want)
		}
	}
	client.CloseIdleConnections()
}
