// Package bench measures rediskit against the alternatives. It is a module of
// its own, so that what it compares with never reaches an importer.
package bench
