package jsoncodec

import (
	"encoding"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// generate returns a document for t that is, by the seed, as an encoder writes
// it, or wrong in ways that a decoder may miss.
func generate(seed uint64, t reflect.Type) []byte {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 1))}
	if !g.chance(0.3) {
		g.nasty = g.Float64() * 0.4
	}
	g.space()
	g.value(t, 4)
	g.space()
	if g.chance(0.25) {
		g.mutate()
	}
	if g.chance(0.03) {
		g.pick("x", " x", "null", "{}", ",", "\x00", "]", "}", " ", "\n", "//", `"`)
	}
	return g.doc
}

type generator struct {
	*rand.Rand
	doc   []byte
	nasty float64 // how much of the document is unusual, or wrong
}

func (g *generator) chance(p float64) bool   { return g.Float64() < p }
func (g *generator) write(s string)          { g.doc = append(g.doc, s...) }
func (g *generator) oneOf(s []string) string { return s[g.IntN(len(s))] }
func (g *generator) pick(s ...string)        { g.write(g.oneOf(s)) }

func (g *generator) space() {
	if g.chance(g.nasty / 4) {
		g.pick(" ", "\n", "\t", "\r", " \n\t", "\v", "\f", "\u00a0", "\x00")
	}
}

func (g *generator) text() string {
	var sb strings.Builder
	for range g.IntN(4) {
		if g.chance(g.nasty / 3) {
			sb.WriteString(g.oneOf(badStrParts))
		} else {
			sb.WriteString(g.oneOf(strParts))
		}
	}
	if g.chance(0.03) {
		sb.WriteString(strings.Repeat(g.oneOf([]string{"x", "é", `\n`, `ab\u0041`}), g.IntN(200)))
	}
	return sb.String()
}

func (g *generator) quoted(s string) { g.write(`"` + s + `"`) }

func (g *generator) number() {
	if g.chance(g.nasty / 3) {
		g.write(g.oneOf(badNumbers))
		return
	}
	if g.chance(0.7) {
		g.write(g.oneOf(numbers))
		return
	}
	switch g.IntN(6) {
	case 0:
		g.write(strconv.FormatInt(int64(g.Uint64()), 10))
	case 1:
		g.write(strconv.FormatUint(g.Uint64(), 10))
	case 2:
		g.write(strconv.FormatFloat(g.NormFloat64()*1e5, 'g', -1, 64))
	case 3:
		g.write(fmt.Sprintf("%d.%de%d", g.IntN(1000), g.Uint64(), g.IntN(700)-350))
	case 4:
		g.write(fmt.Sprintf("%d%d", g.Uint64(), g.Uint64()))
	case 5:
		g.write(fmt.Sprintf("%d.%019d%019de%d", g.IntN(10), g.Uint64()>>1, g.Uint64()>>1, g.IntN(80)-40))
	}
}

// list writes n items between the brackets.
func (g *generator) list(brackets string, n int, item func()) {
	g.write(brackets[:1])
	for i := range n {
		if i > 0 {
			g.either(",", "", ",,", ";", ":")
		}
		g.space()
		item()
		g.space()
	}
	g.either("", ",")
	g.either(brackets[1:], "", "]", "}")
}

// either writes right, rarely one of the wrongs.
func (g *generator) either(right string, wrongs ...string) {
	if g.chance(g.nasty / 30) {
		right = g.oneOf(wrongs)
	}
	g.write(right)
}

func (g *generator) colon() {
	g.space()
	g.either(":", "", "::", "=", ",")
	g.space()
}

// anything writes a value of any kind.
func (g *generator) anything(depth int) {
	g.space()
	kinds := 8
	if depth <= 0 {
		kinds = 6
	}
	switch g.IntN(kinds) {
	case 0:
		g.write("null")
	case 1:
		g.pick("true", "false")
	case 2, 3:
		g.number()
	case 4, 5:
		g.quoted(g.text())
	case 6:
		g.list("[]", g.IntN(4), func() { g.anything(depth - 1) })
	case 7:
		g.list("{}", g.IntN(4), func() { g.quoted(g.text()); g.colon(); g.anything(depth - 1) })
	}
	if g.chance(g.nasty / 20) {
		g.pick("nul", "tru", "fals", "nulll", "truE", "True", "undefined", "'a'", "[", "]", "{", "}",
			",", ":", "NULL", "n", "t", "f", "nul l", "falsE", "//c", "/**/")
	}
	g.space()
}

// name writes a name for the field, or something close to it.
func (g *generator) name(field string) {
	if !g.chance(g.nasty) {
		quoted, _ := json.Marshal(field)
		g.write(string(quoted))
		return
	}
	switch g.IntN(8) {
	case 0:
		field = strings.ToUpper(field)
	case 1:
		field = strings.ToLower(field)
	case 2:
		field = strings.NewReplacer("s", "ſ", "k", "\u212a", "S", "ſ", "K", "\u212a").Replace(field)
	case 3:
		if runes := []rune(field); len(runes) > 0 {
			i := g.IntN(len(runes))
			field = fmt.Sprintf(`%s\u%04x%s`, string(runes[:i]), runes[i]&0xffff, string(runes[i+1:]))
		}
	case 4:
		field += g.oneOf([]string{"x", `\n`, `\u0000`, "\x00", " ", "\xff", "ſ"})
	case 5:
		field = g.text()
	case 6:
		field = field[:g.IntN(len(field)+1)]
	case 7:
		letters := []byte(field)
		for i := range letters {
			if g.chance(0.5) {
				letters[i] ^= 0x20
			}
		}
		field = string(letters)
	}
	g.quoted(field)
}

// value writes a value for t, mostly one that t takes.
func (g *generator) value(t reflect.Type, depth int) {
	switch {
	case g.chance(g.nasty / 8):
		g.anything(2)
		return
	case g.chance(0.05):
		g.write("null")
		return
	}
	switch ptr := reflect.PointerTo(t); {
	case t == reflect.TypeFor[time.Time]():
		g.quoted(g.oneOf(times))
		return
	case t == reflect.TypeFor[json.Number]() && g.chance(0.3):
		g.write(`"`)
		g.number()
		g.write(`"`)
		return
	case t == reflect.TypeFor[json.Number]():
		g.number()
		return
	case ptr.Implements(jsonUnmarshaler):
		g.anything(3)
		return
	case ptr.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		g.quoted(g.text())
		return
	case depth <= 0:
		g.anything(1)
		return
	}
	switch t.Kind() {
	case reflect.Bool:
		g.pick("true", "false")
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		if g.chance(0.6) {
			g.pick("0", "1", "-0", "42", "127", "-1")
		} else {
			g.number()
		}
	case reflect.Float32, reflect.Float64:
		g.number()
	case reflect.String:
		g.quoted(g.text())
	case reflect.Pointer:
		g.value(t.Elem(), depth)
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 && g.chance(0.6) {
			g.quoted(g.oneOf([]string{
				"", "AQID", "AQ==", "AQ", "A", "!!!!", `AQ\nID`, `AQ\u0049D`, "AQ=", "_-8=",
				`AQID\r\n`, "A Q I D", "AQIDBAUGBwgJ", "AQ==AQ==",
			}))
			return
		}
		g.list("[]", g.IntN(4), func() { g.value(t.Elem(), depth-1) })
	case reflect.Map:
		g.list("{}", g.IntN(4), func() {
			switch {
			case g.chance(0.2):
				g.quoted(g.text())
			case t.Key().Kind() == reflect.String:
				g.pick(`"a"`, `"b"`, `"low"`, `"x\u0041"`, `"1"`, `""`)
			default:
				g.write(`"`)
				g.number()
				g.write(`"`)
			}
			g.colon()
			g.value(t.Elem(), depth-1)
		})
	case reflect.Struct:
		g.object(t, depth)
	default:
		g.anything(3)
	}
}

// object writes an object with some of the fields of t, some of them twice.
func (g *generator) object(t reflect.Type, depth int) {
	fields := reflect.VisibleFields(t)
	g.list("{}", g.IntN(7), func() {
		if len(fields) == 0 || g.chance(g.nasty/6) {
			g.quoted(g.text())
			g.colon()
			g.anything(3)
			return
		}
		field := fields[g.IntN(len(fields))]
		name, option, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" {
			name = field.Name
		}
		g.name(name)
		g.colon()
		switch {
		case option == "string" && field.Type.Kind() == reflect.String && g.chance(0.6):
			quoted, _ := json.Marshal(`"` + g.text() + `"`)
			g.write(string(quoted))
		case option == "string" && g.chance(0.8):
			g.write(`"`)
			g.pick("", "", "", " ", "+", `\t`)
			g.value(field.Type, depth-1)
			g.pick("", "", "", " ", "x")
			g.write(`"`)
		default:
			g.value(field.Type, depth-1)
		}
	})
}

// mutate damages a few bytes, wherever they are.
func (g *generator) mutate() {
	const significant = "\"\\{}[]:,0123456789-+.eEtfnul \n\x00\x1f\xff/"
	for range 1 + g.IntN(3) {
		if len(g.doc) == 0 {
			return
		}
		i := g.IntN(len(g.doc))
		j := i + g.IntN(min(20, len(g.doc)-i))
		switch g.IntN(6) {
		case 0:
			g.doc = slices.Delete(g.doc, i, i+1)
		case 1:
			g.doc[i] = byte(g.Uint32())
		case 2:
			g.doc[i] = significant[g.IntN(len(significant))]
		case 3:
			g.doc = slices.Insert(g.doc, i, significant[g.IntN(len(significant))])
		case 4:
			g.doc = g.doc[:i]
		case 5:
			g.doc = slices.Insert(g.doc, i, slices.Clone(g.doc[i:j])...)
		}
	}
}
