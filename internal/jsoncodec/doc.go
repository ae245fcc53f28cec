// Package jsoncodec is encoding/json for values of one type, with a decoder
// that takes about a third of the time.
//
// Encode is encoding/json. Decode tries github.com/goccy/go-json first. Every
// input that go-json refuses, and every type and every input that it is known
// to decode otherwise, goes to encoding/json: so the errors are
// encoding/json's, and so are the values.
package jsoncodec
