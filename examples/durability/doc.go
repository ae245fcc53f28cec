// Package durability measures which acknowledged changes a fault takes away, with which
// setting of the servers and of the client, and what each setting costs.
//
// The package has only tests. Each cell of the table is a run of its own: servers with one
// setting, two clients that work with rediskit, and one fault. Every change that a client
// makes writes a value of its own. After the fault the test looks for each of those that
// were acknowledged at the server that counts.
//
// make durability fills the whole table and writes docs/durability.md. make test runs a
// few cells without a network.
package durability
