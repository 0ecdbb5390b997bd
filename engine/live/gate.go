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

// An output is an effect that goes out of the node, with what its trace event needs.
type output struct {
	effect protocol.Effect
	mark   uint64 // it leaves when the disk has reached this
	cause  uint64
	now    int64
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
	for n.gate.len() > 0 && n.safe(n.gate.queue[n.gate.head].mark) && n.covered() {
		o := n.gate.pop()
		n.now, n.cause = o.now, o.cause
		n.release(&o.effect)
	}
	n.clockAt.Store(n.lamport.Time())
}

// covered says whether the next Lamport stamp may be used: a later life must know that it was.
func (n *Node) covered() bool { return n.counter == nil || n.counter.Covers(n.lamport.Time()+1) }

// carry does the effects of a step. Timers are set and records handed to the disk at once, all of a step's together;
// outputs go through the gate.
func (n *Node) carry() {
	effects := n.out.Effects()
	wrote := n.persist(effects)
	closed := n.gateIsClosed()
	for i := range effects {
		e := &effects[i]
		switch {
		case e.Kind == protocol.Set || e.Kind == protocol.Cancel:
			n.arm(e)
		case closed && n.goesAtOnce(e, wrote):
			n.release(e)
		default:
			n.gate.push(output{*e, n.gate.mark, n.cause, n.now})
		}
	}
	n.drain()
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

// arm sets or cancels a timer.
func (n *Node) arm(e *protocol.Effect) {
	name := timerName{e.Layer, e.Timer}
	k := trace.TimerSet
	if e.Kind == protocol.Set {
		n.timers.set(name, n.local+max(0, e.After)) // of the moment at which the step began
	} else if k = trace.TimerCancel; !n.timers.cancel(name) {
		return
	}
	if ev := n.count(k); ev != nil {
		ev.Layer, ev.Timer, ev.After = e.Layer, e.Timer, int64(e.After)
		n.cfg.Sink.Record(ev)
	}
}

// release lets an output leave the node.
func (n *Node) release(e *protocol.Effect) {
	switch e.Kind {
	case protocol.Send:
		n.send(e)
	case protocol.Persist:
		r := e.Body.(*protocol.Record)
		n.told(trace.Persisted, e.Layer, trace.Record{Key: r.Key, Length: len(r.Value)})
	case protocol.Indicate:
		n.told(trace.Told, e.Layer, e.Body)
	case protocol.Note:
		n.told(trace.Noted, e.Layer, e.Body)
	case protocol.Leave:
		n.leave(e.Body.(protocol.Event))
	}
}

func (n *Node) told(k trace.Kind, layer uint8, data any) {
	if ev := n.count(k); ev != nil {
		ev.Layer, ev.Data = layer, data
		n.cfg.Sink.Record(ev)
	}
}

// leave hands an event from the top to whom it is for.
func (n *Node) leave(e protocol.Event) {
	if r, ok := e.(protocol.Reply); ok {
		n.reply(r)
	} else if n.cfg.Leave != nil {
		n.cfg.Leave(e)
	}
}
