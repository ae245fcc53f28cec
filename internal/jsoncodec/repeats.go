package jsoncodec

import "bytes"

// mostNames bounds the work for one object: the names of its arrays are compared pair
// by pair.
const mostNames = 64

// repeatsAroundEmpty reports whether data may repeat a name around an empty array, as in
//
//	{"t":[{"a":1}],"t":[],"t":[{}]}
//
// At the empty array encoding/json drops the first one. go-json only sets the length of
// the slice to zero: fields that the last array leaves out keep their values from the
// first. data is valid JSON. In doubt the result is true, which costs only speed.
func repeatsAroundEmpty(data []byte) bool { return hasEmptyArray(data) && repeatsArray(data) }

func hasEmptyArray(data []byte) bool {
	for i := 0; ; i++ {
		next := bytes.IndexByte(data[i:], '[')
		if next < 0 {
			return false
		}
		i += next
		if after := skipSpace(data, i+1); after < len(data) && data[after] == ']' {
			return true
		}
	}
}

// repeatsArray reports whether an object in data may have two arrays under names that
// encoding/json takes for the same field.
func repeatsArray(data []byte) bool {
	var (
		names [][]byte // of the arrays in all objects that are open, the innermost last
		open  []int    // where the names of each open object or array begin
	)
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '{', '[':
			open = append(open, len(names))
		case '}', ']':
			if len(open) == 0 {
				return true
			}
			names, open = names[:open[len(open)-1]], open[:len(open)-1]
		case '"':
			begin := i + 1
			if i = endOfString(data, begin); i < 0 {
				return true
			}
			colon := skipSpace(data, i+1)
			if colon == len(data) || data[colon] != ':' {
				continue // a value
			}
			if value := skipSpace(data, colon+1); value == len(data) || data[value] != '[' {
				continue
			}
			if len(open) == 0 {
				return true
			}
			name, siblings := data[begin:i], names[open[len(open)-1]:]
			if !plain(name) || len(siblings) == mostNames {
				return true
			}
			for _, other := range siblings {
				if len(other) == len(name) && bytes.EqualFold(other, name) {
					return true
				}
			}
			names = append(names, name)
		}
	}
	return false
}

// endOfString returns the index of the quote that ends the string whose text begins at
// begin, or -1.
func endOfString(data []byte, begin int) int {
	for end := begin; ; end++ {
		quote := bytes.IndexByte(data[end:], '"')
		if quote < 0 {
			return -1
		}
		end += quote
		escapes := 0
		for end-escapes > begin && data[end-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return end
		}
	}
}

// plain reports whether name is ASCII without escapes. Such names are equal under case
// folding only if they have the same length.
func plain(name []byte) bool {
	for _, c := range name {
		if c == '\\' || c >= 0x80 {
			return false
		}
	}
	return true
}

func skipSpace(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\n' || data[i] == '\r' || data[i] == '\t') {
		i++
	}
	return i
}
