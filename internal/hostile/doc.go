// Package hostile tests the library as a whole when something is wrong: servers that fail
// in every known way, or reply with unexpected values, and callers that pass nil, empty
// and ended arguments. It also checks that ids, values and passwords do not leak into
// errors, logs, metrics or HTTP responses.
package hostile
