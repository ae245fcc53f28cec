// Package jsoncodec is encoding/json for values of one type, with a decoder
// that takes about a third of the time.
//
// Encode is encoding/json. Decode tries github.com/goccy/go-json first. Every
// input that go-json refuses, and every type that it is known to decode
// otherwise, goes to encoding/json: so the errors are encoding/json's, and so
// are the values, with one exception.
//
// The exception takes names that are repeated in one object, so that one slice
// is decoded three times, and is empty the second time:
//
//	{"t":[{"a":1}],"t":[],"t":[{}]}
//
// encoding/json forgets the first array at the empty one. go-json only cuts
// the slice to length zero, so that what the last array leaves out (a field,
// or an element that is null) keeps its value from the first. No encoder of
// note repeats a name.
package jsoncodec
