package main

import (
	"fmt"
	"io"
	"net"
)

// places are the addresses of the services, and what the welcome shows requests for.
type places struct {
	dashboard, manager    net.Addr
	database, redis       string
	speaker, conversation string
}

// welcome prints the addresses of everything, and requests to try.
func welcome(out io.Writer, p places) {
	fmt.Fprintf(out, `Dashboard    http://%[1]s
Manager      http://%[2]s, behind the gateway
Database     %[3]s
Redis        %[4]s
Metrics      http://%[1]s/metrics and http://%[2]s/metrics

Open the Dashboard and watch it while you try these.

A list. X-Cache is "miss", and "hit" the second time:

curl -i http://%[1]s/speakers/%[5]s/conversations

A message. A second one while the assistant still thinks is answered 409.
After twenty within ten seconds the answer is 429, and every Dashboard shows it.
The next list is a miss again:

curl -i http://%[1]s/speakers/%[5]s/conversations/%[6]s/messages \
  -H 'Content-Type: application/json' -d '{"role": "user", "text": "E amanhã?"}'

The session that the message has begun. It lasts five minutes:

curl http://%[1]s/conversations/%[6]s/session

The counts of the cache, the health of everything, and what the Dashboard reads:

curl http://%[1]s/stats
curl http://%[1]s/healthz
curl http://%[1]s/api/snapshot

Ctrl-C ends.

`, p.dashboard, p.manager, p.database, p.redis, p.speaker, p.conversation)
}
