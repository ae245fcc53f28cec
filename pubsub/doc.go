// Package pubsub publishes and receives messages of one type over Redis, and never
// loses one in silence.
//
//	updates, err := pubsub.NewTopic[Event](rdb, "conversation:updates", pubsub.Config{})
//	receivers, err := updates.Publish(ctx, Event{ConversationID: id, Event: "message_received"})
//
// A service listens once and hands the messages to any number of readers, for example
// one for each WebSocket:
//
//	hub, err := updates.Listen(ctx)
//	defer hub.Close()
//	...
//	sub := hub.Subscribe()
//	defer sub.Close()
//	for m, err := range sub.All(ctx) {
//		if err != nil { // a *GapError or a *DecodeError
//			...
//			continue
//		}
//		ws.Write(ctx, m.Raw)
//	}
//
// # What it guarantees
//
// A payload is plain JSON, as JSON.stringify and encoding/json write it. Programs in
// other languages may publish and listen.
//
// Listen returns once Redis has confirmed the subscription. From then on, each message
// that Redis delivers on the channel reaches every subscription that the Hub has by
// then, in the order of Redis, or an error stands in its place:
//
//   - A subscription that is more than Config.Buffer behind loses its oldest messages.
//     It receives a *GapError with their number. It slows no other subscription down.
//   - When the connection was lost, or its server has to be left, every subscription
//     receives one *GapError (with a history only where it must, see below), after the last message from before and ahead of the first
//     from after. By then Redis has confirmed the subscription anew. So a reader that reads
//     its state from the source at the GapError misses nothing after it.
//   - A payload that does not decode is a *DecodeError in its place.
//
// A server that sends nothing any more, though its connection still stands, is found
// within Config.Liveness. One that answers, but receives no messages any more, is
// found within Config.ProbeEvery and Liveness, if there is a probe. Connections are
// made anew after 10 ms, 20 ms and so on up to 1 s, half of it at random.
//
// With a client of rediskit.Connect, a Hub also follows its server: it leaves one that was
// demoted or replaced within 2 s of the time at which a reachable majority of the Sentinels
// or of the Cluster's primaries names another one, within 5 s if one address leads to
// another server in silence (30 s with TLS), and within 2 s of a call of the same client
// that had no reply although the server answers on a fresh connection. Each is a gap. A
// client that go-redis itself made has none of this: after a failover a Hub may stay with
// an old primary that still answers. Config.ProbeEvery finds that.
//
// A Hub has one connection, two goroutines (three with a probe, one more while it reads a
// history) and one copy of each message, however many subscriptions there are. A message is decoded once.
//
// Publish is never sent twice, and a server that must not be written to refuses it. What
// one goroutine publishes arrives in that order. While five or more calls of a Topic are
// under way, they share round trips: hooks of the client then see pipelines, with a context
// of their own.
//
// # On a Cluster
//
// The nodes pass on to each other what is published, in no order between them, and while
// two of them do not reach each other they lose it without a word. So messages do not
// depend on that. Publish publishes at the primary of the channel's slot; a node that does not
// own the slot refuses. A Hub of a channel listens there and nowhere else. A Hub of a
// pattern has a connection, and two goroutines, for each primary, and takes from each the
// messages of the slots of that primary.
//
// A Hub looks at the client's map of the slots every 250 ms. When another primary has the
// slot, the Hub listens there and reports a gap; a primary more or less is a gap of a
// pattern's Hub. A client of rediskit.Connect reads its map anew every second while there
// is a Hub. One of go-redis's own does so after a call that was redirected or has failed,
// each probe among them, and every minute.
//
// Each message that Publish has confirmed is received, or lies in a gap. Between two gaps
// each is received once and in order. There is one exception: while a slot moves, and until
// the Hub has noticed, messages reach it from the new owner through the old one. If these two
// do not reach each other at that time, the loss of a message may be told only after a
// later one was received. If the slot moves back at once, two messages may change places.
//
// # History
//
// With Config.History Redis keeps what is published for a while, in the same script that
// publishes it: in a stream of the channel's slot, trimmed by number and by age. Programs in
// other languages hear the same messages as without it.
//
//	cfg := pubsub.Config{History: pubsub.History{Messages: 1000, Age: 5 * time.Minute}}
//
// A Hub whose connection was lost first subscribes anew and then reads what it missed. Its
// subscriptions receive each message once and in the order of Redis, and no GapError. What
// comes meanwhile waits behind it. A message that is published while the Hub reads back is
// not lost, however many there are, as long as the Hub is faster than the history is trimmed.
//
// A *GapError stands where that cannot be vouched for. After it comes the oldest message
// that the Hub does not know:
//
//   - The history lacks something: it is older than Messages or Age, or was deleted.
//   - The server has another data set than before: it was restarted, another one was
//     promoted, or the slot of a Cluster has moved. What the old one had confirmed, and this
//     Hub had not heard, may be lost with it, and nobody can tell. So it is told always,
//     even if nothing is missing. The Hub asks each server with INFO; where that is refused,
//     each lost connection is a gap.
//   - The Hub has heard messages of other programs, which no history keeps.
//   - The history could not be read for Config.Liveness, or for ten times as long because Redis
//     was not reached for it. Or its reading was refused.
//
// [Hub.SubscribeAfter] begins behind the message with a given Message.Position: with what the
// Hub keeps, which is at least the history, and then with what comes. A text for a browser's
// Last-Event-ID is just that Position.
//
// A message of another program, or of a Topic without a history, has no Position. It is
// heard as always, and not read back. If the only such messages of a channel are published
// while the connection is away, their loss is not reported: with a history, publish through
// this package alone.
//
// A subscription that is more than Config.Buffer behind misses messages with a history too. A
// reader in a new process cannot be told what a lost primary had confirmed after the
// reader's position. A channel without a message for a week, and the history's Age, begins
// its history anew: the first message comes with a gap. The stream is the library's own: do
// not add to it.
//
// # What it does not guarantee
//
// Delivery. Without a history Redis keeps no messages: it delivers each one only to connections that listen at
// that moment. What is published while a Hub's connection is away is lost. A reader that
// shows a state built from messages reads that state from its source after Subscribe, and
// again at each GapError. Use a stream where every message must be processed.
//
// At most once, across a gap, on a Cluster. After the gap a message from before it may
// come again, or for the first time, even behind newer ones: the new node may get it late
// from the old one. Between two gaps no message comes twice.
//
// What programs that use PUBLISH confirm. Any server takes it: a replica, a node that the
// others do not reach, a primary that was replaced. What they publish at another node than
// the owner is heard only if it gets through, and its loss is not reported.
//
// What a primary confirms that is cut off from its replicas while clients still reach it.
// Until it notices, only those on its own side hear it. Set min-replicas-to-write, and
// such a primary refuses Publish after min-replicas-max-lag.
//
// The order of a Publish that failed: one whose connection stalls may arrive after a later
// one.
//
// Unread messages survive neither the process nor Close; Shutdown lets them be read.
//
// An exact count at a lost connection: what the server had sent into it is lost too.
// Redis itself closes a connection that does not keep up (client-output-buffer-limit
// pubsub); that is a gap like any other.
//
// If the client is closed before a Hub, the Hub goes on until its connection breaks or
// it is closed itself. When the connection breaks, or at the next probe, the Hub's
// subscriptions end with ErrClientClosed.
//
// Config.OnError and the UnmarshalJSON methods of the type run on the goroutine that
// reads the connection. While one blocks, nothing is received. An UnmarshalJSON that
// panics is a DecodeError, and OnError receives the panic with its stack.
//
// With a dialer that ignores its context, as go-redis's own does for TLS, Close waits a
// second at most, and the dial ends by its own time-out. With a probe, and with a pattern on
// a Cluster, Close also waits for a command that was sent, as long as the client's
// ReadTimeout. So it does while a history is read.
//
// Pub/sub knows neither databases nor key prefixes: two services that use the same
// channel on one server receive each other's messages. ConnMaxLifetime does not end a
// Hub's connection.
//
// # What the user needs
//
// To publish: +evalsha +eval +del +publish, the keys rediskit:* and the channel. To listen:
// +subscribe +unsubscribe +ping and the channel, or +psubscribe +punsubscribe and the
// pattern. For a probe, which Hubs on a Cluster have by default: both, and the channels
// &rediskit:probe:*. For a history, publishing needs +get +set +time +pexpire +xadd +xtrim
// +xrevrange in place of +del, and listening +evalsha +eval +get +xrange +info and the keys
// rediskit:*; both need the channels &rediskit:position:*. On a Cluster the client also needs
// +cluster|slots and +command.
package pubsub
