// Package chaos breaks Redis under all of rediskit's packages at once, and
// under the example services, and checks what each of them promises while it
// is broken and afterwards.
//
// It is a suite of tests. A round is one fault: a fleet of two members works on
// servers of its own, the fault strikes, passes and is recovered from, and the
// models of all workloads, which have watched, say what was violated. make
// chaos plays every fault, again and again for about ten minutes, and writes
// docs/reliability.md; make test plays a few. The seed of a run is printed;
// -chaos.seed repeats its faults, their order and their lengths, but not what
// the scheduler makes of them.
//
// The suite has a test of its own: each model must catch a stand-in that is
// broken in the way it looks for.
package chaos
