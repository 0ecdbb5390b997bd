package cli

import (
	"cmp"
	"slices"
	"sync"
	"time"

	cirandav1 "ciranda.dev/api/ciranda/v1"
)

// hold is how long an event waits for earlier ones that arrive later, since each node tells its own at its pace.
const hold = 50 * time.Millisecond

// An ordered stream prints events by time, though they arrive in any order. An event that arrives more than hold after
// a later one is printed late.
type ordered struct {
	print func(*cirandav1.Event) error
	ends  bool // the stream is one that ends by itself: all is held until then

	mu      sync.Mutex
	waiting []arrival
	armed   bool  // a release is due
	failed  error // of the first print that failed
}

type arrival struct {
	event *cirandav1.Event
	at    time.Time
}

// add takes an event that has arrived. The error may be that of another one.
func (o *ordered) add(e *cirandav1.Event) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting = append(o.waiting, arrival{e, time.Now()})
	if !o.ends && !o.armed {
		o.arm(hold)
	}
	return o.failed
}

// close prints what waits.
func (o *ordered) close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sort()
	o.printFirst(len(o.waiting))
	return o.failed
}

// arm is called with the lock held.
func (o *ordered) arm(after time.Duration) {
	o.armed = true
	time.AfterFunc(after, o.release)
}

// release prints what has waited long enough, and what is earlier than that.
func (o *ordered) release() {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	o.sort()
	n := 0
	for i, a := range o.waiting {
		if now.Sub(a.at) >= hold {
			n = i + 1
		}
	}
	o.printFirst(n)
	if o.armed = len(o.waiting) > 0; o.armed {
		oldest := slices.MinFunc(o.waiting, func(a, b arrival) int { return a.at.Compare(b.at) })
		o.arm(oldest.at.Add(hold).Sub(now))
	}
}

func (o *ordered) sort() {
	slices.SortStableFunc(o.waiting, func(a, b arrival) int { return cmp.Compare(a.event.GetTime(), b.event.GetTime()) })
}

func (o *ordered) printFirst(n int) {
	for _, a := range o.waiting[:n] {
		if o.failed == nil {
			o.failed = o.print(a.event)
		}
	}
	o.waiting = slices.Delete(o.waiting, 0, n)
}
