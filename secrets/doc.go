// Package secrets says where a password comes from and keeps it out of sight.
//
// A [Source] is read every time that a password is needed, so that a rotated one is
// picked up without a restart:
//
//	secrets.Docker("redis_password")                   // /run/secrets/redis_password
//	secrets.File("/etc/redis/password")
//	secrets.Env("REDIS_PASSWORD")
//	secrets.FirstOf(secrets.Docker("redis_password"), secrets.Env("REDIS_PASSWORD"))
//
// What it yields is a [Secret], which prints as [redacted] wherever it ends up.
//
// # What is guaranteed
//
//   - White space around a password is trimmed exactly as JavaScript's
//     String.prototype.trim does, so that services in either language read the same
//     password from the same file.
//   - A source that is missing, empty, of several lines, unreadable or not a plain
//     file is an error of its own, whose text says what to do. Never an empty
//     password by accident.
//   - No error carries any part of a secret. Paths and variables' names are told.
//   - Reading does not hang on a FIFO.
//
// # What is not
//
// The text of a Secret stays in the process's memory like any Go string and can be
// found in a core dump. A file on a network file system that hangs, hangs the reader.
package secrets
