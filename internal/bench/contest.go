package main

import (
	"context"

	"golang.org/x/perf/benchfmt"
)

// A contest measures the same operation of several contestants.
type contest struct {
	name       string // a Go benchmark's, without the /by=
	goroutines []int  // numbers of concurrent callers, one after another; nil if contestants have a round
	enter      func(*arena) []contestant
}

// A contestant is the operation with one library. It has a call or a round.
type contestant struct {
	by    string
	call  func(ctx context.Context, goroutine int) error  // one operation; the run measures its time
	round func(context.Context) ([]benchfmt.Value, error) // makes a round and returns what it measured
}

// levels are the numbers of concurrent callers in most contests.
var levels = []int{2, 16, 256}

// contests returns all contests, in the order of the page.
func contests() []contest {
	few, many, text := conversations(2), conversations(50), kibibyte()
	return []contest{
		hits("Hit/value=1KiB", text),
		hits("Hit/value=2-conversations", few),
		hits("Hit/value=50-conversations", many),
		nearHits("Near/value=2-conversations", few),
		nearHits("Near/value=50-conversations", many),
		stale("Stale"),
		batches("Batch/ids=1000", few),
		decodings("Decode/tags=one", many),
		decodings("Decode/tags=none", withoutTags(many)),
		stampede("Stampede"),
		setsAndDeletes("Set+Delete", few),
		gets("Session/call=Get"),
		touches("Session/call=Touch"),
		transitions("Session/call=Transition"),
		fixedWindows("Allow/policy=fixed"),
		slidingWindows("Allow/policy=sliding"),
		gcras("Allow/policy=gcra"),
		denials("Deny"),
		tries("Lock/call=Try+Release"),
		handOvers("HandOver"),
		idleWaiters("Idle/waiters=100"),
		publishes("Publish"),
		fanOut("Receive", 1, 1),
		fanOut("Receive", 1, 100),
		fanOut("Receive", 1, 1000),
		fanOut("Deliver", 100, 1),
		fanOut("Deliver", 100, 100),
		fanOut("Deliver", 100, 1000),
		subscriptions("Subscribe/subscribers=1000"),
		throttled("Throttled/value=2-conversations", few, 16),
		throttled("Throttled/value=2-conversations", few, 256),
		floor("Floor/value=1KiB", text),
	}
}
