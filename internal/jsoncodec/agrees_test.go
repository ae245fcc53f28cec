package jsoncodec

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	gojson "github.com/goccy/go-json"
)

var leaves = []reflect.Type{
	reflect.TypeFor[bool](), reflect.TypeFor[int](), reflect.TypeFor[int8](), reflect.TypeFor[uint8](),
	reflect.TypeFor[uint16](), reflect.TypeFor[uint64](), reflect.TypeFor[float64](), reflect.TypeFor[string](),
	reflect.TypeFor[State](), reflect.TypeFor[any](), reflect.TypeFor[error](), reflect.TypeFor[struct{}](),
	reflect.TypeFor[time.Time](), reflect.TypeFor[json.RawMessage](), reflect.TypeFor[json.Number](),
	reflect.TypeFor[TextVal](), reflect.TypeFor[Level](), reflect.TypeFor[JSONVal](), reflect.TypeFor[JSONBytes](),
	reflect.TypeFor[Both](), reflect.TypeFor[Node](), reflect.TypeFor[Timestamps](), reflect.TypeFor[[]byte](),
}

var keys = []reflect.Type{
	reflect.TypeFor[string](), reflect.TypeFor[State](), reflect.TypeFor[json.Number](), reflect.TypeFor[int](),
	reflect.TypeFor[uint8](), reflect.TypeFor[TextKey](), reflect.TypeFor[StrKey](), reflect.TypeFor[Level](),
}

func randomType(r *rand.Rand, depth int) reflect.Type {
	if depth == 0 || r.IntN(3) == 0 {
		return leaves[r.IntN(len(leaves))]
	}
	switch r.IntN(6) {
	case 0:
		return reflect.PointerTo(randomType(r, depth-1))
	case 1:
		return reflect.SliceOf(randomType(r, depth-1))
	case 2:
		return reflect.ArrayOf(r.IntN(4), randomType(r, depth-1))
	case 3:
		return reflect.MapOf(keys[r.IntN(len(keys))], randomType(r, depth-1))
	}
	fields := make([]reflect.StructField, 1+r.IntN(12))
	if r.IntN(10) == 0 {
		fields = make([]reflect.StructField, 60+r.IntN(20))
	}
	for i := range fields {
		fields[i] = reflect.StructField{Name: fmt.Sprintf("F%d", i), Type: randomType(r, depth-1)}
		switch r.IntN(5) {
		case 0:
			names := []string{"k", "s", "é", "Ks", "a_b", "x.y", "ſ", "a_name_longer_than_one_word_of_the_machine"}
			fields[i].Tag = reflect.StructTag(fmt.Sprintf(`json:"%s%d"`, names[r.IntN(len(names))], i))
		case 1:
			fields[i].Tag = `json:",omitempty"`
		case 2:
			fields[i].Tag = `json:"-"`
		}
	}
	return reflect.StructOf(fields)
}

// checkAgreement fails if agrees accepts the random type and go-json makes
// another value than encoding/json of a document for it.
func checkAgreement(t *testing.T, typeSeed, docSeed uint64) {
	typ := randomType(rand.New(rand.NewPCG(typeSeed, 2)), 3)
	if !agrees(typ, map[reflect.Type]bool{}) {
		return
	}
	data := generate(docSeed, typ)
	got, want := reflect.New(typ).Interface(), reflect.New(typ).Interface()
	if err := gojson.Unmarshal(data, got); err != nil || repeatsAroundEmpty(data) {
		return
	}
	if err := json.Unmarshal(data, want); err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%v of %q:\n got %+v\nwant %+v, %v", typ, data, got, want, err)
	}
}

func TestAgreesAcceptsOnlyTypesThatBothLibrariesDecodeAlike(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		for doc := range uint64(30) {
			checkAgreement(t, seed, seed<<8|doc)
		}
	}
}

func FuzzAgrees(f *testing.F) {
	f.Add(uint64(1), uint64(1))
	f.Fuzz(checkAgreement)
}
