package lock_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/lock"
)

// The kinds of operations in a history. What a holder does with the register
// carries its fence; the register refuses a fence lower than one it has seen.
const (
	opAcquire = "acquire" // brought a fence
	opRead    = "read"
	opWrite   = "write"
)

// An operation is what one client did to one id, on the machine's clock.
type operation struct {
	Client   int
	ID       string
	Kind     string
	Fence    int64
	Value    int64 // read, or to be written
	Accepted bool
	Call     int64 // nanoseconds
	Return   int64
}

// A hold is the time for which one client could trust the lock of an id.
type hold struct {
	Client     int
	ID         string
	From, Till int64 // nanoseconds
}

// A history is what one process did and observed.
type history struct {
	Operations []operation
	Holds      []hold
	Lost       int // locks that were lost while they were held
}

// register is a fenced register in Redis: KEYS 1, ARGV fence and value, or no
// value to read. It answers {accepted, value}.
var register = redis.NewScript(`
local fence = tonumber(redis.call('HGET', KEYS[1], 'fence') or '0')
local value = redis.call('HGET', KEYS[1], 'value') or '0'
if tonumber(ARGV[1]) < fence then return {0, value} end
redis.call('HSET', KEYS[1], 'fence', ARGV[1])
if ARGV[2] then
  value = ARGV[2]
  redis.call('HSET', KEYS[1], 'value', value)
end
redis.call('PEXPIRE', KEYS[1], 600000)
return {1, value}`)

// A grabber takes locks and returns the fence of each and how it ends. Only
// the checker's own test uses another one than grab.
type grabber func(ctx context.Context, id string) (fence int64, held context.Context, release func(), err error)

func grab(k *lock.Locker) grabber {
	return func(ctx context.Context, id string) (int64, context.Context, func(), error) {
		l, err := k.Try(ctx, id)
		if err != nil {
			return 0, nil, nil, err
		}
		fence, err := l.Fence(ctx)
		if err != nil {
			_ = l.Release(ctx)
			return 0, nil, nil, err
		}
		return fence, l.Context(), func() { _ = l.Release(ctx) }, nil
	}
}

// workers is how many goroutines of one process take locks at once.
const workers = 12

// work increments the register of random ids under their locks, until it has
// held rounds of them, from several goroutines, and returns what happened.
func work(ctx context.Context, client, rounds int, ids []string, take grabber, store *redis.Client) history {
	var mu sync.Mutex
	var h history
	left := rounds
	var all sync.WaitGroup
	for g := range workers {
		all.Go(func() {
			for {
				mu.Lock()
				done := left <= 0
				mu.Unlock()
				if done {
					return
				}
				id := ids[rand.IntN(len(ids))]
				ops, held, lost := increment(ctx, client*workers+g, id, take, store)
				mu.Lock()
				h.Operations = append(h.Operations, ops...)
				if held != nil {
					left--
					h.Holds = append(h.Holds, *held)
				}
				if lost {
					h.Lost++
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return h
}

func increment(ctx context.Context, client int, id string, take grabber, store *redis.Client) (ops []operation, held *hold, lost bool) {
	op := operation{Client: client, ID: id, Kind: opAcquire, Call: time.Now().UnixNano()}
	fence, holding, release, err := take(ctx, id)
	if err != nil { // an unknown outcome can only have raised the fence, unseen
		time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
		return nil, nil, false
	}
	op.Return, op.Fence = time.Now().UnixNano(), fence
	held = &hold{Client: client, ID: id, From: op.Return, Till: op.Return}
	ops = append(ops, op)
	trusted := func() bool { // the lock may be trusted until now
		now := time.Now().UnixNano()
		if holding.Err() != nil {
			return false
		}
		held.Till = now
		return true
	}
	visit := func(kind string, value ...any) (operation, bool) {
		op := operation{Client: client, ID: id, Kind: kind, Fence: fence, Call: time.Now().UnixNano()}
		reply, err := register.Run(ctx, store, []string{"register:" + id}, append([]any{fence}, value...)...).Slice()
		if err != nil {
			panic(err) // the register is never disturbed
		}
		op.Return = time.Now().UnixNano()
		op.Accepted = reply[0].(int64) == 1
		op.Value, _ = strconv.ParseInt(reply[1].(string), 10, 64)
		ops = append(ops, op)
		return op, op.Accepted
	}
	if read, ok := visit(opRead); ok {
		if rand.IntN(50) == 0 {
			time.Sleep(time.Duration(rand.IntN(120)) * time.Millisecond) // some stay for long
		}
		trusted()
		visit(opWrite, read.Value+1)
	}
	lost = !trusted()
	release()
	return ops, held, lost
}

// fenced is the register that holders of fences see, one id at a time.
var fenced = porcupine.Model{
	Partition: func(all []porcupine.Operation) [][]porcupine.Operation {
		byID := map[string][]porcupine.Operation{}
		for _, op := range all {
			id := op.Input.(operation).ID
			byID[id] = append(byID[id], op)
		}
		var parts [][]porcupine.Operation
		for _, part := range byID {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return registerState{} },
	Step: func(state, input, _ any) (bool, any) {
		s, op := state.(registerState), input.(operation)
		if op.Kind == opAcquire { // each fence exceeds all before it
			ok := op.Fence > s.minted
			s.minted = op.Fence
			return ok, s
		}
		if op.Accepted != (op.Fence >= s.seen) {
			return false, s
		}
		if !op.Accepted {
			return true, s
		}
		s.seen = op.Fence
		switch op.Kind {
		case opRead:
			return op.Value == s.value, s
		default:
			s.value = op.Value
			return true, s
		}
	},
}

type registerState struct{ minted, seen, value int64 }

// check fails the test unless the histories are those of one fenced register
// per id in which no increment was lost.
func check(t *testing.T, histories []history) (operations int, err error) {
	t.Helper()
	var all []porcupine.Operation
	written, last := map[string]int64{}, map[string]int64{}
	for _, h := range histories {
		for _, op := range h.Operations {
			all = append(all, porcupine.Operation{ClientId: op.Client, Input: op, Call: op.Call, Return: op.Return})
			if op.Kind == opWrite && op.Accepted {
				written[op.ID]++
				last[op.ID] = max(last[op.ID], op.Value)
			}
		}
	}
	if got := porcupine.CheckOperationsTimeout(fenced, all, 2*time.Minute); got != porcupine.Ok {
		return len(all), fmt.Errorf("the history of %d operations is not linearizable: %v", len(all), got)
	}
	for id, n := range written {
		if last[id] != n {
			return len(all), fmt.Errorf("%d increments of an id made %d of it", n, last[id])
		}
	}
	return len(all), nil
}

// overlap counts pairs of holds of one id that were trusted at one time, but
// for those of a process that stood still meanwhile.
func overlap(histories []history, excused func(hold) bool) int {
	byID := map[string][]hold{}
	for _, h := range histories {
		for _, held := range h.Holds {
			if !excused(held) {
				byID[held.ID] = append(byID[held.ID], held)
			}
		}
	}
	n := 0
	for _, holds := range byID {
		slices.SortFunc(holds, func(a, b hold) int { return int(a.From - b.From) })
		for i := 1; i < len(holds); i++ {
			if holds[i].From < holds[i-1].Till {
				n++
			}
		}
	}
	return n
}

// worker is one process of the test: it works through a proxy that breaks,
// beside a register that does not, and writes its history to a file.
var worker = redistest.Child("lock worker", func(args []string) {
	locks, store, prefix, file := args[0], args[1], args[2], args[3]
	client, _ := strconv.Atoi(args[4])
	rounds, _ := strconv.Atoi(args[5])
	rdb := redis.NewClient(&redis.Options{
		Addr: locks, MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true,
		DialTimeout: 200 * time.Millisecond, ReadTimeout: 200 * time.Millisecond, WriteTimeout: 200 * time.Millisecond,
	})
	defer rdb.Close()
	registers := redis.NewClient(&redis.Options{Addr: store, ReadTimeout: time.Minute})
	defer registers.Close()
	k, err := lock.New(rdb, lock.Config{Key: prefix + ":*", TTL: 300 * time.Millisecond})
	if err != nil {
		panic(err)
	}
	fmt.Println("ready")
	var ids []string
	for i := range 2 * 3 * workers {
		ids = append(ids, fmt.Sprint(prefix, i))
	}
	h := work(context.Background(), client, rounds, ids, grab(k), registers)
	_ = k.Close()
	data, err := json.Marshal(h)
	if err == nil {
		err = os.WriteFile(file, data, 0o600)
	}
	if err != nil {
		panic(err)
	}
	fmt.Println("done")
})

// disturb does random harm until ctx ends.
func disturb(ctx context.Context, rng *rand.Rand, proxy *redistest.Proxy, children []*redistest.ChildProcess, pauses *pauses) {
	for ctx.Err() == nil {
		switch rng.IntN(7) {
		case 0:
			proxy.Cut()
		case 1:
			proxy.DropReply("evalsha")
		case 2:
			proxy.DelayReply("evalsha", time.Duration(rng.IntN(400))*time.Millisecond)
		case 3:
			proxy.BlackHole()
			rest(ctx, time.Duration(rng.IntN(350))*time.Millisecond)
			proxy.Heal()
		case 4:
			proxy.Down()
			rest(ctx, time.Duration(rng.IntN(100))*time.Millisecond)
			proxy.Up()
		case 5, 6:
			i := rng.IntN(len(children))
			from := time.Now().UnixNano()
			children[i].Pause()
			rest(ctx, time.Duration(rng.IntN(700))*time.Millisecond)
			children[i].Resume()
			pauses.add(i, from, time.Now().UnixNano())
		}
		rest(ctx, time.Duration(rng.IntN(400))*time.Millisecond)
	}
}

func rest(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// pauses is when each process stood still.
type pauses struct {
	mu  sync.Mutex
	all []struct {
		process    int
		from, till int64
	}
}

func (p *pauses) add(process int, from, till int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(p.all, struct {
		process    int
		from, till int64
	}{process, from, till})
}

// covers says whether the holder stood still while it held.
func (p *pauses) covers(h hold) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, pause := range p.all {
		if pause.process == h.Client/workers && pause.from <= h.Till && h.From <= pause.till+int64(time.Second) {
			return true
		}
	}
	return false
}

// Three processes take locks through a network that loses, delays and cuts,
// and are paused for longer than the TTL of their locks. Whatever happens, fences
// rise in the order of the holds, so that a register that knows them loses no
// increment; and no two processes that run trust one lock at one time.
func TestFencedHoldersAreLinearizable(t *testing.T) {
	t.Parallel()
	s := redistest.Real(t)
	const processes = 3
	rounds := 12_000 // of each process, of three operations each
	if redistest.RaceEnabled {
		rounds = 1_000 // races show early, and cost ten times as much
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	proxy := redistest.StartProxy(t, s.Addr())
	dir := t.TempDir()
	var children []*redistest.ChildProcess
	for i := range processes {
		children = append(children, redistest.Spawn(t, worker, proxy.Addr(), s.Addr(), s.Prefix(),
			filepath.Join(dir, fmt.Sprint(i)), fmt.Sprint(i), fmt.Sprint(rounds)))
	}
	for _, child := range children {
		child.Line()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var still pauses
	var harm sync.WaitGroup
	harm.Go(func() { disturb(ctx, rand.New(rand.NewPCG(seed, 0)), proxy, children, &still) })
	var histories []history
	for i := range children {
		awaitFile(ctx, t, filepath.Join(dir, fmt.Sprint(i)))
	}
	cancel()
	harm.Wait()
	lost := 0
	for i, child := range children {
		if got := child.Line(); got != "done" {
			t.Fatal(got)
		}
		data, err := os.ReadFile(filepath.Join(dir, fmt.Sprint(i)))
		var h history
		if err == nil {
			err = json.Unmarshal(data, &h)
		}
		if err != nil {
			t.Fatal(err)
		}
		histories = append(histories, h)
		lost += h.Lost
	}
	n, err := check(t, histories)
	if err != nil {
		t.Error(err)
	}
	if got := overlap(histories, still.covers); got != 0 {
		t.Errorf("%d times two running processes trusted one lock", got)
	}
	t.Logf("%d operations, %d locks lost, %d pauses", n, lost, len(still.all))
}

func awaitFile(ctx context.Context, t *testing.T, path string) {
	t.Helper()
	for {
		if _, err := os.Stat(path); err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatal("a worker has not ended")
		}
		rest(ctx, 10*time.Millisecond)
	}
}

// The checker must find a broken lock: one without a fence, whose
// second holder has the first one's number, and one that two hold at once.
func TestTheCheckerCatchesABrokenLock(t *testing.T) {
	t.Parallel()
	s := redistest.Real(t)
	rdb := s.Client()
	ids := []string{s.Prefix() + "broken"}
	never := func(hold) bool { return false }

	var clock int64
	var mu sync.Mutex
	unfenced := func(ctx context.Context, _ string) (int64, context.Context, func(), error) {
		return 1, ctx, func() {}, nil // all callers hold it, with one token
	}
	h := work(t.Context(), 0, 400, ids, unfenced, rdb)
	if _, err := check(t, []history{h}); err == nil {
		t.Error("holders with one fence pass for linearizable")
	}
	if overlap([]history{h}, never) == 0 {
		t.Error("holders at one time are not seen")
	}

	backwards := func(ctx context.Context, _ string) (int64, context.Context, func(), error) {
		mu.Lock()
		clock--
		fence := 1_000_000 + clock
		return fence, ctx, mu.Unlock, nil // a lock, but its fences fall
	}
	h = work(t.Context(), 0, 400, []string{s.Prefix() + "backwards"}, backwards, rdb)
	if _, err := check(t, []history{h}); err == nil {
		t.Error("falling fences pass for rising ones")
	}
	if n := overlap([]history{h}, never); n != 0 {
		t.Errorf("a mutex is held twice at once %d times", n)
	}
}
