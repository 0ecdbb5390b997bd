// Package ring detects failures in large groups: each node beats to the next few in a ring, and news of a failure goes
// to all.
//
// The ring is the group in ascending order, without those held to be down. A node beats to its K successors and times
// its K predecessors; what it costs does not depend on the size of the group. Who suspects a node tells all by [News];
// a node that hears itself accused refutes it. The ring closes over the gap: the next predecessor further back is asked
// for its beats by [SendMe] and gets a full timeout from there.
//
// Make a layer with [New] and put it at the bottom of the stack. A crash is noticed within Timeout and one delay by a
// neighbour, and two delays later everywhere; of f adjacent crashes ⌈f/K⌉ timeouts may pass. If of every K neighbours
// one lives, every crash is noticed. Messages may be lost: news is sent on by everybody to whom it is new, and every
// tenth interval one node held down is told so to its face, and the successors with it.
//
// Ring promises nothing where delays have no bound, and a partition gives two rings. A cut of one direction between
// neighbours condemns a node that all others hear, until its refutation arrives. That a node's disk has stalled is
// known to its successors only.
//
// The ring of neighbours is kin to those of Totem and of JGroups; the precedence of news is that of A. Das, I. Gupta,
// A. Motivala, SWIM: Scalable Weakly-consistent Infection-style Process Group Membership Protocol, DSN 2002.
package ring

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
)

// Options set the detector's numbers. All nodes of a group should have the same K and Interval.
type Options struct {
	// K is the number of successors to which a node beats, at least 1. Zero means 2.
	K int
	// Interval is the time between two beats, above 0. Zero means 100ms.
	Interval time.Duration
	// Timeout is how long a predecessor may be silent; at least 2·Interval + Delay. Zero means 350ms.
	Timeout time.Duration
	// Verify is how long a predecessor may take to answer a probe after its connection was closed; at least 2·Delay.
	// Zero means 30ms.
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
	NotClosed       = detector.FirstOwn + iota // the ring is not closed after a suspicion
	NoNews                                     // nobody is told of a suspicion
	TimedFromBefore                            // a new predecessor is timed from beats that it never sent
	NoRound                                    // news is compared without its round
	NoReproach                                 // nobody held down is ever told so
	NoSendMe                                   // a new predecessor is not asked for its beats
)

// WithDefaults gives the options with the defaults filled in.
func (o Options) WithDefaults() Options {
	if o.K == 0 {
		o.K = 2
	}
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

// Validate says which of the numbers, defaults filled in, do not go together.
func (o Options) Validate() error {
	o = o.WithDefaults()
	if o.K < 0 || o.K > maxK {
		return fmt.Errorf("ring: found k %d; expected a number of neighbours from 1 to %d", o.K, maxK)
	}
	if o.Interval < 0 || o.Delay < 0 {
		return fmt.Errorf("ring: the interval %s and the delay %s must not be negative", o.Interval, o.Delay)
	}
	if least := 2*o.Interval + o.Delay; o.Timeout < least {
		return fmt.Errorf("ring: timeout %s is below 2·interval + delay = 2·%s + %s = %s",
			o.Timeout, o.Interval, o.Delay, least)
	}
	if least := 2 * o.Delay; o.Verify < least {
		return fmt.Errorf("ring: verify %s is below 2·delay = 2·%s = %s", o.Verify, o.Delay, least)
	}
	return nil
}

const (
	maxK          = 100
	reproachEvery = 10      // intervals from one reproach to the next
	streamFor     = 3       // timeouts for which a node beats to one that asked
	maxRound      = 1 << 31 // no node refutes so often; news of a higher round is refused
)

// A Detector is one node's part.
type Detector struct {
	protocol.Base
	opts  Options `layer:"const"`
	peers detector.Peers
	pulse detector.Pulse

	down   detector.Set           // held to be down: not in the ring
	rounds map[protocol.ID]uint32 // of each node's last refutation known here, its own too; none is 0

	succ, pred []protocol.ID // the neighbours in the ring, nearest first
	awaited    []protocol.ID // of whom a first beat is awaited; they are asked for it at every interval
	streams    []stream      // who asked for beats without being a successor

	beats      uint32      // modulo reproachEvery
	reproached protocol.ID // the last one
	ill        bool        // the node's own disk has stalled
}

// A stream is a number of beats still to be sent to a node that asked for them.
type stream struct {
	to   protocol.ID
	left int
}

// New makes a detector.
func New(opts Options) *Detector {
	opts = opts.WithDefaults()
	d := &Detector{
		opts:   opts,
		peers:  detector.Peers{Verify: opts.Verify, Mistake: opts.Mistake},
		rounds: map[protocol.ID]uint32{},
	}
	if !opts.Untimed && opts.Mistake != detector.NoSelfCheck {
		d.pulse.Slack = opts.Timeout / 2
	}
	return d
}

// Start begins to beat, at an offset that is drawn, and to time the predecessors. A later life announces itself.
func (d *Detector) Start(o *protocol.Out) {
	offset := o.Draw(max(1, int(d.opts.Interval/time.Microsecond)))
	d.pulse.Next(time.Duration(offset)*time.Microsecond, o)
	d.succ, d.pred = d.neighbours(+1, o), d.neighbours(-1, o)
	for _, id := range d.pred {
		d.awaited = append(d.awaited, id)
		d.time(id, o)
	}
	if self := o.Self(); self.Incarnation > 1 {
		o.Ungate()
		o.SendAll(News{Node: self.ID, Incarnation: self.Incarnation, Origin: self.ID})
	}
}

// Pass sees the packets of the layers above: signs of life, but only a beat counts against the timeout.
func (d *Detector) Pass(from protocol.ID, _ protocol.Packet, o *protocol.Out) (taken bool) {
	present, _ := d.hear(from, o)
	return !present
}

// Down lets packets of the layers above go.
func (d *Detector) Down(protocol.ID, protocol.Packet, *protocol.Out) (taken bool) { return false }

// Receive handles the detector's own messages.
func (d *Detector) Receive(from protocol.ID, m protocol.Message, o *protocol.Out) {
	present, fresh := d.hear(from, o)
	if !present {
		return
	}
	switch m := m.(type) {
	case detector.Beat:
		d.beatOf(from, m, o)
	case detector.Probe:
		if m.Incarnation == o.Self().Incarnation || m.Incarnation == 0 {
			o.Ungate()
			o.Send(from, detector.NewBeat(d.ill))
		}
	case SendMe:
		d.asked(from, o)
	case News:
		d.news(from, m, fresh, o)
	default:
		panic(fmt.Sprintf("ring: node %d: unknown message %T", o.Self().ID, m))
	}
}

// hear takes the packet at hand as a sign of life. It says whether it is of the sender's present life, and whether
// that has just begun.
func (d *Detector) hear(from protocol.ID, o *protocol.Out) (present, fresh bool) {
	q, fresh := d.peers.Hear(from, o)
	if fresh {
		d.reborn(q, o)
	}
	return q != nil, fresh
}

// Expire handles the node's own beat, the silence of a peer, and a probe without an answer.
func (d *Detector) Expire(t protocol.Timer, o *protocol.Out) {
	stoodStill := d.pulse.Missed(o)
	if stoodStill {
		d.peers.Forget(o)
		d.timeAll(o)
	}
	id := protocol.ID(t.Arg)
	switch {
	case t.Kind == detector.TimerBeat:
		d.beat(o)
	case stoodStill: // the silence was ours
	case t.Kind == detector.TimerDead:
		d.condemn(id, detector.Timeout, o)
	case t.Kind == detector.TimerVerify:
		d.peers.Find(id).Verifying = false // the timer is not armed any more
		d.condemn(id, detector.Link, o)
	}
}

// Request handles detector.Watch and detector.Reset.
func (d *Detector) Request(r any, o *protocol.Out) (taken bool) {
	switch r := r.(type) {
	case detector.Watch:
		d.watch(r.Node, o)
	case detector.Reset:
		d.reset(r, o)
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
		Channel:  "ring",
		Gives:    protocol.FailureDetection,
		Messages: []protocol.Message{detector.Beat{}, detector.Probe{}, SendMe{}, News{}},
		Timers:   detector.TimerNames(),
		Requests: []any{detector.Watch{}, detector.Reset{}},
		UsesNow:  d.pulse.Slack > 0,
	}
}

func (d *Detector) String() string {
	b := strings.Builder{}
	fmt.Fprintf(&b, "beats to %v, hears %v", d.succ, d.pred)
	if down := d.down.IDs(); len(down) > 0 {
		fmt.Fprintf(&b, ", holds down %v", down)
	}
	if len(d.awaited) > 0 {
		fmt.Fprintf(&b, ", awaits %v", slices.Sorted(slices.Values(d.awaited)))
	}
	return b.String()
}
