package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// The simulated speakers. The eager one sends more messages than the limits allow.
const (
	calm  = 5 // speakers, user_2 to user_6
	eager = "user_7"
)

var phrases = []string{
	"E amanhã?", "Como vai estar o tempo?", "Coloca café na lista de compras.", "Me acorda às 7h.",
	"Apaga as luzes da sala.", "Que horas joga o Bahia?", "Toca uma MPB tranquila.", "Quanto falta para o forno?",
	"Me ensina a fazer pão de queijo.", "Liga para minha avó.", "Repete, por favor.", "Obrigada!",
}

// A visitor is a speaker as a client of the gateway.
type visitor struct {
	base, speaker string
	client        *http.Client
}

// talk runs the speakers until ctx ends.
func talk(ctx context.Context, base string) {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 32}}
	defer client.CloseIdleConnections()
	var all sync.WaitGroup
	for n := range calm {
		v := visitor{base, fmt.Sprintf("user_%d", n+2), client}
		all.Go(func() { v.chat(ctx, 3, 2*time.Second, 6*time.Second) })
		all.Go(func() { v.pollList(ctx) })
	}
	for part := range 4 { // four conversations at once
		v := visitor{base, eager, client}
		all.Go(func() { v.chat(ctx, part+1, 400*time.Millisecond, 900*time.Millisecond) })
	}
	all.Wait()
}

// chat sends messages until ctx ends, each in one of the speaker's latest
// conversations, with pauses that take between from and to.
func (v visitor) chat(ctx context.Context, latest int, from, to time.Duration) {
	for pause(ctx, from+rand.N(to-from)) {
		list := v.list(ctx)
		if len(list) < latest {
			continue
		}
		id := list[rand.IntN(latest)]
		if v.speaker == eager {
			id = list[latest-1] // one that no other goroutine uses, so that only the limits refuse messages
		}
		v.send(ctx, id, phrases[rand.IntN(len(phrases))])
	}
}

// pollList reads the speaker's list about once a second, until ctx ends.
func (v visitor) pollList(ctx context.Context) {
	for pause(ctx, 700*time.Millisecond+rand.N(600*time.Millisecond)) {
		v.list(ctx)
	}
}

func (v visitor) path(parts ...string) string {
	path := v.base + "/speakers/" + url.PathEscape(v.speaker) + "/conversations"
	for _, part := range parts {
		path += "/" + url.PathEscape(part)
	}
	return path
}

// list returns the ids of the speaker's conversations, or none after a failure. The
// Dashboard shows failures; a speaker ignores them.
func (v visitor) list(ctx context.Context) (ids []string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.path(), nil)
	if err != nil {
		return nil
	}
	res, err := v.client.Do(req)
	if err != nil {
		return nil
	}
	defer res.Body.Close()
	var list []struct {
		ID string `json:"id"`
	}
	if res.StatusCode != http.StatusOK || json.NewDecoder(res.Body).Decode(&list) != nil {
		return nil
	}
	for _, c := range list {
		ids = append(ids, c.ID)
	}
	return ids
}

// send sends a message to a conversation, and ignores failures.
func (v visitor) send(ctx context.Context, conversation, text string) {
	body, err := json.Marshal(map[string]string{"role": "user", "text": text})
	if err != nil {
		return
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, v.path(conversation, "messages"), bytes.NewReader(body))
	if err != nil {
		return
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := v.client.Do(req)
	if err != nil {
		return
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
}

// pause waits for d, or until ctx ends. It returns false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
