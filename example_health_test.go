package rediskit_test

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/alicebob/miniredis/v2"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/secrets"
)

// What a node does not report is unknown, and no error. The Redis inside this process
// reports little; a real one reports every field.
func ExampleCheck() {
	ctx := context.Background()
	server, err := miniredis.Run()
	if err != nil {
		panic(err)
	}
	rdb, err := rediskit.Connect(ctx, rediskit.Config{
		Addrs:    []string{server.Addr()},
		Password: secrets.None(),
	})
	if err != nil {
		panic(err)
	}
	defer rdb.Close()

	health, err := rediskit.Check(ctx, rdb)
	if err != nil {
		panic(err)
	}
	for _, node := range health.Nodes {
		fmt.Println("answered:", node.Latency > 0)
		fmt.Println("eviction policy:", node.EvictionPolicy)
	}

	server.Close()
	health, err = rediskit.Check(ctx, rdb)
	fmt.Println(len(health.Nodes), err != nil)
	// Output:
	// answered: true
	// eviction policy: unknown
	// 0 true
}

// Get says whether a value was reported. One that was not prints as "unknown" and is
// null in JSON.
func ExampleReported() {
	ctx := context.Background()
	server, err := miniredis.Run()
	if err != nil {
		panic(err)
	}
	defer server.Close()
	rdb, err := rediskit.Connect(ctx, rediskit.Config{
		Addrs:    []string{server.Addr()},
		Password: secrets.None(),
	})
	if err != nil {
		panic(err)
	}
	defer rdb.Close()
	health, err := rediskit.Check(ctx, rdb)
	if err != nil {
		panic(err)
	}

	node := health.Nodes[0]
	clients, ok := node.Clients.Get()
	fmt.Println(clients > 0, ok)
	limit, ok := node.MaxClients.Get()
	fmt.Println(limit, ok)

	fmt.Println(node.MaxClients)
	text, err := json.Marshal(node.MaxClients)
	fmt.Println(string(text), err)
	// Output:
	// true true
	// 0 false
	// unknown
	// null <nil>
}
