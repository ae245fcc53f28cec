package jsoncodec

import "bytes"

// mostNames bounds the work that one object can make: its names are compared
// pair by pair.
const mostNames = 64

// forgets reports whether data may repeat a name around an empty array, as in
//
//	{"t":[{"a":1}],"t":[],"t":[{}]}
//
// encoding/json forgets the first array at the empty one. go-json only cuts
// the slice to length zero, so that what the last array leaves out keeps its
// value from the first. data is valid JSON; when in doubt the answer is yes,
// which costs speed alone.
func forgets(data []byte) bool { return hasEmptyArray(data) && repeatsName(data) }

func hasEmptyArray(data []byte) bool {
	for {
		at := bytes.IndexByte(data, '[')
		if at < 0 {
			return false
		}
		data = bytes.TrimLeft(data[at+1:], " \t\r\n")
		if len(data) > 0 && data[0] == ']' {
			return true
		}
	}
}

// repeatsName reports whether an object in data may have two names that
// encoding/json takes for the same field.
func repeatsName(data []byte) bool {
	var (
		names [][]byte // of all objects that are open, the innermost last
		open  []int    // where the names of each open object or array begin
	)
	for len(data) > 0 {
		c := data[0]
		data = data[1:]
		switch c {
		case '{', '[':
			open = append(open, len(names))
		case '}', ']':
			if len(open) == 0 {
				return true
			}
			names, open = names[:open[len(open)-1]], open[:len(open)-1]
		case '"':
			text, rest := cutString(data)
			data = bytes.TrimLeft(rest, " \t\r\n")
			if len(data) == 0 || data[0] != ':' {
				continue // a value
			}
			if len(open) == 0 || bytes.IndexByte(text, '\\') >= 0 {
				return true
			}
			siblings := names[open[len(open)-1]:]
			if len(siblings) == mostNames {
				return true
			}
			for _, other := range siblings {
				if bytes.EqualFold(other, text) {
					return true
				}
			}
			names = append(names, text)
		}
	}
	return false
}

// cutString cuts data after the quote that ends the string it begins in.
func cutString(data []byte) (text, rest []byte) {
	for end := 0; ; end++ {
		quote := bytes.IndexByte(data[end:], '"')
		if quote < 0 {
			return data, nil
		}
		end += quote
		escapes := 0
		for escapes < end && data[end-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return data[:end], data[end+1:]
		}
	}
}
