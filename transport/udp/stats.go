package udp

import (
	"sync/atomic"
	"time"
)

// A reason is why a datagram is dropped.
type reason int

const (
	malformed reason = iota // not one of ours, or of another version
	foreign                 // of another cluster
	own                     // this node's, looped back
	stranger                // of a node that is not in the group
	view                    // of a view that is over, or whose key has not come
	mode                    // in the clear where it should be sealed, or the other way round
	replay                  // it was taken before, or is far too late
	damaged                 // changed on the way, or made by somebody without the key
	reasons
	none reason = -1
)

var reasonNames = [reasons]string{"malformed", "foreign", "own", "stranger", "view", "mode", "replay", "damaged"}

type counters struct {
	sent, received, failed atomic.Uint64
	dropped                [reasons]atomic.Uint64
}

func (c *counters) drop(why reason) { c.dropped[why].Add(1) }

// Stats count what became of datagrams since the transport was opened. Probes are not among those sent and received.
type Stats struct {
	Sent, Received uint64
	Failed         uint64            // could not be sent
	Dropped        map[string]uint64 // by reason: malformed, foreign, own, stranger, view, mode, replay, damaged
}

// Datagrams are the counters.
func (t *Transport) Datagrams() Stats {
	s := Stats{Sent: t.stats.sent.Load(), Received: t.stats.received.Load(), Failed: t.stats.failed.Load(),
		Dropped: make(map[string]uint64, reasons)}
	for i := range reasons {
		s.Dropped[reasonNames[i]] = t.stats.dropped[i].Load()
	}
	return s
}

// A logbook remembers what was told to operators.
type logbook struct {
	at   time.Time
	told [reasons]uint64
}

// quiet is how long nothing more is told of datagrams that were dropped.
const quiet = 10 * time.Second

// report tells operators of datagrams that no honest node sends, once in a while.
func (t *Transport) report() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Since(t.log.at) < quiet {
		return
	}
	var fields []any
	for i := range reasons {
		n := t.stats.dropped[i].Load()
		if i != own && i != view && n > t.log.told[i] {
			fields = append(fields, reasonNames[i], n-t.log.told[i])
		}
		t.log.told[i] = n
	}
	if len(fields) > 0 {
		t.log.at = time.Now()
		t.config.Log.Warn("dropped datagrams", append([]any{"node", t.self.id}, fields...)...)
	}
}
