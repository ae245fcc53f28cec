package redistest

import (
	"bytes"
	"sync"
)

// A serverLog keeps what a server prints, and notices when the server is ready.
type serverLog struct {
	mu    sync.Mutex
	text  bytes.Buffer
	start int           // where the log of the current process begins
	ready chan struct{} // closed once the current process is ready
}

// readyMarks are what a server or a Sentinel prints when it is ready.
var readyMarks = [][]byte{[]byte("Ready to accept connections"), []byte("+monitor master")}

func (l *serverLog) restart() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.start, l.ready = l.text.Len(), make(chan struct{})
}

func (l *serverLog) readiness() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ready
}

func (l *serverLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.isReady()
	l.text.Write(b)
	if !was && l.isReady() {
		close(l.ready)
	}
	return len(b), nil
}

func (l *serverLog) isReady() bool {
	current := l.text.Bytes()[l.start:]
	for _, mark := range readyMarks {
		if bytes.Contains(current, mark) {
			return true
		}
	}
	return false
}

func (l *serverLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
