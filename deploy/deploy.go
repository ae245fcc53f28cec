// Package deploy is a kit that runs Redis for services that use rediskit. It has
// Compose files, Redis's configuration and access rules, and the monitoring. README.md
// says how to use it. The Go package has only tests, which start redis-server from the
// same files.
package deploy
