package main

import (
	"context"
	"encoding/json"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/convkit/rediskit/internal/jsoncodec"
)

// decodings decodes one value without Redis. Each contestant decodes what its own codec
// has encoded.
func decodings[V any](name string, value V) contest {
	return contest{name: name, goroutines: []int{1}, enter: func(*arena) []contestant {
		asJSON, asMsgpack := toJSON(value), must(msgpack.Marshal(value))
		codec := jsoncodec.For[V]()
		return []contestant{
			{by: "rediskit", call: func(context.Context, int) error {
				_, err := codec.Decode(asJSON)
				return err
			}},
			{by: "encoding-json", call: func(context.Context, int) error {
				var v V
				return json.Unmarshal(asJSON, &v)
			}},
			{by: "msgpack", call: func(context.Context, int) error {
				var v V
				return msgpack.Unmarshal(asMsgpack, &v)
			}},
		}
	}}
}
