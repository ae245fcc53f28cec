// Package secrets says where a password comes from, and keeps it out of logs and errors.
//
// A [Source] is read every time that a password is needed, so that a rotated password
// is used without a restart:
//
//	secrets.Docker("redis_password")                   // /run/secrets/redis_password
//	secrets.File("/etc/redis/password")
//	secrets.Env("REDIS_PASSWORD")
//	secrets.FirstOf(secrets.Docker("redis_password"), secrets.Env("REDIS_PASSWORD"))
//
// A Source returns a [Secret], which always prints as [redacted].
//
// # What is guaranteed
//
//   - White space around a password is trimmed exactly as JavaScript's
//     String.prototype.trim does it. So services in both languages read the same
//     password from the same file.
//   - A source that is missing, empty, of several lines, unreadable or not a plain
//     file returns an error. Each of these has an error of its own, whose text says
//     what to do. No defect of a source becomes an empty password.
//   - No error contains any part of a secret. Errors do contain paths and the names of
//     variables.
//   - Reading does not hang on a FIFO.
//
// # What is not guaranteed
//
// The text of a Secret stays in the memory of the process, like any Go string, and may
// be found in a core dump. If a network file system hangs, reading a file on it hangs.
package secrets
