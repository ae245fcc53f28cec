package cache_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/convkit/rediskit/cache"
)

// A compressed codec stores JSON in less memory.
type compressed struct{}

func (compressed) Marshal(v any) ([]byte, error) {
	var data bytes.Buffer
	w := zlib.NewWriter(&data)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		return nil, err
	}
	err := w.Close()
	return data.Bytes(), err
}

func (compressed) Unmarshal(data []byte, v any) error {
	r, err := zlib.NewReader(bytes.NewReader(data))
	if err != nil {
		return err
	}
	return json.NewDecoder(r).Decode(v)
}

func ExampleCodec() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()

	transcripts, err := cache.New[string](rdb, cache.Config{
		Key:   "conversation:*:transcript",
		TTL:   time.Hour,
		Codec: compressed{},
	})
	if err != nil {
		panic(err)
	}
	defer transcripts.Close()

	_ = transcripts.Set(ctx, "c1", strings.Repeat("E amanhã? ", 1000))
	text, err := transcripts.Get(ctx, "c1")
	fmt.Println(len(text), err)
	fmt.Println("less than 100 bytes in Redis:", rdb.StrLen(ctx, "conversation:c1:transcript").Val() < 100)
	// Output:
	// 11000 <nil>
	// less than 100 bytes in Redis: true
}
