package sender

// What tests need to know.
const (
	MaxDirect      = maxDirect
	MaxPipelines   = maxPipelines
	Large          = large
	LargeArguments = largeArguments
	Classes        = classes
	MaxBudget      = maxBudget
)

// Queued returns how many calls wait for a pipeline.
func (s *Sender) Queued() (n int) {
	for _, lanes := range s.lanes {
		if lanes == nil {
			continue
		}
		lanes.only.mu.Lock()
		n += len(lanes.only.queue)
		lanes.only.mu.Unlock()
	}
	return n
}

// Busy returns how many calls have not returned.
func (s *Sender) Busy() (n int) {
	for _, lanes := range s.lanes {
		if lanes != nil {
			n += int(lanes.only.busy.Load())
		}
	}
	return n
}
