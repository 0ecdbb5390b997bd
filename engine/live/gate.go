package live

import (
	"ciranda.dev/protocol"
	"ciranda.dev/trace"
)

// A gate holds the outputs that wait for the disk, in order.
type gate struct {
	queue   []output
	head    int
	mark    uint64 // of what was persisted last
	durable uint64 // as last seen
}

// An output is an effect that goes out of the node, or the event of a step's input, with what its trace event needs.
type output struct {
	effect protocol.Effect
	input  *trace.Event // in place of an effect
	mark   uint64       // it leaves when the disk has reached this
	step   uint64
	cause  uint64 // the recorded input of that step; 0 if it is not recorded yet
	now    int64  // when the step began
}

func (g *gate) len() int { return len(g.queue) - g.head }

func (g *gate) push(o output) {
	if g.head == len(g.queue) {
		g.queue, g.head = g.queue[:0], 0
	} else if g.head > 1024 && g.head > len(g.queue)/2 {
		kept := copy(g.queue, g.queue[g.head:])
		clear(g.queue[kept:])
		g.queue, g.head = g.queue[:kept], 0
	}
	g.queue = append(g.queue, o)
}

// caused tells the outputs of a step, if they are the next ones, which event is the input of their step.
func (g *gate) caused(step, cause uint64) {
	for i := g.head; i < len(g.queue) && g.queue[i].step == step; i++ {
		g.queue[i].cause = cause
	}
}

func (g *gate) pop() output {
	o := g.queue[g.head]
	g.queue[g.head] = output{} // so that nothing is kept alive
	g.head++
	return o
}

// A mistake is a deliberate error of the gate, for the tests of the checks.
type mistake uint8

const (
	right          mistake = iota
	ownWrites              // only the outputs of a step that wrote wait
	noGate                 // nothing waits
	nothingUngated         // heartbeats wait too
)

// goesAtOnce says whether an output need not wait for the disk.
func (n *Node) goesAtOnce(e *protocol.Effect, wrote bool) bool {
	switch n.mistake {
	case ownWrites:
		return !wrote
	case noGate:
		return e.Kind != protocol.Persist
	case nothingUngated:
		return false
	default:
		return e.Ungated && e.Kind != protocol.Persist
	}
}

// gateIsClosed says whether outputs must wait.
func (n *Node) gateIsClosed() bool { return n.gate.len() > 0 || !n.safe(n.gate.mark) }

// safe says whether the disk has reached a mark.
func (n *Node) safe(mark uint64) bool {
	if mark > n.gate.durable && n.cfg.Disk != nil {
		n.gate.durable = n.cfg.Disk.Durable()
	}
	return mark <= n.gate.durable
}

// drain lets out what need not wait any more.
func (n *Node) drain() {
	for n.gate.len() > 0 {
		o := &n.gate.queue[n.gate.head]
		stamp := uint64(0)
		if o.input != nil {
			stamp = o.input.Lamport
		}
		if !n.safe(o.mark) || !n.covers(stamp) {
			break
		}
		out := n.gate.pop()
		n.leave(&out)
	}
	n.clockAt.Store(n.lamport.Time())
}

// covers says whether the next Lamport stamp may be used, after one of stamp was received: a later life must know that
// it was.
func (n *Node) covers(stamp uint64) bool {
	return n.counter == nil || n.counter.Covers(max(stamp, n.lamport.Time())+1)
}

// carry does the effects of a step. Timers are set and records handed to the disk at once, all of a step's together;
// outputs go through the gate. What is ungated passes it even with a Lamport stamp that the disk does not cover yet: a
// heartbeat must not stop because a disk has stalled for as long as half a block of stamps lasts, minutes at least.
func (n *Node) carry() {
	effects := n.out.Effects()
	wrote := n.persist(effects)
	closed := n.gateIsClosed()
	cause := n.recorded(n.step)
	for i := range effects {
		e := &effects[i]
		if !n.goesOut(e) {
			continue
		}
		o := output{effect: *e, mark: n.gate.mark, step: n.step, cause: cause, now: n.now}
		if closed && n.goesAtOnce(e, wrote) {
			n.leave(&o)
		} else {
			n.gate.push(o)
		}
	}
	n.drain()
}

// goesOut does what stays in the node, and says whether there is anything to send or to record.
func (n *Node) goesOut(e *protocol.Effect) bool {
	switch e.Kind {
	case protocol.Set:
		n.timers.set(timerName{e.Layer, e.Timer}, n.local+max(0, e.After)) // from when the step began
		return n.cfg.Level.Records(trace.TimerSet)
	case protocol.Cancel:
		wasArmed := n.timers.cancel(timerName{e.Layer, e.Timer})
		return wasArmed && n.cfg.Level.Records(trace.TimerCancel)
	case protocol.Persist:
		return n.cfg.Level.Records(trace.Persisted)
	default:
		return true
	}
}

// persist hands the step's records to the disk. It says whether there were any.
func (n *Node) persist(effects []protocol.Effect) bool {
	n.records = n.records[:0]
	for i := range effects {
		if effects[i].Kind == protocol.Persist {
			n.records = append(n.records, *effects[i].Body.(*protocol.Record))
		}
	}
	if len(n.records) > 0 && n.cfg.Disk != nil {
		n.gate.mark = n.cfg.Disk.Append(n.records...)
	}
	return len(n.records) > 0
}

// leave lets an output leave the node.
func (n *Node) leave(o *output) {
	n.now = o.now
	if o.input != nil {
		was := n.step
		n.step = o.step
		n.input(o.input)
		n.gate.caused(o.step, n.recorded(o.step))
		n.step = was
		return
	}
	if o.cause != 0 { // other steps may have passed it at the gate
		n.cause, n.causeOf = o.cause, o.step
	}
	switch e := &o.effect; e.Kind {
	case protocol.Send:
		n.send(e, o.step)
	case protocol.Broadcast:
		n.broadcast(e, o.step)
	case protocol.Persist:
		r := e.Body.(*protocol.Record)
		n.tell(trace.Persisted, o.step, e.Layer, trace.Record{Key: r.Key, Length: len(r.Value)})
	case protocol.Set, protocol.Cancel:
		n.tellTimer(e, o.step)
	case protocol.Indicate:
		n.tell(trace.Told, o.step, e.Layer, e.Body)
	case protocol.Note:
		n.tell(trace.Noted, o.step, e.Layer, e.Body)
	case protocol.Leave:
		n.hand(e.Body.(protocol.Event))
	}
}

func (n *Node) tellTimer(e *protocol.Effect, step uint64) {
	k := trace.TimerSet
	if e.Kind == protocol.Cancel {
		k = trace.TimerCancel
	}
	if ev := n.count(k, step); ev != nil {
		ev.Layer, ev.Timer, ev.After = e.Layer, e.Timer, int64(e.After)
		n.cfg.Sink.Record(ev)
	}
}

// hand hands an event that left at the top to whom it is for.
func (n *Node) hand(e protocol.Event) {
	if r, ok := e.(protocol.Reply); ok {
		n.reply(r)
	} else if n.cfg.Leave != nil {
		n.cfg.Leave(e, n.lamport.Time())
	}
}
