// Package chaos injects faults into Redis while all packages of rediskit and the
// example services use it. It checks what each of them promises during the fault and
// after it.
//
// The package has only tests. A round injects one fault: two members of a fleet work on
// servers of the round's own, the fault begins and ends, and the fleet recovers. Each
// workload has a model that observes all its calls and reports what was violated. make
// chaos runs rounds with every fault, again and again for about ten minutes, and writes
// docs/reliability.md. make test runs a few. A run prints its seed. -chaos.seed repeats
// the faults, their order and their lengths, but not the scheduling.
//
// Partitions are made with internal/redistest/netlab, where each member has an address of
// its own. Where that is impossible, their rounds are skipped, and the page says so.
//
// The suite tests itself: each model must catch a stand-in that breaks the promise which
// the model checks.
package chaos
