package rmi

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"ciranda.dev/protocol/dgc"
	"ciranda.dev/protocol/invocation"
)

// exports are the objects that others may call.
type exports struct {
	mu      sync.RWMutex
	objects map[invocation.ObjectID]*object
	ids     map[exportedKey]invocation.ObjectID // of objects that can be compared
	owner   *dgc.Owner
	pins    *dgc.Pins[pinned]
	alarm   alarm // for pins
}

// An object is one that others may call.
type object struct {
	id    invocation.ObjectID
	core  *interfaceCore
	value any
	turn  chan struct{} // of a serial object: holds a value while a call is executed

	mu   sync.Mutex
	busy *call // of a serial object: the call that is executed
}

// An exportedKey finds an object again.
type exportedKey struct {
	core  *interfaceCore
	value any
}

// exportNew exports a value under an id that nobody can guess, or gives the reference that it has. A strong one stays until it is taken
// back, others as long as somebody refers to them.
func (n *Node) exportNew(core *interfaceCore, value any, strong bool, options []ExportOption) (Ref, error) {
	if value == nil {
		return Ref{}, errors.New("rmi: nil cannot be exported")
	}
	var id invocation.ObjectID
	rand.Read(id[:])
	n.exports.mu.Lock()
	defer n.exports.mu.Unlock()
	key := exportedKey{core, value}
	if sameAgain(value) {
		if known, ok := n.exports.ids[key]; ok {
			n.exports.owner.Export(known, strong)
			return n.refTo(known, core), nil
		}
		n.exports.ids[key] = id
	}
	o := &object{id: id, core: core, value: value}
	for _, option := range options {
		option(o)
	}
	n.exports.objects[id] = o
	n.exports.owner.Export(id, strong)
	return n.refTo(id, core), nil
}

// export exports a value under an id that all know.
func (n *Node) export(id invocation.ObjectID, core *interfaceCore, value any) {
	core.description()
	n.exports.objects[id] = &object{id: id, core: core, value: value}
	n.exports.owner.Export(id, true)
}

func (n *Node) refTo(id invocation.ObjectID, core *interfaceCore) Ref {
	d := core.description()
	return Ref{Ref: invocation.Ref{Owner: n.id, Incarnation: n.life, Object: id, Interface: d.Name, Fingerprint: d.Fingerprint}}
}

// Unexport has an object called no more. It says whether it was exported. Calls that are executed go on.
func (n *Node) Unexport(ref Ref) bool {
	n.exports.mu.Lock()
	defer n.exports.mu.Unlock()
	o := n.exports.objects[ref.Object]
	if o == nil || ref.Object == (invocation.ObjectID{}) {
		return false
	}
	n.exports.owner.Remove(ref.Object)
	n.exports.remove(o)
	return true
}

// remove takes an object out. The caller holds the lock.
func (e *exports) remove(o *object) {
	delete(e.objects, o.id)
	if sameAgain(o.value) {
		delete(e.ids, exportedKey{o.core, o.value})
	}
}

// object finds an object; nil if there is none.
func (n *Node) object(id invocation.ObjectID) *object {
	n.exports.mu.RLock()
	defer n.exports.mu.RUnlock()
	return n.exports.objects[id]
}

// describeOp is the method that all objects have: it gives their interface in words.
const describeOp = 0

// done tells the server that a call was executed, which sends the reply.
func (n *Node) done(c *call, status invocation.Status, result []byte) {
	n.served(c.peer, func(s *invocation.Server, _ time.Duration, out []invocation.ServerEffect) []invocation.ServerEffect {
		n.ran(c)
		_, out = s.Done(c.rid, status, result, out)
		return out
	}, true)
}

// perform finds the object and its method, and calls it.
func (n *Node) perform(c *call, op uint32, args []byte) ([]byte, error) {
	t, err := readTarget(args)
	if err != nil {
		return nil, &Error{Kind: BadArgument, Happened: No, Text: err.Error()}
	}
	o := n.object(t.object)
	if o == nil || t.incarnation != n.life && t.incarnation != 0 || t.incarnation == 0 && t.object != (invocation.ObjectID{}) {
		return nil, &Error{Kind: NoObject, Happened: No}
	}
	if op == describeOp {
		return encode(o.core.description())
	}
	if int(op) > len(o.core.inOrder) {
		return nil, &Error{Kind: NoMethod, Happened: No, Text: fmt.Sprintf("%s has %d methods", short(o.core.name), len(o.core.inOrder))}
	}
	m := o.core.inOrder[op-1]
	here := hop{wireRID{Client: c.rid.Client, Incarnation: c.rid.Incarnation, Seq: c.rid.Seq}, m.title() + " on " + n.id.String()}
	if c.path = append(t.path, here); len(c.path) > maxPath {
		return nil, &Error{Kind: Deadlock, Happened: No, Text: fmt.Sprintf("the call is %d calls deep", len(c.path))}
	}
	if o.turn != nil {
		leave, err := o.enter(c)
		if err != nil {
			return nil, err
		}
		defer leave()
	}
	return n.guarded(c, m, o.value, t.args)
}

// guarded calls a method. A panic in it is the caller's error, and ends nothing else.
func (n *Node) guarded(c *call, m *methodCore, value any, args []byte) (result []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			n.log.Error("a method panicked", slog.String("method", m.title()), slog.String("call", c.rid.String()),
				slog.Any("panic", r), slog.String("stack", string(debug.Stack())))
			err = &Error{Kind: Panicked, Happened: Yes, Text: cutText(fmt.Sprint(r))}
		}
	}()
	return m.serve(c, value, args)
}

// title is like "Account.Deposit".
func (m *methodCore) title() string { return short(m.of.name) + "." + m.name }

// enter waits for a serial object's turn.
func (o *object) enter(c *call) (leave func(), err error) {
	if busy := o.holder(); busy != nil && c.leads(busy.rid) { // what leads here holds its turns already
		return nil, &Error{Kind: Deadlock, Happened: No, Text: pathText(c.path)}
	}
	select {
	case o.turn <- struct{}{}:
	case <-c.Done():
		return nil, &Error{Kind: NoTime, Happened: No, Text: "the object was busy"}
	}
	o.hold(c)
	return func() {
		o.hold(nil)
		<-o.turn
	}, nil
}

func (o *object) hold(c *call) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.busy = c
}

func (o *object) holder() *call {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.busy
}

// pathText is like "Account.Deposit on node 1 → Listener.Changed on 8f… → Account.Balance on node 1".
func pathText(path []hop) (text string) {
	for i, h := range path {
		if i > 0 {
			text += " → "
		}
		text += h.Text
	}
	return text
}

// protect does something of the program. A panic in it ends nothing else.
func (n *Node) protect(what string, f func()) {
	defer func() {
		if r := recover(); r != nil {
			n.log.Error("a method panicked", slog.String("method", what), slog.Any("panic", r), slog.String("stack", string(debug.Stack())))
		}
	}()
	f()
}
