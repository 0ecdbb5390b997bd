// Package counter keeps a counter on each node that other nodes increment by remote calls: the smallest application in which it
// shows how often a call was executed.
//
// Make a layer with [New] and put it above package invocation's. A client asks a node with [Do] to call another one. With
// [Options.Every] nodes call one another by themselves, all the time. There are three operations: [Add] increments at once,
// [SlowAdd] works for a while before, and [ForwardAdd] has yet another node increment its counter first, by a call within the call.
//
// Each call carries a mark that its caller uses once, and [Added] tells the mark, so that whoever reads the notes can count: with
// at-most-once calls each mark is added once or not at all, with at-least-once calls also more often. Sums are stored.
//
// What it does not promise: that a counter is the number of calls that returned. A call that ends at its deadline may have
// incremented the counter, or may yet.
package counter

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/invocation"
)

// The operations.
const (
	Add        uint32 = iota + 1 // increment
	SlowAdd                      // work for a while, then increment
	ForwardAdd                   // have another node increment, then increment
)

// Options say how nodes call. Zeros stand for the defaults.
type Options struct {
	Semantics invocation.Semantics // of all calls: at-most-once
	Every     time.Duration        // the time between two calls that a node makes by itself; 0: it makes none
	Work      time.Duration        // how long a slow operation takes: 300 ms
	Timeout   time.Duration        // after which a call of a node's own is given up: 2 s. One in four has none.
}

// Validate says what is out of bounds.
func (p Options) Validate() error {
	if p.Every < 0 || p.Work < 0 || p.Timeout < 0 || p.Semantics > invocation.Maybe {
		return fmt.Errorf("counter: every %v, work %v and timeout %v must not be below 0, and %v must be known", p.Every, p.Work, p.Timeout, p.Semantics)
	}
	return nil
}

// What clients say.
type (
	// Do is a call of a client: have the node call another one.
	Do struct {
		Server  protocol.ID
		Op      uint32
		Timeout time.Duration // 0: none
	}
	// Answer is the answer to a [Do]: how the call ended.
	Answer struct {
		Status    string `json:"status"`
		Knowledge string `json:"knowledge"`
		Result    string `json:"result"` // of a call that was executed: the counter
	}
	// Query asks a node's counter for its value, from outside and between steps.
	Query struct{}
)

// Added is the note that the counter was incremented.
type Added struct {
	Mark  string `json:"mark"` // of the call: its caller uses it for nothing else
	Value uint64 `json:"value"`
}

// Kind is the event's name in traces.
func (Added) Kind() string { return "counter.add" }

// A Counter is one node's.
type Counter struct {
	protocol.Base
	opts  Options `layer:"const"`
	self  protocol.Self
	value uint64
	marks uint64            // used so far in this life
	slots uint32            // timers used so far
	works map[uint32]job    // slow ones, by timer
	waits map[uint64]job    // executions that wait for a call of their own, by its token
	asked map[uint64]uint64 // calls of clients, by token
}

// A job is an execution that takes time.
type job struct {
	rid  invocation.RID
	mark string
}

// The timers.
const (
	loadTimer uint32 = iota
	workTimer
)

// New makes a node's counter. Options that [Options.Validate] refuses are not usable.
func New(opts Options) *Counter {
	if opts.Work == 0 {
		opts.Work = 300 * time.Millisecond
	}
	if opts.Timeout == 0 {
		opts.Timeout = 2 * time.Second
	}
	return &Counter{opts: opts, works: map[uint32]job{}, waits: map[uint64]job{}, asked: map[uint64]uint64{}}
}

// Traits say what the layer is.
func (c *Counter) Traits() protocol.Traits {
	return protocol.Traits{Channel: "counter", Timers: []string{"load", "work"}}
}

// Start begins at zero.
func (c *Counter) Start(o *protocol.Out) {
	c.self = o.Self()
	if c.opts.Every > 0 && len(c.self.Group) > 1 {
		o.Set(protocol.Timer{Kind: loadTimer}, c.opts.Every)
	}
}

// valueKey is where the value is stored.
const valueKey = "value"

// Recover begins at what was stored.
func (c *Counter) Recover(stored protocol.Stored, o *protocol.Out) {
	if b, ok := stored(valueKey); ok {
		c.value, _ = binary.Uvarint(b)
	}
	c.Start(o)
}

// Request takes what clients ask for.
func (c *Counter) Request(r any, o *protocol.Out) (taken bool) {
	call, ok := r.(protocol.Call)
	do, is := call.Body.(Do)
	if !ok || !is {
		return false
	}
	token := c.call(do.Server, do.Op, do.Timeout, o)
	c.asked[token] = call.ID
	return true
}

// call calls a node, with a mark of its own.
func (c *Counter) call(server protocol.ID, op uint32, timeout time.Duration, o *protocol.Out) (token uint64) {
	c.marks++
	mark := fmt.Sprintf("%d.%d.%d", c.self.ID, c.self.Incarnation, c.marks)
	o.Request(invocation.Invoke{Token: c.marks, Server: server, Semantics: c.opts.Semantics, Op: op, Args: []byte(mark), Timeout: timeout})
	return c.marks
}

// Indicate executes calls, and hears how its own ended.
func (c *Counter) Indicate(e protocol.Event, o *protocol.Out) (taken bool) {
	switch e := e.(type) {
	case invocation.Execution:
		c.execute(e, o)
	case invocation.Killed:
		c.kill(e.RID, o)
	case invocation.Result:
		c.ended(e, o)
	default:
		return false
	}
	return true
}

func (c *Counter) execute(e invocation.Execution, o *protocol.Out) {
	j := job{e.RID, string(e.Args)}
	switch e.Op {
	case Add:
		c.add(j, o)
	case SlowAdd:
		c.slots++
		c.works[c.slots] = j
		o.Set(protocol.Timer{Kind: workTimer, Arg: c.slots}, c.opts.Work)
	case ForwardAdd:
		c.forward(j, o)
	default:
		o.Request(invocation.Finish{RID: e.RID, Status: invocation.Refused, Result: []byte("there is no such operation")})
	}
}

// add is the effect of each operation.
func (c *Counter) add(j job, o *protocol.Out) {
	c.value++
	o.Persist(valueKey, binary.AppendUvarint(nil, c.value))
	o.Note(Added{j.mark, c.value})
	o.Request(invocation.Finish{RID: j.rid, Status: invocation.OK, Result: strconv.AppendUint(nil, c.value, 10)})
}

// forward calls the node after this one that is not the caller. The call has half a second, or what its caller waits if that is less.
func (c *Counter) forward(j job, o *protocol.Out) {
	others := slices.DeleteFunc(slices.Clone(c.self.Group), func(id protocol.ID) bool {
		return id == c.self.ID || id == protocol.ID(j.rid.Client.Node())
	})
	if len(others) == 0 {
		c.add(j, o)
		return
	}
	i, _ := slices.BinarySearch(others, c.self.ID)
	c.marks++
	c.waits[c.marks] = j
	o.Request(invocation.Invoke{Token: c.marks, Server: others[i%len(others)], Semantics: c.opts.Semantics, Op: SlowAdd,
		Args: []byte(fmt.Sprintf("%d.%d.%d", c.self.ID, c.self.Incarnation, c.marks)), Timeout: c.opts.Timeout, Parent: j.rid})
}

// kill forgets an execution that is an orphan.
func (c *Counter) kill(rid invocation.RID, o *protocol.Out) {
	for _, slot := range slices.Sorted(maps.Keys(c.works)) {
		if c.works[slot].rid == rid {
			delete(c.works, slot)
			o.Cancel(protocol.Timer{Kind: workTimer, Arg: slot})
		}
	}
	maps.DeleteFunc(c.waits, func(_ uint64, j job) bool { return j.rid == rid })
}

// ended hears how a call ended.
func (c *Counter) ended(e invocation.Result, o *protocol.Out) {
	if id, ok := c.asked[e.Token]; ok {
		delete(c.asked, e.Token)
		o.Indicate(protocol.Reply{ID: id, Body: Answer{e.Outcome.Status.String(), e.Outcome.Knowledge.String(), string(e.Outcome.Result)}})
		return
	}
	j, ok := c.waits[e.Token]
	if !ok {
		return
	}
	delete(c.waits, e.Token)
	if e.Outcome.Status == invocation.OK {
		c.add(j, o)
		return
	}
	o.Request(invocation.Finish{RID: j.rid, Status: invocation.Failed, Result: []byte("the call within the call: " + e.Outcome.Status.String())})
}

// Expire ends a slow operation, or makes a call of the node's own.
func (c *Counter) Expire(t protocol.Timer, o *protocol.Out) {
	if t.Kind == workTimer {
		j := c.works[t.Arg]
		delete(c.works, t.Arg)
		c.add(j, o)
		return
	}
	o.Set(protocol.Timer{Kind: loadTimer}, c.opts.Every)
	others := slices.DeleteFunc(slices.Clone(c.self.Group), func(id protocol.ID) bool { return id == c.self.ID })
	op := [...]uint32{Add, Add, Add, Add, Add, SlowAdd, SlowAdd, ForwardAdd}[o.Draw(8)]
	timeout := c.opts.Timeout
	if o.Draw(4) == 0 {
		timeout = 0
	}
	c.call(others[o.Draw(len(others))], op, timeout, o)
}

// Answer answers a [Query].
func (c *Counter) Answer(question any) (any, bool) {
	if _, ok := question.(Query); !ok {
		return nil, false
	}
	return c.value, true
}

// String says for people where the counter is.
func (c *Counter) String() string {
	return fmt.Sprintf("%d, %d operations run", c.value, len(c.works)+len(c.waits))
}
