package manager

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/google/uuid"
)

const schema = `
	CREATE TABLE speakers (
		id   TEXT PRIMARY KEY,
		name TEXT NOT NULL
	) STRICT;
	CREATE TABLE conversations (
		id         TEXT PRIMARY KEY,
		speaker_id TEXT NOT NULL REFERENCES speakers (id),
		title      TEXT NOT NULL,
		created_at INTEGER NOT NULL, -- Unix milliseconds, as all times here
		updated_at INTEGER NOT NULL
	) STRICT;
	CREATE INDEX conversations_of_speaker ON conversations (speaker_id, updated_at);
	CREATE TABLE messages (
		id              TEXT PRIMARY KEY,
		conversation_id TEXT NOT NULL REFERENCES conversations (id),
		role            TEXT NOT NULL CHECK (role IN ('user', 'assistant')),
		text            TEXT NOT NULL,
		created_at      INTEGER NOT NULL
	) STRICT;
	CREATE INDEX messages_of_conversation ON messages (conversation_id, created_at);
	PRAGMA user_version = 1;`

// The speakers of the seed are user_1 to user_120.
const speakers = 120

// fences adds the highest fence that has written to each conversation. Files from
// before the service took locks do not have it.
const fences = `
	ALTER TABLE conversations ADD COLUMN fence INTEGER NOT NULL DEFAULT 0;
	PRAGMA user_version = 2;`

// seed fills a new database and migrates an old one, in one transaction. So a file is
// complete or empty, even if the process ends meanwhile.
func seed(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()

	var version int
	if err := tx.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return err
	}
	if version < 1 {
		if err := fill(ctx, tx); err != nil {
			return err
		}
	}
	if version < 2 {
		if _, err := tx.ExecContext(ctx, fences); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// fill creates the tables and fills them.
func fill(ctx context.Context, tx *sql.Tx) error {
	if _, err := tx.ExecContext(ctx, schema); err != nil {
		return err
	}
	s := newSeeder(ctx, tx)
	for n := 1; n <= speakers && s.err == nil; n++ {
		s.speaker(fmt.Sprintf("user_%d", n))
	}
	return s.err
}

// A seeder writes the same conversations each time. It inserts nothing after its first
// error.
type seeder struct {
	*rand.Rand
	entropy                           *rand.ChaCha8
	speakers, conversations, messages *sql.Stmt // the end of the transaction closes them
	insert                            func(into *sql.Stmt, row ...any)
	err                               error // the first one
}

func newSeeder(ctx context.Context, tx *sql.Tx) *seeder {
	entropy := rand.NewChaCha8([32]byte{'s', 'e', 'e', 'd'})
	s := &seeder{Rand: rand.New(entropy), entropy: entropy}
	prepare := func(insert string) *sql.Stmt {
		stmt, err := tx.PrepareContext(ctx, insert)
		if s.err == nil {
			s.err = err
		}
		return stmt
	}
	s.insert = func(into *sql.Stmt, row ...any) {
		if s.err == nil {
			_, s.err = into.ExecContext(ctx, row...)
		}
	}
	s.speakers = prepare(`INSERT INTO speakers (id, name) VALUES (?, ?)`)
	s.conversations = prepare(`INSERT INTO conversations (id, speaker_id, title, created_at, updated_at) VALUES (?, ?, ?, ?, ?)`)
	s.messages = prepare(`INSERT INTO messages (id, conversation_id, role, text, created_at) VALUES (?, ?, ?, ?, ?)`)
	return s
}

func (s *seeder) id() string {
	id, err := uuid.NewRandomFromReader(s.entropy)
	if err != nil && s.err == nil {
		s.err = err
	}
	return id.String()
}

func (s *seeder) pick(from []string) string { return from[s.IntN(len(from))] }

// speaker writes one speaker with 10 to 40 conversations.
func (s *seeder) speaker(id string) {
	first := s.pick(firstNames)
	s.insert(s.speakers, id, first+" "+s.pick(lastNames))
	for range 10 + s.IntN(31) {
		s.conversation(id, first)
	}
}

func (s *seeder) conversation(speakerID, firstName string) {
	topic := topics[s.IntN(len(topics))]
	relative := s.pick(relatives)
	fill := strings.NewReplacer(
		"{nome}", firstName,
		"{parente}", relative,
		"{do parente}", strings.NewReplacer("minha", "da minha", "meu", "do meu").Replace(relative),
		"{o parente}", strings.NewReplacer("minha", "sua", "meu", "seu").Replace(relative),
		"{cidade}", s.pick(cities),
		"{prato}", s.pick(dishes),
		"{time}", s.pick(teams),
		"{hora}", s.pick(hours),
		"{comodo}", s.pick(rooms),
		"{item}", s.pick(groceries),
		"{graus}", fmt.Sprint(18+s.IntN(17)),
		"{n}", fmt.Sprint(5+s.IntN(25)),
	)
	// A conversation may end after any reply of the assistant.
	turns := topic.turns[:2*(1+s.IntN(len(topic.turns)/2))]
	times := s.times(topic, len(turns))

	id := s.id()
	s.insert(s.conversations, id, speakerID, fill.Replace(topic.title), times[0], times[len(times)-1])
	for i, text := range turns {
		role := "user"
		if i%2 == 1 {
			role = "assistant"
		}
		s.insert(s.messages, s.id(), id, role, fill.Replace(text), times[i])
	}
}

// The seed covers half a year, in the time zone of Brasília.
var (
	firstDay = time.Date(2026, time.May, 1, 0, 0, 0, 0, time.FixedZone("-03", -3*60*60))
	days     = 184
)

// times returns the time of each of n messages: on a random day, at an hour that suits
// the topic, with the pauses of a spoken conversation.
func (s *seeder) times(t topic, n int) []int64 {
	at := firstDay.AddDate(0, 0, s.IntN(days)).
		Add(time.Duration(t.from) * time.Hour).
		Add(s.upTo(time.Duration(t.to-t.from) * time.Hour))
	times := make([]int64, n)
	for i := range times {
		times[i] = at.UnixMilli()
		pause := 800*time.Millisecond + s.upTo(2*time.Second) // the assistant thinks
		if i%2 == 1 {
			pause = 4*time.Second + s.upTo(25*time.Second) // the speaker listens
		}
		at = at.Add(pause)
	}
	return times
}

func (s *seeder) upTo(d time.Duration) time.Duration { return time.Duration(s.Int64N(int64(d))) }
