package manager

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // the database/sql driver "sqlite"
)

// A Conversation is an element of a speaker's list. Its JSON is what the services in
// TypeScript read and write under the same key.
type Conversation struct {
	ID           string `json:"id"`
	SpeakerID    string `json:"speaker_id"`
	Title        string `json:"title"`
	CreatedAt    Time   `json:"created_at"`
	UpdatedAt    Time   `json:"updated_at"`
	MessageCount int    `json:"message_count"`
	LastMessage  string `json:"last_message"`
}

// A Message is a message of the speaker or of the assistant.
type Message struct {
	ID             string `json:"id"`
	ConversationID string `json:"conversation_id"`
	Role           string `json:"role"`
	Text           string `json:"text"`
	CreatedAt      Time   `json:"created_at"`
}

// Time is a time in JSON as JavaScript's toISOString writes it: in UTC, with exactly
// three decimal places of a second.
type Time struct{ time.Time }

// MarshalJSON writes the time as toISOString does.
func (t Time) MarshalJSON() ([]byte, error) {
	return t.UTC().AppendFormat(nil, `"2006-01-02T15:04:05.000Z"`), nil
}

var (
	errNoSpeaker      = errors.New("no such speaker")
	errNoConversation = errors.New("no such conversation")
	errFenced         = errors.New("a later holder of the lock has written")
)

// maxListed is the length of the longest list. Without it a cached value would grow with
// the speaker's history.
const maxListed = 100

// A store keeps conversations in an SQLite file.
type store struct{ db *sql.DB }

// DefaultDatabase returns the path of a file in the user's cache directory, so that the
// next start finds the file again.
func DefaultDatabase() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "rediskit", "conversations.db")
}

// openStore opens the database at path, and fills it if it is new.
func openStore(ctx context.Context, path string) (*store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	dsn := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: url.Values{
		"_busy_timeout": {"5000"}, // milliseconds
		"_foreign_keys": {"on"},
		"_journal_mode": {"WAL"},       // readers do not wait for the writer
		"_synchronous":  {"NORMAL"},    // safe with WAL
		"_txlock":       {"immediate"}, // writers queue at BEGIN, where busy_timeout helps
	}.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(8) // more readers would only compete for the same cores
	if err := seed(ctx, db); err != nil {
		return nil, errors.Join(fmt.Errorf("database %s: %w", path, err), db.Close())
	}
	return &store{db}, nil
}

func (s *store) Close() error { return s.db.Close() }

// Ping returns an error if the database does not answer.
func (s *store) Ping(ctx context.Context) error { return s.db.PingContext(ctx) }

// Conversations returns the speaker's conversations, at most maxListed, the most recent
// first. It returns errNoSpeaker for an unknown speaker.
func (s *store) Conversations(ctx context.Context, speakerID string) ([]Conversation, error) {
	rows, err := s.db.QueryContext(ctx, `
		SELECT c.id, c.speaker_id, c.title, c.created_at, c.updated_at,
		       (SELECT count(*) FROM messages m WHERE m.conversation_id = c.id),
		       (SELECT m.text FROM messages m WHERE m.conversation_id = c.id
		        ORDER BY m.created_at DESC, m.rowid DESC LIMIT 1)
		FROM conversations c
		WHERE c.speaker_id = ?
		ORDER BY c.updated_at DESC, c.id
		LIMIT ?`, speakerID, maxListed)
	if err != nil {
		return nil, err
	}
	defer rows.Close()

	list := []Conversation{} // [] in JSON, where nil would be null
	for rows.Next() {
		var c Conversation
		var created, updated int64
		var last sql.NullString
		if err := rows.Scan(&c.ID, &c.SpeakerID, &c.Title, &created, &updated, &c.MessageCount, &last); err != nil {
			return nil, err
		}
		c.CreatedAt, c.UpdatedAt = Time{time.UnixMilli(created)}, Time{time.UnixMilli(updated)}
		c.LastMessage = last.String
		list = append(list, c)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return list, s.speakerExists(ctx, speakerID)
	}
	return list, nil
}

func (s *store) speakerExists(ctx context.Context, id string) error {
	err := s.db.QueryRowContext(ctx, `SELECT 1 FROM speakers WHERE id = ?`, id).Scan(new(int))
	if errors.Is(err, sql.ErrNoRows) {
		return errNoSpeaker
	}
	return err
}

// Speaker returns the speaker of the conversation with this id, or errNoConversation.
func (s *store) Speaker(ctx context.Context, id string) (speakerID string, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT speaker_id FROM conversations WHERE id = ?`, id).Scan(&speakerID)
	if errors.Is(err, sql.ErrNoRows) {
		err = errNoConversation
	}
	return speakerID, err
}

// AddMessage stores m and returns the speaker whose list it changed. It also returns the
// speaker with an error after which m may have been stored. It returns errFenced if a
// higher fence has written to the conversation before.
func (s *store) AddMessage(ctx context.Context, m Message, fence int64) (speakerID string, err error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return "", err
	}
	defer tx.Rollback()

	at := m.CreatedAt.UnixMilli()
	err = tx.QueryRowContext(ctx, `
		UPDATE conversations SET updated_at = max(updated_at, ?), fence = ? WHERE id = ? AND fence <= ?
		RETURNING speaker_id`, at, fence, m.ConversationID, fence).Scan(&speakerID)
	if errors.Is(err, sql.ErrNoRows) { // conversations are never deleted
		return "", errFenced
	}
	if err != nil {
		return "", err
	}
	_, err = tx.ExecContext(ctx, `
		INSERT INTO messages (id, conversation_id, role, text, created_at) VALUES (?, ?, ?, ?, ?)`,
		m.ID, m.ConversationID, m.Role, m.Text, at)
	if err != nil {
		return "", err
	}
	return speakerID, tx.Commit()
}
