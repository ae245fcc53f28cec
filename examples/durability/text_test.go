package durability

// The texts of the page, around the figures.

const head = `# What an acknowledged change is worth

Redis acknowledges a change when its primary has it in memory. A fault may take it away
afterwards. The settings of the server and of the client decide how much that is.

` + "`make durability`" + ` writes this page, in a few minutes. It needs root on Linux, with
redis-server, iproute2, iptables and e2fsprogs. ` + "`RUNS=3`" + ` makes each run three times.
` + "`FAULT=Cluster`" + ` injects only the faults with that text in their name, and writes nothing.

The table has the acknowledged session changes that were lost, %s for each cell, and
the time within which they were acknowledged. Every change writes a number of its own into a
session. After the fault the test looks for each acknowledged number at the server that
counts. 0 means that none was missing in this measurement. It is no promise: read
[what no setting gives](#what-no-setting-gives). "all before it" means that no change is
there that was acknowledged before the fault. An empty cell was not part of the measurement.
The last columns are the cost of one call, in the median.

`

const legend = `
The settings:

- **RDB, AOF** – the server keeps a snapshot, or a log of changes. "everysec" and "always"
  are its appendfsync. The test takes a snapshot every 2 s, so that one falls into each
  run. With your save points, all that is younger than the last snapshot is lost.
- **2 replicas** – a primary without persistence, with two replicas. Three Sentinels, or
  the two other primaries of a Cluster, promote one of them.
- **Replicas{N: 1}** – session.Config.Replicas and lock.Config.Replicas. A change or a lock
  counts when one replica has confirmed it (WAIT). The limiter has no such setting.
- **min-replicas-to-write 1** – the server's, with min-replicas-max-lag 1. A primary that
  has heard of no replica for more than a second refuses writes.

The faults:

`

const particulars = `
## All figures

Two clients of rediskit.Connect make session changes, ask one limiter of %d per hour
(fixed window) and share one lock with a TTL of %v. One of them holds the lock; the other
one waits for it.

- **acknowledged, lost** – session changes that were acknowledged, and those of them that
  are not at the server that counts in the end.
- **within** – the time from the acknowledgement of the first lost one to that of the last.
- **not acknowledged** – session changes that ended in an error. They may have been made.
  That is the price of a strict setting while it cannot be met. A change that waits for
  replicas in vain takes as long as Replicas.Timeout, 100 ms.
- **admitted** – requests that the limiter admitted, by both clients together. It is more than
  the limit if charges were lost and the limit was reached all the same before the run ended.
- **charges lost** – admitted requests that the server that counts does not know of.
- **two holders** – how long both clients trusted the lock at once.
`

const pricesHead = `
## What each setting costs

One caller, one call at a time, on servers that nothing happens to. Replicas run on the
same machine and share its CPUs, so "2 replicas" costs more here. Between machines, add
one round trip of the network to Replicas{N}. With Replicas.SkipTouch a Touch does not
wait, and costs as without Replicas. The cost of AOF always is that of a sync of the disk.
Many callers share one sync: the server makes one for all commands that it has read
together. The ratios are to "no persistence".

| setting | Touch | ratio | Update | ratio |
|---|--:|--:|--:|--:|
`

const advice = `
## What no setting gives

- **WAIT is no consensus.** Replicas{N: 1} says that one replica has the change in memory.
  If another replica is promoted, the change is lost. Sentinel and Cluster prefer the
  replica that has the most, but they can only choose among those that they reach. The
  column "one replica lags" shows this. An old primary that is still alive may also have a
  replica that confirms, until the Sentinels point that one at the new primary. Only N equal
  to the number of replicas that can be promoted excludes it, and then one replica that is
  down makes every change unacknowledged.
- **A change that was not acknowledged may still be there.** WAIT and time-outs take nothing
  back.
- **A replica is memory, too.** WAIT says nothing about a disk. If a primary without
  persistence starts again before it is missed, it is empty, and its replicas copy that.
  Give a primary with replicas an AOF, or do not start it again by itself.
- **AOF everysec is not safe from a kill, either.** The server writes a change to the kernel
  before it acknowledges it, and the kernel keeps that when the server is killed. But while
  a sync takes long, the server puts the write off, for up to two seconds. The column
  "killed" shows that only on a slow disk.
- **min-replicas bounds a loss and does not exclude it.** The primary notices the loss of
  its replicas after a second or two. What it acknowledges until then is lost. It also needs
  a second replica: after a failover the new primary must find one.
- **An old primary on a Cluster refuses writes by itself** once it has not reached most of
  the primaries for cluster-node-timeout. Until then it acknowledges. With Sentinel it goes on
  as long as it is cut off.
- **Limiters have no Replicas.** Up to the charges that were lost, a limiter admits more than its
  limit. Where that matters, min-replicas bounds it.
- **The fence is the guarantee of a lock**, and not any setting here: see the documentation
  of package lock.
- **Power loss of one machine of several** is "host vanishes". Where all lose power at once,
  nothing but their disks counts, and replicas help no more.
- **"host vanishes" is one moment.** A change is lost then if the primary had replied and
  not yet sent it to a replica. That takes microseconds here, and longer where a replica is
  slow or far away: that is the column "replicas lag".

## Which setting for which need

| need | setting |
|---|---|
| sessions may be lost in a crash | none, or RDB for a warm start |
| a crash or a power loss may cost a second of changes | one server, AOF everysec |
| no acknowledged change is lost on one machine whose disk survives | one server, AOF always; look at its cost on your disk |
| the service goes on when a machine is gone; what was in flight may be lost | 2 replicas, AOF everysec |
| as before, and a split may cost a second or two of changes only | min-replicas-to-write 1, min-replicas-max-lag 1 |
| an acknowledged change survives the loss of the primary, if a replica that has confirmed it is promoted | Replicas{N: 1}, with the line before and AOF everysec |
| as before, whichever replica is promoted | Replicas{N} with all replicas; each of them must be up |
`

const circumstances = `
## How it was measured

%s, %s/%s with %d CPUs for servers and clients together, %s, %s under the servers' files,
%s, %v for all. Before it the machine had a load average of %s: if that is more than its CPUs,
other work ran at the same time, and all figures are rough, above all the costs.
Several runs take place at once; the costs are measured alone after them. Sentinels take a
primary for dead after 500 ms, nodes of a Cluster after 1 s. Where a network is cut, each
server, Sentinel and client has an address of its own, behind a router that drops packets.

For a power loss the server writes to a file system of its own (ext4 on a loop device). The
test copies the disk under it at the moment of the fault, and the server starts again on
the copy. What the kernel had not written to the disk is therefore lost, as with a real
power loss. A real disk may lose more of what was not synced, if it has a cache that forgets;
and a disk that confirms a sync too early may lose what was synced. Neither can be measured
here.
`
