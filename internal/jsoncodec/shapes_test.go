//lint:file-ignore SA5008,U1000 Odd tags and unused fields are what these types are for.

package jsoncodec

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"reflect"
	"strings"
	"time"

	"github.com/goccy/go-json/jsontext"
)

type Message struct {
	ID        string    `json:"id"`
	SpeakerID string    `json:"speaker_id"`
	Role      string    `json:"role"`
	Content   string    `json:"content"`
	Tokens    int       `json:"tokens"`
	CreatedAt time.Time `json:"created_at"`
}

type Conversation struct {
	ID          string    `json:"id"`
	SpeakerID   string    `json:"speaker_id"`
	Title       string    `json:"title"`
	State       string    `json:"state"`
	Messages    int       `json:"messages"`
	Unread      int       `json:"unread"`
	Pinned      bool      `json:"pinned"`
	Score       float64   `json:"score"`
	Tags        []string  `json:"tags,omitempty"`
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
	LastMessage *Message  `json:"last_message,omitempty"`
}

type Inner struct {
	A int     `json:"a"`
	B string  `json:"b"`
	C *Inner  `json:"c"`
	D []Inner `json:"d"`
}
type (
	State string
	Level int
)

func (l *Level) UnmarshalText(b []byte) error {
	switch string(b) {
	case "low":
		*l = 1
	case "high":
		*l = 2
	default:
		return errors.New("bad level")
	}
	return nil
}

type TextVal struct{ S string }

func (v *TextVal) UnmarshalText(b []byte) error { v.S = string(b); return nil }

type TextKey struct{ K string }

func (v *TextKey) UnmarshalText(b []byte) error {
	if strings.HasPrefix(string(b), "!") {
		return errors.New("no")
	}
	v.K = "k:" + string(b)
	return nil
}

type StrKey string

func (v *StrKey) UnmarshalText(b []byte) error { *v = StrKey("s:" + string(b)); return nil }

type JSONVal struct{ Calls []string }

func (v *JSONVal) UnmarshalJSON(b []byte) error { v.Calls = append(v.Calls, string(b)); return nil }

type JSONBytes []byte

func (v *JSONBytes) UnmarshalJSON(b []byte) error { *v = append((*v)[:0], b...); return nil }

type JSONMap map[string]string

func (v JSONMap) UnmarshalJSON(b []byte) error {
	if v != nil {
		v["x"] = string(b)
	}
	return nil
}

type JSONFail struct{ N int }

func (v *JSONFail) UnmarshalJSON(b []byte) error {
	v.N++
	if len(b) > 3 {
		return errors.New("long")
	}
	return nil
}

type Both struct{ S string }

func (v *Both) UnmarshalJSON(b []byte) error { v.S = "json" + string(b); return nil }
func (v *Both) UnmarshalText(b []byte) error { v.S = "text" + string(b); return nil }

type Numbers struct {
	I   int         `json:"i"`
	I8  int8        `json:"i8"`
	I16 int16       `json:"i16"`
	I32 int32       `json:"i32"`
	I64 int64       `json:"i64"`
	U   uint        `json:"u"`
	U8  uint8       `json:"u8"`
	U16 uint16      `json:"u16"`
	U32 uint32      `json:"u32"`
	U64 uint64      `json:"u64"`
	UP  uintptr     `json:"up"`
	F64 float64     `json:"f64"`
	N   json.Number `json:"n"`
	B   bool        `json:"b"`
}
type Maps struct {
	A map[string]int
	B map[int]string
	C map[uint8]bool
	D map[TextKey]int
	E map[StrKey]*Inner
	F map[string]Inner
	G map[string]any
	H map[string]map[string][]int
	I map[State]float64
	J map[int64]*int
	L map[Level]int
	M map[string]*string
}
type Keys struct {
	Pointer map[*TextKey]int
	Float   map[float64]int
	Bool    map[bool]string
}
type Singles struct {
	F float32 `json:"f"`
	G []*float32
}
type Pointers struct {
	A *int
	B **string
	C *Inner
	D []*Inner
	E *[]int
	F *map[string]int
	G ***Numbers
	H *any
	I []**int
	J *Pointers
	K *bool
	L *State
}
type Base struct {
	ID   string `json:"id"`
	Name string
	Base2
}
type Base2 struct {
	Deep int    `json:"deep"`
	Over string `json:"over"`
}
type Other struct {
	Name string
	Oth  int `json:"oth"`
}
type hidden struct {
	Seen string `json:"seen"`
	no   int
}
type PtrBase struct {
	PB  int `json:"pb"`
	Rec *Inner
}
type Embedded struct {
	Base
	Other
	hidden
	*PtrBase
	Over  int `json:"over"`
	Inner `json:"inner"`
	State
	fmt.Stringer
}
type Timestamps struct {
	CreatedAt time.Time `json:"created_at"`
	Audit
}
type Audit struct {
	By string   `json:"by"`
	At []string `json:"at"`
}
type Record struct {
	Timestamps
	hidden
	State
	fmt.Stringer
	ID    string `json:"id"`
	Inner `json:"inner"`
	Named Audit
}
type CaseBelow struct {
	Deeper
	Ab int `json:"ab"`
}
type (
	Deeper     struct{ AB int }
	PtrBelow   struct{ *PtrMid }
	PtrMid     struct{ *hidden }
	FromMethod struct{ S string }
)

func (v *FromMethod) UnmarshalJSONFrom(*jsontext.Decoder) error { v.S = "called"; return nil }

type EmbBad struct {
	*hidden
	X int
}
type EmbText struct {
	TextVal
	X int
}
type EmbTime struct {
	time.Time
	X int
}
type EmbRec struct {
	*EmbRec
	X int
}
type Names struct {
	A1        string `json:"name"`
	A2        string `json:"Name"`
	A3        string `json:"NAME"`
	B         string `json:"kiss"`
	C         string `json:"Sſ"`
	D         string `json:"é"`
	D2        string `json:"É"`
	E         string `json:"a.b"`
	F         string `json:"-,"`
	G         string `json:"-"`
	H         string `json:",omitempty"`
	I         string `json:"日本"`
	J         string `json:"bad\"tag"`
	K         string `json:"a b"`
	L         string `json:"very_long_name_of_a_field_that_is_longer_than_sixty_four_bytes_in_all_of_it"`
	M         string `json:"x<y"`
	Ünï       int
	ID        int
	Id        int
	id        int
	SpeakerID int `json:"speaker_id,omitzero"`
}
type Titles struct {
	A         string `json:"name"`
	B         string `json:"kiss"`
	C         string `json:"ſolo"`
	D         string `json:"é"`
	E         string `json:"a.b"`
	F         string `json:"-,"`
	G         string `json:"-"`
	H         string `json:",omitempty"`
	I         string `json:"日本"`
	J         string `json:"bad\"tag"`
	K         string `json:"a b"`
	L         string `json:"very_long_name_of_a_field_that_is_longer_than_sixty_four_bytes_in_all_of_it"`
	M         string `json:"x<y"`
	Ünï       int
	ID        int
	id        int
	SpeakerID int `json:"speaker_id,omitzero"`
}
type Small struct {
	K string `json:"k"`
	S string `json:"s"`
	X int
}
type Wide struct {
	F00, F01, F02, F03, F04, F05, F06, F07, F08, F09 int
	F10, F11, F12, F13, F14, F15, F16, F17, F18, F19 string
	Ka, Kb, Kc, Sa, Sb, Sc                           *int
	G0, G1, G2, G3, G4, G5, G6, G7, G8, G9           []int
	H0, H1, H2, H3, H4, H5, H6, H7, H8, H9           bool
	J0, J1, J2, J3, J4, J5, J6, J7, J8, J9           float64
	L0, L1, L2, L3, L4, L5, L6, L7, L8, L9           uint8
	M0, M1, M2, M3, M4, M5, M6, M7, M8, M9           State
}
type Times struct {
	A time.Time
	B *time.Time
	C time.Duration
	D []time.Time
	E map[string]time.Time
}
type Raws struct {
	A json.RawMessage
	B *json.RawMessage
	C json.Number
	D *json.Number
	E map[string]json.RawMessage
	F []json.RawMessage
	G []json.Number
	H map[string]json.Number
	I map[json.Number]int
}
type Texts struct {
	A TextVal
	B *TextVal
	C Level
	D *Level
	E JSONVal
	F *JSONVal
	G JSONBytes
	H JSONMap
	I JSONFail
	J Both
	K *Both
	L []TextVal
	M []JSONVal
	N netip.Addr
	O *big.Int
	P big.Int
	Q [2]Level
	R []Both
	S []Level
	T map[string]JSONVal
	U map[string]*TextVal
}
type Strs struct {
	A int           `json:",string"`
	B int8          `json:",string"`
	C uint64        `json:",string"`
	D float64       `json:",string"`
	E bool          `json:",string"`
	F string        `json:",string"`
	G *int          `json:",string"`
	H *string       `json:",string"`
	I json.Number   `json:",string"`
	J []int         `json:",string"`
	K State         `json:",string"`
	L float32       `json:",string"`
	M uintptr       `json:",string"`
	N **int         `json:",string"`
	O *bool         `json:",string"`
	P any           `json:",string"`
	Q Level         `json:",string"`
	R time.Duration `json:",string"`
}
type (
	MyByte byte
	TByte  byte
)

func (v *TByte) UnmarshalText(b []byte) error { *v = TByte(len(b)); return nil }

type (
	MyBytes []byte
	Arrays  struct {
		A [3]int
		B [0]int
		C [2]string
		F [4]byte
		J [2]*Inner
		K [2][2]float64
		L []bool
		M []any
		N []map[string]int
		O [][][]string
		P []Inner
		Q [1]any
		R []struct{}
		S *[2]int
		T []float64
		U []*string
	}
)

type Bytes struct {
	D []byte
	E [][]byte
	G MyBytes
	H []MyByte
	I []TByte
}
type Ifaces struct {
	A any
	B error
	C fmt.Stringer
	D []any
	E map[string]any
	F *any
	G interface{ Foo() }
	H map[string]error
	I []error
}
type Unsup struct {
	A func()
	B chan int
	C complex128
	D int
	E map[string]func()
	F []chan int
}
type (
	Empty struct{}
	Node  struct {
		Left, Right *Node
		Kids        []Node
		M           map[string]Node
		V           int
	}
)

type (
	NamedSlice []Inner
	NamedMap   map[string]NamedSlice
	Anon       struct {
		S struct {
			X, Y int
			Z    struct {
				W []string `json:"w"`
			} `json:"z"`
		} `json:"s"`
		T []struct {
			K string `json:"k"`
			V any    `json:"v"`
		} `json:"t"`
		E Empty
		_ int
	}
)

// A shape is a type to decode into, with its three decoders.
type shape struct {
	typ  reflect.Type
	fast bool
	got  func([]byte) (any, error) // the codec
	want func([]byte) (any, error) // encoding/json
	enc  func(any) ([]byte, error) // the codec
}

func shapeOf[V any]() shape {
	codec := For[V]()
	return shape{
		typ:  reflect.TypeFor[V](),
		fast: codec.fast,
		got:  func(data []byte) (any, error) { v, err := codec.Decode(data); return &v, err },
		want: func(data []byte) (any, error) {
			var v V
			if err := json.Unmarshal(data, &v); err != nil {
				return new(V), err
			}
			return &v, nil
		},
		enc: func(v any) ([]byte, error) { return codec.Encode(*v.(*V)) },
	}
}

var shapes = []shape{
	shapeOf[[]Conversation](),
	shapeOf[Conversation](),
	shapeOf[Numbers](),
	shapeOf[Maps](),
	shapeOf[Pointers](),
	shapeOf[Embedded](),
	shapeOf[EmbBad](),
	shapeOf[EmbText](),
	shapeOf[EmbTime](),
	shapeOf[EmbRec](),
	shapeOf[Names](),
	shapeOf[Small](),
	shapeOf[Wide](),
	shapeOf[Times](),
	shapeOf[Raws](),
	shapeOf[Texts](),
	shapeOf[Strs](),
	shapeOf[Arrays](),
	shapeOf[Ifaces](),
	shapeOf[Unsup](),
	shapeOf[Empty](),
	shapeOf[Node](),
	shapeOf[NamedMap](),
	shapeOf[Anon](),
	shapeOf[any](),
	shapeOf[string](),
	shapeOf[int](),
	shapeOf[int8](),
	shapeOf[uint64](),
	shapeOf[float64](),
	shapeOf[float32](),
	shapeOf[bool](),
	shapeOf[[]int](),
	shapeOf[[]string](),
	shapeOf[map[string]string](),
	shapeOf[map[string]any](),
	shapeOf[[]any](),
	shapeOf[time.Time](),
	shapeOf[json.RawMessage](),
	shapeOf[json.Number](),
	shapeOf[*int](),
	shapeOf[**Inner](),
	shapeOf[*Conversation](),
	shapeOf[[]byte](),
	shapeOf[[3]int](),
	shapeOf[map[int]string](),
	shapeOf[map[TextKey]int](),
	shapeOf[Level](),
	shapeOf[TextVal](),
	shapeOf[JSONVal](),
	shapeOf[*JSONVal](),
	shapeOf[JSONMap](),
	shapeOf[Both](),
	shapeOf[JSONBytes](),
	shapeOf[error](),
	shapeOf[State](),
	shapeOf[time.Duration](),
	shapeOf[map[string]int](),
	shapeOf[map[string][]string](),
	shapeOf[map[string]bool](),
	shapeOf[func()](),
	shapeOf[[]time.Time](),
	shapeOf[struct{}](),
	shapeOf[[]Small](),
	shapeOf[map[string]json.RawMessage](),
	shapeOf[netip.Addr](),
	shapeOf[big.Int](),
	shapeOf[*time.Time](),
	shapeOf[[]*Inner](),
	shapeOf[map[State]Inner](),
	shapeOf[[][]int](),
	shapeOf[TextKey](),
	shapeOf[*any](),
	shapeOf[[]float64](),
	shapeOf[[]float32](),
	shapeOf[map[string]float64](),
	shapeOf[Keys](),
	shapeOf[Bytes](),
	shapeOf[Singles](),
	shapeOf[Titles](),
	shapeOf[Timestamps](),
	shapeOf[Record](),
	shapeOf[CaseBelow](),
	shapeOf[PtrBelow](),
	shapeOf[FromMethod](),
	shapeOf[[]Titles](),
	shapeOf[map[string]Record](),
	shapeOf[[]Record](),
}
