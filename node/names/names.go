// Package names lets Go code use the names that a group keeps, beside one of its nodes: [Names] is what rmi.Node.Names is, by calls of the
// node's registry (package app/registry).
//
// Make one with [New] before the node is opened, give it what leaves the node's stack at its top ([Names.Hear]), and [Names.Attach] it
// to the node. Who may bind is checked where the names are called from other
// processes, in package rmi; that a lookup is right is the registry's promise. Watchers are told from the node's own
// table: it may be behind others for a moment, and what they are told is without gaps.
package names

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"ciranda.dev/app/registry"
	"ciranda.dev/engine/live"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/invocation"
	"ciranda.dev/rmi"
)

// Names are those that the group keeps, as a node serves them.
type Names struct {
	live *live.Node
	self invocation.ClientID
	life uint64
	seq  atomic.Uint64

	ctx     context.Context // ends with the node
	cancel  context.CancelFunc
	telling sync.WaitGroup

	mu       sync.Mutex
	revision uint64
	entries  map[string]rmi.Entry // as this node's table is
	watchers map[*watching]bool
}

// Limits of watchers.
const (
	mostWatchers = 1024
	mostBehind   = 1 << 12 // changes that a watcher may be behind
)

// New makes the names of a node that is about to be opened.
func New() *Names {
	n := &Names{entries: map[string]rmi.Entry{}, watchers: map[*watching]bool{}}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	return n
}

// Attach has the names be asked for at a node, in its present life.
func (n *Names) Attach(node *live.Node, id protocol.ID, life protocol.Incarnation) {
	n.live, n.self, n.life = node, invocation.NodeClient(uint16(id)), uint64(life)
}

// Close ends the telling of watchers.
func (n *Names) Close() {
	n.mu.Lock() // nobody begins to tell from here on
	n.cancel()
	n.mu.Unlock()
	n.telling.Wait()
}

// SessionOver has what a program bound here leave, now that its session is over. What a node binds lasts as long as the node.
func (n *Names) SessionOver(caller rmi.ID, life uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	owns := func(e rmi.Entry) bool { return e.Ref.Owner == caller && e.Ref.Incarnation == life }
	for _, e := range n.entries {
		if caller.Node() == 0 && owns(e) && n.ctx.Err() == nil {
			n.telling.Go(func() { n.expire(registry.Expire{Client: caller, Incarnation: life}) })
			return
		}
	}
}

// expireAgain is after how long it is tried again when the group cannot do it.
const expireAgain = time.Second

func (n *Names) expire(e registry.Expire) {
	for {
		if _, err := n.call(n.ctx, e); err == nil || errors.Is(err, live.ErrStopped) {
			return
		}
		select {
		case <-time.After(expireAgain):
		case <-n.ctx.Done():
			return
		}
	}
}

// request makes the id of a request. What a remote caller asks for comes once; the id is for those who ask the group again.
func (n *Names) request() invocation.RID {
	return invocation.RID{Client: n.self, Incarnation: n.life | 1<<63, Seq: n.seq.Add(1)} // no call to another node has such a life
}

// Bind gives a name to an object.
func (n *Names) Bind(ctx context.Context, name string, ref rmi.Ref, tags map[string]string) error {
	_, err := n.call(ctx, registry.Bind{Request: n.request(), Entry: registry.Entry{Name: name, Ref: ref.Ref, Tags: tags}})
	return err
}

// Rebind does the same, and takes the name from another object.
func (n *Names) Rebind(ctx context.Context, name string, ref rmi.Ref, tags map[string]string) error {
	_, err := n.call(ctx, registry.Rebind{Request: n.request(), Entry: registry.Entry{Name: name, Ref: ref.Ref, Tags: tags}})
	return err
}

// Unbind takes a name away.
func (n *Names) Unbind(ctx context.Context, name string) error {
	_, err := n.call(ctx, registry.Unbind{Request: n.request(), Name: name})
	return err
}

// Lookup gives what has a name.
func (n *Names) Lookup(ctx context.Context, name string) (rmi.Entry, error) {
	is, err := n.call(ctx, registry.Lookup{Name: name})
	if err != nil {
		return rmi.Entry{}, err
	}
	found, _ := is.(registry.Found)
	return entryOf(found.Entry), nil
}

// List gives the names that begin so.
func (n *Names) List(ctx context.Context, prefix string) ([]rmi.Entry, uint64, error) {
	is, err := n.call(ctx, registry.List{Prefix: prefix})
	if err != nil {
		return nil, 0, err
	}
	listed, _ := is.(registry.Listed)
	var entries []rmi.Entry
	for _, e := range listed.Entries {
		entries = append(entries, entryOf(e))
	}
	return entries, listed.Revision, nil
}

func entryOf(e registry.Entry) rmi.Entry {
	return rmi.Entry{Name: e.Name, Ref: rmi.Ref{Ref: e.Ref}, Tags: e.Tags}
}

// call asks the registry. What it says of a failure becomes an error.
func (n *Names) call(ctx context.Context, body any) (any, error) {
	is, err := n.live.Call(ctx, body)
	if refused, ok := errors.AsType[live.Refused](err); ok {
		return nil, fmt.Errorf("rmi: %s; nothing was done", strings.TrimPrefix(refused.Why, "registry: "))
	}
	if err != nil {
		return nil, err
	}
	switch a := is.(type) {
	case registry.Failed:
		return nil, failure(a)
	case registry.Unknown:
		return nil, fmt.Errorf("rmi: %s", strings.TrimPrefix(a.Why, "registry: "))
	}
	return is, nil
}

func failure(f registry.Failed) error {
	switch f.Reason {
	case registry.Taken:
		return fmt.Errorf("%w: %s", rmi.ErrTaken, f.Why)
	case registry.NoName:
		return fmt.Errorf("%w: %s", rmi.ErrNoName, f.Why)
	case registry.NotYours:
		return fmt.Errorf("%w: %s", rmi.ErrForbidden, f.Why)
	}
	return fmt.Errorf("rmi: %s", f.Why)
}

// A watching is a watcher and what it is to be told.
type watching struct {
	prefix string
	w      rmi.Watcher
	more   chan struct{}
	behind []rmi.Change
}

// Watch tells a watcher of changes, from what this node's table is now.
func (n *Names) Watch(_ context.Context, prefix string, w rmi.Watcher) ([]rmi.Entry, uint64, error) {
	if w == nil {
		return nil, 0, errors.New("rmi: there is no watcher")
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.ctx.Err() != nil:
		return nil, 0, errors.New("rmi: the node has stopped")
	case len(n.watchers) >= mostWatchers:
		return nil, 0, fmt.Errorf("rmi: found %d watchers; expected fewer", mostWatchers)
	}
	is := &watching{prefix: prefix, w: w, more: make(chan struct{}, 1)}
	n.watchers[is] = true
	n.telling.Go(func() { n.tell(is) })
	var entries []rmi.Entry
	for _, name := range slices.Sorted(maps.Keys(n.entries)) {
		if strings.HasPrefix(name, prefix) {
			entries = append(entries, n.entries[name])
		}
	}
	return entries, n.revision, nil
}

// tell tells a watcher of changes, until it wants no more or is too far behind.
func (n *Names) tell(is *watching) {
	for {
		select {
		case <-is.more:
		case <-n.ctx.Done():
			return
		}
		n.mu.Lock()
		changes, watches := is.behind, n.watchers[is]
		is.behind = nil
		n.mu.Unlock()
		if !watches || is.w.Changed(n.ctx, changes) != nil {
			n.mu.Lock()
			delete(n.watchers, is)
			n.mu.Unlock()
			return
		}
	}
}

// Hear takes what leaves the stack at its top: changes of this node's table. A table that is another one is told as changes, so that
// watchers need not know that this node was away.
func (n *Names) Hear(e protocol.Event) {
	switch e := e.(type) {
	case registry.Changed:
		var changes []rmi.Change
		for _, c := range e.Changes {
			change := rmi.Change{Revision: c.Revision, Entry: rmi.Entry{Name: c.Name}}
			if c.Entry != nil {
				change.Entry = entryOf(*c.Entry)
			}
			changes = append(changes, change)
		}
		n.change(changes)
	case registry.Reset:
		if e.Since != 0 {
			n.change(n.differences(e))
		}
	}
}

// differences are the changes that lead from the table that was known to another.
func (n *Names) differences(e registry.Reset) (changes []rmi.Change) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.revision = e.Revision
	is := map[string]rmi.Entry{}
	for _, entry := range e.Entries {
		is[entry.Name] = entryOf(entry)
		if !reflect.DeepEqual(n.entries[entry.Name], is[entry.Name]) {
			changes = append(changes, rmi.Change{Revision: e.Revision, Entry: is[entry.Name]})
		}
	}
	for name := range n.entries {
		if _, still := is[name]; !still {
			changes = append(changes, rmi.Change{Revision: e.Revision, Entry: rmi.Entry{Name: name}})
		}
	}
	slices.SortFunc(changes, func(a, b rmi.Change) int { return cmp.Compare(a.Name, b.Name) })
	return changes
}

// change notes changes, for watchers too. One that is too far behind hears no more.
func (n *Names) change(changes []rmi.Change) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range changes {
		n.revision = c.Revision
		if c.Ref.IsZero() {
			delete(n.entries, c.Name)
		} else {
			n.entries[c.Name] = c.Entry
		}
		for is := range n.watchers {
			if strings.HasPrefix(c.Name, is.prefix) {
				n.add(is, c)
			}
		}
	}
}

func (n *Names) add(is *watching, c rmi.Change) {
	if is.behind = append(is.behind, c); len(is.behind) > mostBehind {
		is.behind = nil
		delete(n.watchers, is)
	}
	select {
	case is.more <- struct{}{}:
	default:
	}
}
