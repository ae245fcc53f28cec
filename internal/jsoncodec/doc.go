// Package jsoncodec is encoding/json for values of one type, with a decoder that takes
// about a third of the time.
//
// Encode uses encoding/json. Decode tries github.com/goccy/go-json first. These go to
// encoding/json: every input that go-json refuses, and every type and every input that
// go-json is known to decode differently. So all errors and all values are those of
// encoding/json.
package jsoncodec
