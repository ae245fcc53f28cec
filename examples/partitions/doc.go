// Package partitions measures how soon a client works again after the network between
// servers and clients was cut, and checks the bounds that rediskit promises.
//
// The package has only tests. A run injects one fault into servers of its own. Two client
// processes work meanwhile, side by side: one with rediskit.Connect and the packages of
// rediskit, one with go-redis alone. Each prints at its end what it has seen. The test
// knows what happened at the server that counts, and computes the figures from both.
//
// make partitions runs each fault five times and writes docs/partitions.md. make test runs
// a few of them once, and checks what holds on a busy machine too: that all clients work
// again, and that nothing was lost in silence.
package partitions
