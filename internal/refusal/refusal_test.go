package refusal

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

type reply string

func (r reply) Error() string { return string(r) }
func (reply) RedisError()     {}

func TestEachRowIsFoundWhereverItsWordsStand(t *testing.T) {
	t.Parallel()
	for _, want := range All() {
		for _, form := range []string{
			"%s",
			"%s and why",
			"ERR %s and why",
			"%s and why script: 0b5f0d4, on @user_script:1.",
			"ERR Error running script (call to f_0b5f0d4): @user_script:1: @user_script: 1: -%s and why",
		} {
			text := fmt.Sprintf(form, want.Words)
			for _, err := range []error{reply(text), fmt.Errorf("lock: acquire: %w", reply(text))} {
				if got, ok := Of(err); !ok || got != want {
					t.Errorf("Of(%q) = %+v, %v; want %+v", err, got, ok, want)
				}
			}
			if _, ok := Of(errors.New(text)); ok {
				t.Errorf("%q is a refusal though it is no reply", text)
			}
		}
	}
}

func TestWhatTheTableSaysOfRealReplies(t *testing.T) {
	t.Parallel()
	const alive, notYet, passes, stays, mayHaveRun = true, false, true, false, true
	for text, want := range map[string]Refusal{
		"LOADING Redis is loading the dataset in memory":                                                          {"LOADING", notYet, passes, false},
		"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.":                        {"MASTERDOWN", notYet, passes, false},
		"CLUSTERDOWN Hash slot not served":                                                                        {"CLUSTERDOWN", notYet, passes, false},
		"ERR max number of clients reached":                                                                       {"max number of clients", notYet, passes, false},
		"ERR max number of clients + cluster connections reached":                                                 {"max number of clients", notYet, passes, false},
		"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.":                  {"BUSY", alive, passes, false},
		"MISCONF Errors writing to the AOF file: No space left on device":                                         {"MISCONF", alive, passes, false},
		"OOM command not allowed when used memory > 'maxmemory'. script: 0b5f, on @user_script:1.":                {"OOM", alive, passes, false},
		"NOPERM this user has no permissions to run the 'evalsha' command":                                        {"NOPERM", alive, stays, false},
		"ERR The user executing the script can't run this command or subcommand script: 0b, on @user_script:1.":   {"The user executing the script", alive, stays, mayHaveRun},
		"ERR ACL failure in script: User a has no permissions to run the 'set' command script: 0b":                {"ACL failure in script", alive, stays, mayHaveRun},
		"ERR Unknown Redis command called from script script: 0b, on @user_script:1.":                             {"Unknown Redis command", alive, stays, mayHaveRun},
		"ERR Error running script (call to f_0b): @user_script:1: @user_script: 1: -READONLY You can't write":     {"READONLY", alive, passes, false},
		"ERR Error running script (call to f_0b): @user_script:1: -NOPERM The user executing the script can't ru": {"NOPERM The user executing the script", alive, stays, mayHaveRun},
	} {
		if got, ok := Of(reply(text)); !ok || got != want {
			t.Errorf("Of(%q) = %+v, %v; want %+v", text, got, ok, want)
		}
	}
}

func TestWhatIsNoRefusal(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		nil, redis.Nil, io.EOF, errors.New("LOADING"), reply(""), reply("BUSYGROUP Consumer Group name already exists"),
		reply("BUSYKEY Target key name already exists."), reply("WRONGTYPE Operation against a key"),
		reply("ERR value is not an integer or out of range"), reply("the server is LOADING"),
	} {
		if got, ok := Of(err); ok || Passes(err) {
			t.Errorf("Of(%v) = %+v", err, got)
		}
	}
}

// Otherwise a longer row is never found.
func TestLongerWordsStandBeforeThoseThatTheyBeginWith(t *testing.T) {
	t.Parallel()
	for i, row := range table {
		for _, later := range table[i+1:] {
			if strings.HasPrefix(later.Words, row.Words) {
				t.Errorf("%q stands before %q", row.Words, later.Words)
			}
		}
	}
}
