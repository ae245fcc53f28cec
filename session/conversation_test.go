package session_test

import "time"

// A conversation has the fields and bytes that services in TypeScript read and write.
type conversation struct {
	SpeakerID    string    `redis:"speaker_id,required"`
	StartedAt    time.Time `redis:"started_at,required"`
	LastActivity time.Time `redis:"last_activity,touch"`
	State        phase     `redis:"state,required"`
}

// A phase is where a conversation stands.
type phase string

const (
	listening     phase = "listening"
	waitingForLLM phase = "waiting_for_llm"
	answered      phase = "answered"
)
