// Package heartbeat detects failures by silence: every node sends a beat to every other at a steady interval, and
// suspects those that it has not heard for too long.
//
// Make a layer with [New] and put it at the bottom of the stack. The layers above say whom to watch; see package
// detector for what they are told. If messages take no longer than a known bound and at most k beats in a row are
// lost, with Timeout ≥ (k+1)·Interval + the jitter of the delay, nobody is suspected wrongly, and a crash is noticed
// within Timeout and one delay. A closed connection shortens that: the peer is probed, and suspected if it does not
// answer within Verify.
//
// Heartbeat promises nothing where delays have no bound: then a suspicion may be wrong, and is taken back when the
// next beat comes. It costs n·(n−1) messages an interval. If only one direction of a link is cut, the deaf end
// suspects the other, and the other never learns of it.
//
// A node that stood still itself (it was paused, its processor was busy) finds its own timers late. It then grants
// everybody a fresh timeout before it thinks ill of them.
//
// T. D. Chandra, S. Toueg, Unreliable Failure Detectors for Reliable Distributed Systems, JACM 43(2), 1996.
package heartbeat

import (
	"fmt"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
)

// Options set the detector's times. All nodes of a group should have the same Interval; the others are each node's
// own affair.
type Options struct {
	// Interval is the time between two beats, above 0. Zero means 100ms.
	Interval time.Duration
	// Timeout is how long a peer may be silent; at least 2·Interval + Delay. Zero means 350ms.
	Timeout time.Duration
	// Verify is how long a peer may take to answer a probe after its connection was closed; at least 2·Delay. Zero
	// means 30ms.
	Verify time.Duration
	// Delay is the longest time that a message is expected to take. The other times are validated by it; nothing else
	// depends on it. Zero means 10ms.
	Delay time.Duration
	// Untimed leaves out the check whether the node itself stood still, and with it every look at the clock, so that
	// the states do not depend on time.
	Untimed bool
	// Mistake is a deliberate error for the tests of the checks.
	Mistake detector.Mistake
}

// The mistakes that only this detector can make.
const (
	Deaf      = detector.FirstOwn + iota // a beat of a suspected peer is passed over
	NoMargin                             // the timeout has room for the delay, none for a lost beat
	LateWatch                            // a peer is timed only from its first beat on
)

// WithDefaults gives the options with the defaults filled in.
func (o Options) WithDefaults() Options {
	fill := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	fill(&o.Interval, 100*time.Millisecond)
	fill(&o.Timeout, 350*time.Millisecond)
	fill(&o.Verify, 30*time.Millisecond)
	fill(&o.Delay, 10*time.Millisecond)
	return o
}

// Validate says which of the times, defaults filled in, do not go together.
func (o Options) Validate() error {
	o = o.WithDefaults()
	if o.Interval < 0 || o.Delay < 0 {
		return fmt.Errorf("heartbeat: the interval %s and the delay %s must not be negative", o.Interval, o.Delay)
	}
	if least := 2*o.Interval + o.Delay; o.Timeout < least {
		return fmt.Errorf("heartbeat: timeout %s is below 2·interval + delay = 2·%s + %s = %s",
			o.Timeout, o.Interval, o.Delay, least)
	}
	if least := 2 * o.Delay; o.Verify < least {
		return fmt.Errorf("heartbeat: verify %s is below 2·delay = 2·%s = %s", o.Verify, o.Delay, least)
	}
	return nil
}

// A Detector is one node's part.
type Detector struct {
	protocol.Base
	opts  Options `layer:"const"`
	peers detector.Peers
	pulse detector.Pulse
	ill   bool // the node's own disk has stalled
}

// New makes a detector.
func New(opts Options) *Detector {
	opts = opts.WithDefaults()
	if opts.Mistake == NoMargin {
		opts.Timeout = opts.Interval + opts.Delay
	}
	d := &Detector{opts: opts, peers: detector.Peers{Verify: opts.Verify, Mistake: opts.Mistake}}
	if !opts.Untimed && opts.Mistake != detector.NoSelfCheck {
		d.pulse.Slack = opts.Timeout / 2
	}
	return d
}

// Start begins to beat, at an offset that is drawn, so that nodes started together do not beat in step.
func (d *Detector) Start(o *protocol.Out) {
	for _, id := range o.Self().Group {
		d.peers.At(id)
	}
	offset := o.Draw(max(1, int(d.opts.Interval/time.Microsecond)))
	d.pulse.Next(time.Duration(offset)*time.Microsecond, o)
}

// Receive handles a beat or a probe.
func (d *Detector) Receive(from protocol.ID, m protocol.Message, o *protocol.Out) {
	q, fresh := d.peers.Hear(from, o)
	if q == nil {
		return
	}
	switch m := m.(type) {
	case detector.Beat:
		d.beatOf(q, m, o)
		return
	case detector.Probe:
		if m.Incarnation == o.Self().Incarnation || m.Incarnation == 0 {
			o.Ungate()
			o.Send(from, detector.NewBeat(d.ill))
		}
	default:
		panic(fmt.Sprintf("heartbeat: node %d: unknown message %T", o.Self().ID, m))
	}
	if fresh {
		d.await(q, o)
	}
}

// Pass sees the packets of the layers above. They are signs of life too, but only a beat counts against the timeout.
func (d *Detector) Pass(from protocol.ID, _ protocol.Packet, o *protocol.Out) (taken bool) {
	q, fresh := d.peers.Hear(from, o)
	if fresh {
		d.await(q, o)
	}
	return q == nil
}

// Down lets packets of the layers above go.
func (d *Detector) Down(protocol.ID, protocol.Packet, *protocol.Out) (taken bool) { return false }

func (d *Detector) beatOf(q *detector.Peer, m detector.Beat, o *protocol.Out) {
	if q.Suspected && d.opts.Mistake == Deaf {
		return
	}
	d.peers.Restore(q, o)
	d.peers.Stall(q, m.Stalled, o)
	d.await(q, o)
}

// await gives q a fresh timeout.
func (d *Detector) await(q *detector.Peer, o *protocol.Out) {
	if d.peers.Watches(q.ID) {
		o.Set(dead(q.ID), d.opts.Timeout)
	}
}

func dead(id protocol.ID) protocol.Timer {
	return protocol.Timer{Kind: detector.TimerDead, Arg: uint32(id)}
}

// Expire handles the node's own beat, the silence of a peer, and a probe without an answer.
func (d *Detector) Expire(t protocol.Timer, o *protocol.Out) {
	stoodStill := d.pulse.Missed(o)
	if stoodStill {
		d.peers.Forget(o)
		d.awaitAll(o)
	}
	switch {
	case t.Kind == detector.TimerBeat:
		d.beat(o)
	case stoodStill: // the silence was ours
	case t.Kind == detector.TimerDead:
		d.peers.Suspect(d.peers.At(protocol.ID(t.Arg)), detector.Timeout, o)
	case t.Kind == detector.TimerVerify:
		d.peers.Unanswered(d.peers.At(protocol.ID(t.Arg)), o)
		o.Cancel(dead(protocol.ID(t.Arg)))
	}
}

func (d *Detector) beat(o *protocol.Out) {
	d.pulse.Next(d.opts.Interval, o)
	o.Ungate()
	o.SendAll(detector.NewBeat(d.ill))
}

// awaitAll gives all that are not suspected a fresh timeout.
func (d *Detector) awaitAll(o *protocol.Out) {
	for i, q := range d.peers.All() {
		if !q.Suspected {
			d.await(&d.peers.All()[i], o)
		}
	}
}

// Request handles detector.Watch and detector.Reset.
func (d *Detector) Request(r any, o *protocol.Out) (taken bool) {
	switch r := r.(type) {
	case detector.Watch:
		if d.peers.Watch(r.Node, o) && d.opts.Mistake != LateWatch {
			d.await(d.peers.At(r.Node), o)
		}
	case detector.Reset:
		if q := d.peers.Reset(r, o); q != nil {
			d.await(q, o)
		}
	default:
		return false
	}
	return true
}

// Indicate handles a closed connection and news of the node's own disk. The layers above hear of the disk too, but not
// of the connection: they get suspicions.
func (d *Detector) Indicate(e protocol.Event, o *protocol.Out) (taken bool) {
	switch e := e.(type) {
	case protocol.LinkDown:
		d.hint(e, o)
		return true
	case protocol.Disk:
		d.ill = e.Stalled
	}
	return false
}

func (d *Detector) hint(e protocol.LinkDown, o *protocol.Out) {
	if !d.peers.Watches(e.Node) {
		return
	}
	if q := d.peers.Hint(e, o); q != nil {
		d.peers.Doubt(q, o)
		if q.Suspected {
			o.Cancel(dead(q.ID))
		}
	}
}

// Answer answers a detector.Query.
func (d *Detector) Answer(question any) (any, bool) {
	if _, ok := question.(detector.Query); ok {
		return d.peers.Opinion(), true
	}
	return nil, false
}

// Traits say what the layer is.
func (d *Detector) Traits() protocol.Traits {
	return protocol.Traits{
		Channel:  "heartbeat",
		Gives:    protocol.FailureDetection,
		Messages: []protocol.Message{detector.Beat{}, detector.Probe{}},
		Timers:   detector.TimerNames(),
		Requests: []any{detector.Watch{}, detector.Reset{}},
		UsesNow:  d.pulse.Slack > 0,
	}
}

func (d *Detector) String() string { return d.peers.String() }
