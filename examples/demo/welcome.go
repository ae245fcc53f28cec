package main

import (
	"fmt"
	"io"
	"net"
)

// places are where everything is.
type places struct {
	dashboard, manager    net.Addr
	database, redis       string
	speaker, conversation string
}

// welcome tells where everything is and what to try.
func welcome(out io.Writer, p places) {
	fmt.Fprintf(out, `Dashboard    http://%[1]s
Manager      http://%[2]s, behind the gateway
Database     %[3]s
Redis        %[4]s
Metrics      http://%[1]s/metrics and http://%[2]s/metrics

Open the Dashboard and watch it while you try these.

A list. X-Cache is a miss, and a hit the second time:

curl -i http://%[1]s/speakers/%[5]s/conversations

A message, and one that comes while the assistant still thinks about it: 409.
After twenty within ten seconds: 429, and every dashboard shows it.
The list after a message is a miss again:

curl -i http://%[1]s/speakers/%[5]s/conversations/%[6]s/messages \
  -H 'Content-Type: application/json' -d '{"role": "user", "text": "E amanhã?"}'

The session that began with the message, for five minutes:

curl http://%[1]s/conversations/%[6]s/session

What the cache has counted, how everything is, and what the Dashboard reads:

curl http://%[1]s/stats
curl http://%[1]s/healthz
curl http://%[1]s/api/snapshot

Ctrl-C ends.

`, p.dashboard, p.manager, p.database, p.redis, p.speaker, p.conversation)
}
