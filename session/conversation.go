package session

import "time"

// A Conversation is an active conversation of the voice platform, with the
// fields and bytes that its services in TypeScript read and write under
// "session:<conversation id>". A service with other sessions declares a struct
// of its own.
type Conversation struct {
	SpeakerID    string    `redis:"speaker_id,required"`
	StartedAt    time.Time `redis:"started_at,required"`
	LastActivity time.Time `redis:"last_activity,touch"`
	State        State     `redis:"state,required"`
}

// A State is where the turn of a conversation stands.
type State string

// The states of a turn, in their usual order. A speaker who interrupts leads
// back to Listening.
const (
	Listening     State = "listening"       // the speaker is to speak, or speaks
	Transcribing  State = "transcribing"    // what was said is turned into text
	WaitingForLLM State = "waiting_for_llm" // the language model has been asked
	Speaking      State = "speaking"        // the answer is being spoken
	Answered      State = "answered"        // the turn is over
)
