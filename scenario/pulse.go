package scenario

import "time"

// beat is how often the process that follows a live run looks at the clock.
const beat = 10 * time.Millisecond

// A pulse notices how long the process that follows a live run did not get to run. The nodes beside it will have fared
// no better: what they suspected then says more of the machine than of them.
type pulse struct {
	last    time.Duration
	longest time.Duration // by which a beat was late
	stop    chan struct{}
	stopped chan struct{}
}

func newPulse() *pulse {
	p := &pulse{stop: make(chan struct{}), stopped: make(chan struct{})}
	go p.run()
	return p
}

func (p *pulse) run() {
	defer close(p.stopped)
	began := time.Now()
	next := time.NewTimer(beat)
	defer next.Stop()
	for {
		select {
		case <-next.C:
			p.at(time.Since(began))
			next.Reset(beat)
		case <-p.stop:
			p.at(time.Since(began))
			return
		}
	}
}

// at takes a beat.
func (p *pulse) at(now time.Duration) {
	p.longest = max(p.longest, now-p.last-beat)
	p.last = now
}

// end ends the pulse and gives the longest standstill.
func (p *pulse) end() time.Duration {
	close(p.stop)
	<-p.stopped
	return p.longest
}

// worthTelling is from when on a standstill is told beside the verdict: nodes verify a closed connection, and wait for
// the answers of an election, for less.
const worthTelling = 200 * time.Millisecond
