module github.com/convkit/rediskit/internal/bench

go 1.26.0

require (
	github.com/convkit/rediskit v0.0.0
	github.com/vmihailenco/msgpack/v5 v5.4.1
)

require (
	github.com/goccy/go-json v0.12.0 // indirect
	github.com/vmihailenco/tagparser/v2 v2.0.0 // indirect
)

replace github.com/convkit/rediskit => ../..
