package durability

// A setting is a row of the table: how the servers keep what they were told, and how many
// of them must have it before a client hears so.
type setting struct {
	name     string
	args     []string // of each server
	replicas int      // of the primary
	confirm  int      // Replicas.N of sessions and locks
}

var (
	none     = setting{name: "no persistence"}
	snapshot = setting{name: "RDB, a snapshot every 2 s", args: snapshots}
	everysec = setting{name: "AOF everysec", args: appendOnly("everysec")}
	always   = setting{name: "AOF always", args: appendOnly("always")}

	copied    = setting{name: "2 replicas", replicas: 2}
	confirmed = setting{name: "2 replicas, Replicas{N: 1}", replicas: 2, confirm: 1}
	strict    = setting{name: "2 replicas, min-replicas-to-write 1", replicas: 2, args: minReplicas}
	both      = setting{name: "2 replicas, Replicas{N: 1}, min-replicas-to-write 1", replicas: 2, confirm: 1, args: minReplicas}
	saved     = setting{
		name:     "2 replicas, Replicas{N: 1}, min-replicas-to-write 1, AOF everysec",
		replicas: 2, confirm: 1, args: append(appendOnly("everysec"), minReplicas...),
	}
	unanimous = setting{name: "2 replicas, Replicas{N: 2}", replicas: 2, confirm: 2}
)

// settings are the rows, in the order of the page.
var settings = []setting{none, snapshot, everysec, always, copied, confirmed, strict, both, saved, unanimous}

// snapshots: the server looks once more than a second has passed since the last snapshot,
// and counts whole seconds.
var snapshots = []string{"--save", "1 1"}

var minReplicas = []string{"--min-replicas-to-write", "1", "--min-replicas-max-lag", "1"}

func appendOnly(fsync string) []string {
	return []string{"--appendonly", "yes", "--appendfsync", fsync}
}
