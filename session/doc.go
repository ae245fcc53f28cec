// Package session keeps sessions in Redis, each a hash with a TTL.
package session
