package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A conversation is an element of the lists that services cache.
type conversation struct {
	ID          string    `json:"id"`
	SpeakerID   string    `json:"speaker_id"`
	Title       string    `json:"title"`
	State       string    `json:"state"`
	Messages    int       `json:"messages"`
	Unread      int       `json:"unread"`
	Pinned      bool      `json:"pinned"`
	Tags        []string  `json:"tags"`
	CreatedAt   time.Time `json:"created_at"`
	LastMessage *message  `json:"last_message,omitempty"`
}

type message struct {
	ID        string    `json:"id"`
	SpeakerID string    `json:"speaker_id"`
	Role      string    `json:"role"`
	Content   string    `json:"content"`
	CreatedAt time.Time `json:"created_at"`
}

// conversations returns a list of n conversations as a service caches it. 50 are about
// 19 KB of JSON.
func conversations(n int) []conversation {
	start := time.Date(2026, 3, 1, 12, 30, 15, 123456000, time.UTC)
	list := make([]conversation, n)
	for i := range list {
		at := start.Add(time.Duration(i) * time.Minute)
		list[i] = conversation{
			ID:        fmt.Sprintf("7f3c%04x-91d2-4b7e-a6c0-%012x", i, i*7919),
			SpeakerID: fmt.Sprintf("user_%d", i),
			Title:     fmt.Sprintf("Reunião de avaliação nº %d", i),
			State:     "waiting_for_llm",
			Messages:  3 * i,
			Unread:    i % 4,
			Pinned:    i%7 == 0,
			Tags:      []string{"clima"},
			CreatedAt: at,
			LastMessage: &message{
				ID:        fmt.Sprintf("msg_%06d", 37*i),
				SpeakerID: "assistant",
				Role:      "assistant",
				Content:   "Não há pendências.\nPosso ajudar?",
				CreatedAt: at.Add(time.Hour),
			},
		}
	}
	return list
}

// withoutTags returns list with an empty array as the tags of each conversation.
func withoutTags(list []conversation) []conversation {
	list = slices.Clone(list)
	for i := range list {
		list[i].Tags = []string{}
	}
	return list
}

// kibibyte returns a value of 1 KiB as JSON.
func kibibyte() string { return strings.Repeat("x", 1022) }

func toJSON(v any) []byte { return must(json.Marshal(v)) }
