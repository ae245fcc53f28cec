package metrics

import "github.com/convkit/rediskit/session"

const sessionOperations = "Sessions created, put, read, touched, updated and changed by a transition, and ids deleted."

var sessionSeries = []series[session.Stats]{
	counter("rediskit_session_operations_total", sessionOperations, func(s session.Stats) uint64 { return s.Creates }, "operation", "create"),
	counter("rediskit_session_operations_total", sessionOperations, func(s session.Stats) uint64 { return s.Puts }, "operation", "put"),
	counter("rediskit_session_operations_total", sessionOperations, func(s session.Stats) uint64 { return s.Gets }, "operation", "get"),
	counter("rediskit_session_operations_total", sessionOperations, func(s session.Stats) uint64 { return s.Touches }, "operation", "touch"),
	counter("rediskit_session_operations_total", sessionOperations, func(s session.Stats) uint64 { return s.Updates }, "operation", "update"),
	counter("rediskit_session_operations_total", sessionOperations, func(s session.Stats) uint64 { return s.Transitions }, "operation", "transition"),
	counter("rediskit_session_operations_total", sessionOperations, func(s session.Stats) uint64 { return s.Deletes }, "operation", "delete"),

	counter("rediskit_session_not_found_total", "Calls that found no session.", func(s session.Stats) uint64 { return s.NotFound }),
	counter("rediskit_session_corrupt_total", "Hashes that are not valid sessions.", func(s session.Stats) uint64 { return s.Corrupt }),
	counter("rediskit_session_conflicts_total", "Transitions that found another value.", func(s session.Stats) uint64 { return s.Conflicts }),
	counter("rediskit_session_update_retries_total", "Runs of the function of an Update that met a change by another writer.", func(s session.Stats) uint64 { return s.Retries }),

	counter("rediskit_session_resent_total", "Changes sent again because their reply was lost.", func(s session.Stats) uint64 { return s.Resent }),
	counter("rediskit_session_uncertain_total", "Changes whose outcome is not known.", func(s session.Stats) uint64 { return s.Uncertain }),
	counter("rediskit_session_unreplicated_total", "Changes that were made, but that too few replicas had in time.", func(s session.Stats) uint64 { return s.Unreplicated }),
	redisErrors("session", func(s session.Stats) uint64 { return s.RedisErrors }),
}
