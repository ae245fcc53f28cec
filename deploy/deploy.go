// Package deploy is the kit that runs Redis for services that use rediskit:
// Compose files, Redis's configuration and access rules, and what watches them.
// README.md says how to use it. The package itself holds only the tests, which
// start redis-server from these very files.
package deploy
