package bully_test

import (
	"bytes"
	"container/heap"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
	"ciranda.dev/protocol/detector/oracle"
	"ciranda.dev/protocol/election"
	"ciranda.dev/protocol/election/bully"
)

const (
	ms      = time.Millisecond
	delay   = 10 * ms  // the longest, of a message that is not lost
	timeout = 350 * ms // of who plays the oracles
)

// A network runs a group in virtual time: a seed, a queue of what is to happen, and a list of what went wrong.
type network struct {
	rng     *rand.Rand
	now     time.Duration
	queue   agenda
	order   int
	group   []protocol.ID
	nodes   []*node // by number
	build   func(self protocol.Self) *protocol.Stack
	cut     map[[2]protocol.ID]bool
	slow    map[[2]protocol.ID]time.Duration // added to each message of a link
	loss    float64
	longer  time.Duration // added to the longest delay
	falsely float64       // chance of a false suspicion at each look
	watch   watcher
	steps   int
	twice   bool // give each input also to a copy of the stack
}

type node struct {
	id     protocol.ID
	inc    protocol.Incarnation
	stack  *protocol.Stack // nil while it is down
	out    protocol.Out
	timers map[armed]int
	stored map[string][]byte
	heard  []time.Duration // of each other node, as far as its oracle knows
	slow   []bool          // whose disks are stalled, as far as its oracle told
	disk   bool            // its own disk is stalled
	cutAt  int             // after how many effects the next step ends by a crash; 0: it does not
}

type armed struct {
	layer uint8
	timer protocol.Timer
}

type event struct {
	at    time.Duration
	order int
	do    func()
}

type agenda []event

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return a[i].at < a[j].at || a[i].at == a[j].at && a[i].order < a[j].order
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(event)) }
func (a *agenda) Pop() any {
	old := *a
	e := old[len(old)-1]
	*a = old[:len(old)-1]
	return e
}

func newNetwork(seed uint64, size int, opts bully.Options, build func(protocol.Self) *protocol.Stack) *network {
	w := &network{rng: rand.New(rand.NewPCG(seed, 1)), cut: map[[2]protocol.ID]bool{}, slow: map[[2]protocol.ID]time.Duration{}, build: build, nodes: []*node{nil}}
	for id := protocol.ID(1); int(id) <= size; id++ {
		w.group = append(w.group, id)
		w.nodes = append(w.nodes, &node{id: id, stored: map[string][]byte{}})
	}
	w.watch = newWatcher(opts, size)
	return w
}

func (w *network) after(d time.Duration, do func()) {
	w.order++
	heap.Push(&w.queue, event{w.now + d, w.order, do})
}

// run lets time pass until end.
func (w *network) run(end time.Duration) {
	for len(w.queue) > 0 && w.queue[0].at <= end {
		e := heap.Pop(&w.queue).(event)
		w.now = e.at
		e.do()
		if w.steps++; w.steps > 400_000 {
			w.watch.blame("storm", "no end after %d events", w.steps)
			return
		}
	}
	w.now = end
}

// up begins a life.
func (w *network) up(id protocol.ID) {
	n := w.nodes[id]
	n.inc++
	n.timers, n.heard = map[armed]int{}, make([]time.Duration, len(w.nodes))
	n.disk, n.slow = false, make([]bool, len(w.nodes))
	for i := range n.heard {
		n.heard[i] = w.now
	}
	n.stack = w.build(protocol.Self{ID: id, Incarnation: n.inc, Group: w.group})
	w.step(n, func(s *protocol.Stack, in protocol.Inputs, o *protocol.Out) {
		if n.inc == 1 {
			s.Start(in, o)
		} else {
			s.Recover(func(key string) ([]byte, bool) { v, ok := n.stored[key]; return v, ok }, in, o)
		}
	}, nil)
	if n.oracle() != nil {
		w.look(n, n.inc)
	}
}

// oracle is the node's detector, if it is up and its detector is to be played.
func (n *node) oracle() *oracle.Detector {
	if n.stack == nil {
		return nil
	}
	d, _ := n.stack.Layer(0).(*oracle.Detector)
	return d
}

func (w *network) down(id protocol.ID) {
	n := w.nodes[id]
	if n.stack == nil {
		return
	}
	n.stack, n.timers = nil, nil
	w.watch.ended(id, w.now)
}

// look is how a node's oracle learns whom the node hears, every 25 ms.
func (w *network) look(n *node, inc protocol.Incarnation) {
	w.after(25*ms, func() {
		for _, q := range w.group {
			if n.stack == nil || n.inc != inc {
				return
			}
			if q == n.id {
				continue
			}
			hears := w.nodes[q].stack != nil && !w.cut[[2]protocol.ID{q, n.id}]
			if hears {
				n.heard[q] = w.now
			}
			if other := w.nodes[q]; hears && n.slow[q] != other.disk {
				n.slow[q] = other.disk
				w.notify(n, detector.Stalled{Node: q, Incarnation: other.inc, On: other.disk})
			}
			w.choose(n, q, hears)
		}
		if n.stack != nil && n.inc == inc {
			w.look(n, inc)
		}
	})
}

// choose plays the oracle of n about q.
func (w *network) choose(n *node, q protocol.ID, hears bool) {
	suspect, restore := oracle.Choose{Node: q, Choice: oracle.Suspect}, oracle.Choose{Node: q, Choice: oracle.Restore}
	d := n.oracle()
	switch {
	case d == nil:
	case d.May(suspect) && (w.now-n.heard[q] >= timeout || w.rng.Float64() < w.falsely):
		w.notify(n, suspect)
	case d.May(restore) && hears && w.rng.IntN(4) == 0:
		w.notify(n, restore)
	}
}

func (w *network) notify(n *node, e protocol.Event) {
	w.step(n, func(s *protocol.Stack, in protocol.Inputs, o *protocol.Out) { s.Notify(e, in, o) }, e)
}

func (w *network) stall(n *node, on bool) {
	if n.stack != nil && n.disk != on {
		n.disk = on
		w.notify(n, protocol.Disk{Stalled: on})
	}
}

func (w *network) call(id protocol.ID) {
	if n := w.nodes[id]; n.stack != nil {
		body := election.Campaign{}
		w.step(n, func(s *protocol.Stack, in protocol.Inputs, o *protocol.Out) {
			s.Call(protocol.Call{ID: 1, Body: body}, in, o)
		}, body)
	}
}

// A step is an input, given to a stack.
type step func(s *protocol.Stack, in protocol.Inputs, o *protocol.Out)

func (w *network) inputs(draw func(int) int) protocol.Inputs {
	return protocol.Inputs{Now: w.now, Wall: w.now, Draw: draw}
}

// handleTwice gives the same input to the stack and to a copy of it. Both have to do the same and end the same.
func (w *network) handleTwice(n *node, handle step) {
	var drawn []int
	other, out := n.stack.Clone(), protocol.Out{}
	handle(n.stack, w.inputs(func(max int) int {
		drawn = append(drawn, w.rng.IntN(max))
		return drawn[len(drawn)-1]
	}), &n.out)
	handle(other, w.inputs(func(int) int {
		v := drawn[0]
		drawn = drawn[1:]
		return v
	}), &out)
	same := slices.EqualFunc(n.out.Effects(), out.Effects(), func(a, b protocol.Effect) bool { return reflect.DeepEqual(a, b) })
	if !same || !bytes.Equal(n.stack.AppendState(nil), other.AppendState(nil)) {
		w.watch.blame("twice", "node %d does something else in a copy:\n%v\n%v", n.id, n.out.Effects(), out.Effects())
	}
}

// step lets a node handle an input and does the effects.
func (w *network) step(n *node, handle step, input any) {
	before := opinion(n)
	if w.twice {
		w.handleTwice(n, handle)
	} else {
		handle(n.stack, w.inputs(w.rng.IntN), &n.out)
	}
	effects := n.out.Effects()
	cut := n.cutAt > 0
	if cut {
		effects = effects[:min(n.cutAt, len(effects))]
		n.cutAt = 0
	}
	w.watch.stepped(n.id, before, input)
	for _, e := range effects {
		w.effect(n, e)
	}
	if cut {
		w.down(n.id)
	}
}

func opinion(n *node) election.Opinion {
	if a, ok := n.stack.Answer(election.Query{}); ok {
		return a.(election.Opinion)
	}
	panic("no answer")
}

func (w *network) effect(n *node, e protocol.Effect) {
	switch e.Kind {
	case protocol.Send:
		w.send(n, e)
	case protocol.Set:
		w.arm(n, armed{e.Layer, e.Timer}, e.After)
	case protocol.Cancel:
		delete(n.timers, armed{e.Layer, e.Timer})
	case protocol.Persist:
		r := e.Body.(*protocol.Record)
		n.stored[r.Key] = r.Value
		w.watch.stored(n.id, r)
	case protocol.Indicate:
		if el, ok := e.Body.(election.Elected); ok && el.Leader == n.id && n.disk && !w.watch.opts.Classic {
			w.watch.blame("DUR-3", "node %d leads %v with a stalled disk", n.id, el.Term)
		}
		if r, ok := e.Body.(detector.Restore); ok {
			n.heard[r.Node] = w.now // a fresh timeout
		}
		w.watch.told(n.id, n.inc, w.now, e.Body.(protocol.Event))
	}
}

func (w *network) arm(n *node, key armed, d time.Duration) {
	w.order++
	generation, inc := w.order, n.inc
	n.timers[key] = generation
	w.after(d, func() {
		if n.stack == nil || n.inc != inc || n.timers[key] != generation {
			return
		}
		delete(n.timers, key)
		w.step(n, func(s *protocol.Stack, in protocol.Inputs, o *protocol.Out) { s.Expire(key.layer, key.timer, in, o) }, nil)
	})
}

func (w *network) send(n *node, e protocol.Effect) {
	from, inc, to := n.id, n.inc, w.nodes[e.To]
	reader := protocol.Incarnation(0)
	if to.stack != nil {
		reader = to.inc
	}
	w.watch.sent(from, e.Body)
	if w.rng.Float64() < w.loss {
		return
	}
	packet := protocol.Packet{Channel: e.Channel, Body: e.Body}
	extra := w.slow[[2]protocol.ID{from, e.To}]
	w.after(ms+time.Duration(w.rng.Int64N(int64(delay+w.longer-ms)))+extra, func() {
		if to.stack == nil || reader != 0 && reader != to.inc || w.cut[[2]protocol.ID{from, e.To}] {
			return
		}
		w.step(to, func(s *protocol.Stack, in protocol.Inputs, o *protocol.Out) { s.Receive(from, inc, packet, in, o) }, packet.Body)
	})
}

func (w *network) alive() []protocol.ID {
	ids := []protocol.ID{}
	for _, id := range w.group {
		if w.nodes[id].stack != nil {
			ids = append(ids, id)
		}
	}
	return ids
}

func (w *network) any(ids []protocol.ID) protocol.ID { return ids[w.rng.IntN(len(ids))] }

func (w *network) String() string {
	text := ""
	for _, id := range w.group {
		if n := w.nodes[id]; n.stack != nil {
			text += fmt.Sprintf("%d: %s\n", id, n.stack.Layer(n.stack.Len()-1))
		} else {
			text += fmt.Sprintf("%d: down\n", id)
		}
	}
	return text
}
