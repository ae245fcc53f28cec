// Package conversation has the session of an active conversation, which all services
// of the voice platform share.
package conversation

import "time"

// A Session is the session of an active conversation. Its fields and bytes are those
// that the services in TypeScript read and write under "session:<conversation id>".
type Session struct {
	SpeakerID    string    `redis:"speaker_id,required"`
	StartedAt    time.Time `redis:"started_at,required"`
	LastActivity time.Time `redis:"last_activity,touch"`
	State        State     `redis:"state,required"`
}

// A State is a step in one exchange of a speaker and the assistant.
type State string

// The states, in their usual order. A speaker who interrupts leads back to Listening.
const (
	Listening     State = "listening"       // the speaker speaks, or is expected to speak
	Transcribing  State = "transcribing"    // what the speaker said is turned into text
	WaitingForLLM State = "waiting_for_llm" // the language model was asked and has not answered yet
	Speaking      State = "speaking"        // the answer is spoken
	Answered      State = "answered"        // the exchange is over
)
