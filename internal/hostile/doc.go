// Package hostile holds tests of the library as a whole amid what means it no
// good: servers that fail in each of their ways or answer nonsense, ids and
// values that must not be told, callers that pass nothing.
package hostile
