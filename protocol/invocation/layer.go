package invocation

import (
	"fmt"
	"slices"
	"time"

	"ciranda.dev/protocol"
)

// A Layer is one node's part in calls between nodes: a client towards each node that it calls, and a server for all. The layer
// above asks for calls with [Invoke] and hears of their ends with [Result]; it is asked to execute with [Execution], and says with
// [Finish] that it has. All that happens to a call is noted for the trace, under the call's id.
//
// The layer needs nothing of those below: requests may be lost, doubled and late. With [LayerOptions.Durable] a server's tables
// outlive its crashes.
type Layer struct {
	protocol.Base
	opts   LayerOptions `layer:"const"`
	self   protocol.ID
	life   uint64 // of this node
	server *Server
	peers  []peer // those called, ascending
	seq    uint64 // of the last call, to whomever
	open   map[uint64]Invoke
	runs   map[RID]run
	armed  time.Duration // when the timer expires; never if it is not set
	late   []ClientID    // whose tables are yet to be stored: the mistake RepliesFirst
}

// LayerOptions are the figures of a [Layer].
type LayerOptions struct {
	Options
	// Durable has the server store what it knows of each call, before it is executed and again with its reply: a restarted server
	// goes on where it was. What was being executed is told as [Orphaned] then.
	Durable bool
}

// A peer is a node that this one calls.
type peer struct {
	id     protocol.ID
	lives  uint64 // of this node's client there that are over
	client *Client
	held   time.Duration // the end of the lease that was noted last
}

// A run is an execution of which the layer above has not said that it is over. Copies of a call may run side by side.
type run struct {
	root   RID
	until  time.Duration // the caller waits no longer; never: it does
	copies int
}

// What the layers above say and hear.
type (
	// Invoke is a request from above: call a node.
	Invoke struct {
		Token     uint64 // comes back with the [Result]
		Server    protocol.ID
		Semantics Semantics
		Op        uint32        // the server's layer above knows what it means
		Args      []byte        // not changed afterwards
		Timeout   time.Duration // 0: none of its own
		Parent    RID           // the execution that calls; zero if none does
	}
	// Finish is a request from above: an execution is over. Its effect is stored in the same step, if at all.
	Finish struct {
		RID    RID
		Status Status // OK, Failed or Refused
		Result []byte // not changed afterwards
	}
	// Execution tells the layer above to execute a call.
	Execution struct {
		RID  RID
		Op   uint32
		Args []byte
	}
	// Killed tells it that an execution must neither call nor have an effect any more: it is an orphan. It is not finished.
	Killed struct{ RID RID }
	// Result tells it how a call ended.
	Result struct {
		Token   uint64
		Outcome Outcome
	}
)

// Kind is the event's name.
func (Execution) Kind() string { return "rpc.execution" }

// Kind is the event's name.
func (Killed) Kind() string { return "rpc.killed" }

// Kind is the event's name.
func (Result) Kind() string { return "rpc.result" }

// New makes a node's layer. Options that [Options.Validate] refuses make one that does not keep the package's promises.
func New(opts LayerOptions) *Layer {
	opts.Options = opts.Options.WithDefaults()
	return &Layer{opts: opts, armed: never}
}

// dueTimer is the layer's only timer: something is to be done. The other one is of the mistake RepliesFirst.
const (
	dueTimer uint32 = iota
	lateTimer
)

// Traits say what the layer is.
func (l *Layer) Traits() protocol.Traits {
	return protocol.Traits{Channel: "invocation", Messages: []protocol.Message{Request{}, Reply{}, Signal{}},
		Timers: []string{"due", "late"}, Requests: []any{Invoke{}, Finish{}}, UsesNow: true}
}

// Start begins with no calls and no sessions.
func (l *Layer) Start(o *protocol.Out) {
	l.self, l.life = o.Self().ID, uint64(o.Self().Incarnation)
	l.open, l.runs = map[uint64]Invoke{}, map[RID]run{}
	l.server = NewServer(l.life, l.opts.Options)
	if l.opts.Durable {
		l.saveLife(o)
	}
}

// Receive takes what clients and servers send.
func (l *Layer) Receive(from protocol.ID, m protocol.Message, o *protocol.Out) {
	now := o.Now()
	switch m := m.(type) {
	case Request:
		if m.RID.Client == NodeClient(uint16(from)) && !(l.opts.Mistake == ServesAlone && len(l.open) > 0) {
			if m.Budget != never && l.opts.Mistake == AbsoluteBudget {
				m.Budget -= now
			}
			l.serve(l.server.Request(now, &m, nil), o)
		}
	case Reply:
		if p := l.peer(from); p != nil {
			l.caller(from, p.client.Reply(now, &m, nil), o)
		}
	case Signal:
		l.signal(from, m, o)
	default:
		panic(fmt.Sprintf("invocation: node %d: unknown message %T", l.self, m))
	}
	l.arm(o)
}

// signal takes a signal of a client or a server.
func (l *Layer) signal(from protocol.ID, m Signal, o *protocol.Out) {
	if m.Kind <= Bye {
		if m.RID.Client == NodeClient(uint16(from)) {
			l.serve(l.server.Signal(o.Now(), m, nil), o)
		}
		return
	}
	p := l.peer(from)
	if p == nil {
		return
	}
	client := p.client
	l.caller(from, client.Signal(o.Now(), m, nil), o)
	if end := client.LeaseEnd(); !client.Over() && end != p.held && (m.Kind == Welcome || m.Kind == Pong) {
		p.held = end
		o.Note(Held{from, LifeNumber(client.life), end - o.Now()})
	}
}

// Expire does what the time has come for.
func (l *Layer) Expire(t protocol.Timer, o *protocol.Out) {
	if t.Kind == lateTimer {
		for _, id := range l.late {
			l.save(id, o)
		}
		l.late = nil
		return
	}
	l.armed = never
	now := o.Now()
	l.serve(l.server.Expire(now, nil), o)
	for _, id := range o.Self().Group {
		if p := l.peer(id); p != nil {
			l.caller(id, p.client.Expire(now, nil), o)
		}
	}
	l.arm(o)
}

// arm sets the timer to when something is to be done next.
func (l *Layer) arm(o *protocol.Out) {
	next := l.server.Next()
	for i := range l.peers {
		if c := l.peers[i].client; c != nil {
			next = min(next, c.Next())
		}
	}
	switch {
	case next == l.armed:
		return
	case next == never:
		o.Cancel(protocol.Timer{Kind: dueTimer})
	default:
		o.Set(protocol.Timer{Kind: dueTimer}, max(next-o.Now(), 0))
	}
	l.armed = next
}

// Request takes calls, and the ends of executions.
func (l *Layer) Request(r any, o *protocol.Out) (taken bool) {
	switch r := r.(type) {
	case Invoke:
		l.invoke(r, o)
	case Finish:
		l.finish(r, o)
	default:
		return false
	}
	l.arm(o)
	return true
}

// peer is a node that this one calls; nil if it does not.
func (l *Layer) peer(id protocol.ID) *peer {
	i, found := l.place(id)
	if !found || l.peers[i].client == nil {
		return nil
	}
	return &l.peers[i]
}

func (l *Layer) place(id protocol.ID) (int, bool) {
	return slices.BinarySearchFunc(l.peers, id, func(p peer, id protocol.ID) int { return protocol.ByID(p.id, id) })
}

// String says for people how many calls are open and how many are executed.
func (l *Layer) String() string {
	text := fmt.Sprintf("%d open, %d executed", len(l.open), len(l.runs))
	for i := range l.peers {
		switch p := &l.peers[i]; {
		case p.client == nil:
		case p.client.Open():
			text += fmt.Sprintf(", session at %d", p.id)
		default:
			text += fmt.Sprintf(", no session at %d yet", p.id)
		}
	}
	return text
}
