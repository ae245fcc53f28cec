package pipeline

// What tests need to know.
const (
	Alone = alone
	Most  = most
	Large = large
)

// Queued is how many calls wait for a pipeline.
func (c *Combiner) Queued() int {
	c.lane.mu.Lock()
	defer c.lane.mu.Unlock()
	return len(c.lane.queue)
}

// Busy is how many calls have not returned.
func (c *Combiner) Busy() int { return int(c.lane.busy.Load()) }
