package manager

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"
)

func TestTheSeedIsTheSameEachTime(t *testing.T) {
	t.Parallel()
	first, err := openStore(t.Context(), seededFile(t))
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	second, err := openStore(t.Context(), filepath.Join(t.TempDir(), "a b?#%41.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if a, b := dump(t, first.db), dump(t, second.db); !bytes.Equal(a, b) {
		t.Error("two seeds differ")
	}
	var talks int
	if err := first.db.QueryRow(`SELECT count(*) FROM conversations`).Scan(&talks); err != nil || talks < 2000 {
		t.Errorf("the seed has %d conversations, %v; want some thousand", talks, err)
	}
}

// dump returns all messages of a database, with their speakers and conversations.
func dump(t *testing.T, db *sql.DB) []byte {
	t.Helper()
	rows, err := db.Query(`
		SELECT s.id || s.name || c.id || c.title || c.created_at || c.updated_at || m.id || m.role || m.text || m.created_at
		FROM speakers s JOIN conversations c ON c.speaker_id = s.id JOIN messages m ON m.conversation_id = c.id
		ORDER BY m.rowid`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var all bytes.Buffer
	for rows.Next() {
		var row string
		if err := rows.Scan(&row); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&all, row)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all.Bytes()
}

func TestASecondStartKeepsAddedMessages(t *testing.T) {
	t.Parallel()
	path := seededFile(t)
	for range 2 {
		s, err := openStore(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		list, err := s.Conversations(t.Context(), "user_1")
		if err != nil {
			t.Fatal(err)
		}
		if list[0].LastMessage == "Oi" {
			return
		}
		m := Message{ID: "1", ConversationID: list[0].ID, Role: "user", Text: "Oi", CreatedAt: Time{time.Now()}}
		if _, err := s.AddMessage(t.Context(), m, 1); err != nil {
			t.Fatal(err)
		}
	}
	t.Error("the second start has lost the message")
}

func TestTimesAreWrittenAsToISOStringDoes(t *testing.T) {
	t.Parallel()
	brasilia := time.FixedZone("-03", -3*60*60)
	for _, c := range []struct {
		at   time.Time
		want string
	}{
		{time.UnixMilli(0), `"1970-01-01T00:00:00.000Z"`},
		{time.Date(2026, 7, 1, 22, 5, 9, 120e6, brasilia), `"2026-07-02T01:05:09.120Z"`},
		{time.Date(2026, 7, 1, 12, 0, 0, 999_999_999, time.UTC), `"2026-07-01T12:00:00.999Z"`},
	} {
		got, err := json.Marshal(Time{c.at})
		if err != nil || string(got) != c.want {
			t.Errorf("%s, %v; want %s", got, err, c.want)
		}
		var back Time
		if err := json.Unmarshal(got, &back); err != nil || !back.Equal(c.at.Truncate(time.Millisecond)) {
			t.Errorf("%s reads back as %v, %v", got, back, err)
		}
	}
}

func TestAFileWithoutFencesIsMigrated(t *testing.T) {
	t.Parallel()
	path := seededFile(t)
	s, err := openStore(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.db.Exec(`ALTER TABLE conversations DROP COLUMN fence; PRAGMA user_version = 1`); err != nil {
		t.Fatal(err)
	}
	s.Close()
	for range 2 {
		s, err := openStore(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if _, err := s.db.Exec(`SELECT fence FROM conversations`); err != nil {
			t.Error(err)
		}
	}
}

func TestAWriteWithALowerFenceIsRefused(t *testing.T) {
	t.Parallel()
	s, err := openStore(t.Context(), seededFile(t))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	talk := addSpeaker(t, s, "fenced")
	for i, c := range []struct {
		fence int64
		want  error
	}{{7, nil}, {7, nil}, {6, errFenced}, {8, nil}, {7, errFenced}} {
		m := Message{ID: fmt.Sprint(i), ConversationID: talk, Role: "user", Text: "Oi", CreatedAt: Time{time.Now()}}
		if _, err := s.AddMessage(t.Context(), m, c.fence); !errors.Is(err, c.want) {
			t.Errorf("write %d with fence %d: %v, want %v", i, c.fence, err, c.want)
		}
	}
	list, err := s.Conversations(t.Context(), "fenced")
	if err != nil || list[0].ID != talk {
		t.Fatal(list[0], err)
	}
	var stored int
	if err := s.db.QueryRow(`SELECT count(*) FROM messages WHERE conversation_id = ? AND text = 'Oi'`, talk).Scan(&stored); err != nil || stored != 3 {
		t.Errorf("%d messages were stored, %v; want those of the 3 that were not refused", stored, err)
	}
}
