package detector

import (
	"time"

	"ciranda.dev/protocol"
)

// A Pulse finds out that the node itself stood still: its own timer came much too late. Then the others' silence says
// nothing about them.
type Pulse struct {
	// Slack is how late the node's beat may be. Zero means that the clock is never looked at.
	Slack time.Duration `layer:"const"`

	due time.Duration // of the next beat
}

// Next arms the timer of the next beat.
func (p *Pulse) Next(after time.Duration, o *protocol.Out) {
	o.Set(protocol.Timer{Kind: TimerBeat}, after)
	if p.Slack > 0 {
		p.due = o.Now() + after
	}
}

// Missed says whether the beat is overdue by more than Slack. It says so once for each standstill.
func (p *Pulse) Missed(o *protocol.Out) bool {
	if p.Slack <= 0 || o.Now() <= p.due+p.Slack {
		return false
	}
	p.due = o.Now()
	return true
}
