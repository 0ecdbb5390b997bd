package rmi

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"unicode"
)

// Names are references by name, for all who can reach the same node. A name is a path such as "bank/alice". It is a remote
// interface: what one node keeps others use.
type Names interface {
	// Bind gives a name to an object. It fails with ErrTaken if the name has one. Tags say more of it.
	Bind(ctx context.Context, name string, ref Ref, tags map[string]string) error
	// Rebind does the same, and takes the name from another object.
	Rebind(ctx context.Context, name string, ref Ref, tags map[string]string) error
	// Unbind takes a name away. It fails with ErrNoName if there is none.
	Unbind(ctx context.Context, name string) error
	// Lookup gives what has a name. It fails with ErrNoName if nothing has.
	Lookup(ctx context.Context, name string) (Entry, error)
	// List gives the names that begin so, in order, and the revision of the whole: how many changes there were.
	List(ctx context.Context, prefix string) (entries []Entry, revision uint64, err error)
	// Watch tells a watcher of changes of names that begin so, from the present revision on, until the watcher gives an error or its
	// node is gone. It gives what there is now.
	Watch(ctx context.Context, prefix string, w Watcher) (entries []Entry, revision uint64, err error)
}

// A Watcher is told of changes of names.
type Watcher interface {
	// Changed tells some changes, in order. With an error it hears no more.
	Changed(ctx context.Context, changes []Change) error
}

// An Entry is a name and what has it.
type Entry struct {
	Name string            `json:"name"`
	Ref  Ref               `json:"ref"`
	Tags map[string]string `json:"tags,omitempty"`
}

// A Change is that a name was bound, or unbound: then it has no reference.
type Change struct {
	Revision uint64 `json:"revision"`
	Entry
}

// Errors of names.
var (
	ErrNoName = errors.New("rmi: no such name")
	ErrTaken  = errors.New("rmi: the name is taken")
)

func init() {
	RegisterError("rmi.ErrNoName", ErrNoName)
	RegisterError("rmi.ErrTaken", ErrTaken)
}

// CheckName says what is wrong with a name: it has 1 to 255 bytes, all of them printable, none of them a space.
func CheckName(name string) error {
	if name == "" || len(name) > 255 || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) }) {
		return fmt.Errorf("rmi: found the name %.40q; expected 1 to 255 bytes without spaces, such as bank/alice", name)
	}
	return nil
}

// Names is where the node looks names up: see [Options].
func (n *Node) Names() Names {
	switch {
	case n.opts.Names != nil:
		return n.opts.Names
	case n.opts.Keeper != nil:
		return &namesOf{n, n.opts.Keeper}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.dialed) > 0 {
		return &namesOf{n, n.connected}
	}
	if n.names == nil {
		n.names = &localNames{node: n, entries: map[string]Entry{}, watchers: map[*watching]bool{}}
	}
	return n.names
}

// connected is a node that was dialed and is connected, or else the first that was dialed.
func (n *Node) connected() (ID, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, id := range n.dialed {
		if n.peers[id].current() != nil {
			return id, nil
		}
	}
	return n.dialed[0], nil
}

// namesOf are the names that another node keeps.
type namesOf struct {
	node   *Node
	keeper func() (ID, error)
}

// there gives the names of the other node. Its reference is asked for each time: the node may have been restarted.
func (o *namesOf) there(ctx context.Context) (Names, error) {
	id, err := o.keeper()
	if err != nil {
		return nil, err
	}
	ref, err := o.node.rootOf(id).Names(ctx)
	if err != nil {
		return nil, err
	}
	return namesStub{o.node.Remote(ref)}, NamesRemote.core.fits(ref)
}

func (o *namesOf) Bind(ctx context.Context, name string, ref Ref, tags map[string]string) error {
	there, err := o.there(ctx)
	if err != nil {
		return err
	}
	return there.Bind(ctx, name, ref, tags)
}

func (o *namesOf) Rebind(ctx context.Context, name string, ref Ref, tags map[string]string) error {
	there, err := o.there(ctx)
	if err != nil {
		return err
	}
	return there.Rebind(ctx, name, ref, tags)
}

func (o *namesOf) Unbind(ctx context.Context, name string) error {
	there, err := o.there(ctx)
	if err != nil {
		return err
	}
	return there.Unbind(ctx, name)
}

func (o *namesOf) Lookup(ctx context.Context, name string) (Entry, error) {
	there, err := o.there(ctx)
	if err != nil {
		return Entry{}, err
	}
	return there.Lookup(ctx, name)
}

func (o *namesOf) List(ctx context.Context, prefix string) ([]Entry, uint64, error) {
	there, err := o.there(ctx)
	if err != nil {
		return nil, 0, err
	}
	return there.List(ctx, prefix)
}

func (o *namesOf) Watch(ctx context.Context, prefix string, w Watcher) ([]Entry, uint64, error) {
	there, err := o.there(ctx)
	if err != nil {
		return nil, 0, err
	}
	return there.Watch(ctx, prefix, w)
}

// localNames are those that a node keeps by itself, in memory.
type localNames struct {
	node *Node

	mu       sync.Mutex
	revision uint64
	entries  map[string]Entry
	watchers map[*watching]bool
}

// Limits of what a node keeps by itself.
const (
	mostNames    = 1 << 16
	mostWatchers = 1024
	mostBehind   = 1 << 12 // changes that a watcher may be behind
)

func (l *localNames) Bind(_ context.Context, name string, ref Ref, tags map[string]string) error {
	return l.bind(name, ref, tags, false)
}

func (l *localNames) Rebind(_ context.Context, name string, ref Ref, tags map[string]string) error {
	return l.bind(name, ref, tags, true)
}

func (l *localNames) bind(name string, ref Ref, tags map[string]string, again bool) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if ref.IsZero() {
		return fmt.Errorf("rmi: found nothing to be called %s; expected a reference", name)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, known := l.entries[name]
	switch {
	case known && !again:
		return fmt.Errorf("%w: %s", ErrTaken, name)
	case !known && len(l.entries) >= mostNames:
		return fmt.Errorf("rmi: there are %d names already", mostNames)
	}
	ref.Transfer = 0
	e := Entry{name, ref, maps.Clone(tags)}
	l.entries[name] = e
	l.changed(e)
	return nil
}

func (l *localNames) Unbind(_ context.Context, name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.entries[name]; !known {
		return fmt.Errorf("%w: %s", ErrNoName, name)
	}
	delete(l.entries, name)
	l.changed(Entry{Name: name})
	return nil
}

func (l *localNames) Lookup(_ context.Context, name string) (Entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, known := l.entries[name]
	if !known {
		return Entry{}, fmt.Errorf("%w: %s", ErrNoName, name)
	}
	return e, nil
}

func (l *localNames) List(_ context.Context, prefix string) ([]Entry, uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.list(prefix), l.revision, nil
}

func (l *localNames) list(prefix string) []Entry {
	var entries []Entry
	for _, name := range slices.Sorted(maps.Keys(l.entries)) {
		if strings.HasPrefix(name, prefix) {
			entries = append(entries, l.entries[name])
		}
	}
	return entries
}

// A watching is a watcher and what it is to be told.
type watching struct {
	prefix string
	w      Watcher
	more   chan struct{}
	behind []Change
	lost   bool
}

func (l *localNames) Watch(_ context.Context, prefix string, w Watcher) ([]Entry, uint64, error) {
	if w == nil {
		return nil, 0, errors.New("rmi: there is no watcher")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.watchers) >= mostWatchers {
		return nil, 0, fmt.Errorf("rmi: there are %d watchers already", mostWatchers)
	}
	is := &watching{prefix: prefix, w: w, more: make(chan struct{}, 1)}
	if !l.node.goes(func() { l.tell(is) }) {
		return nil, 0, errClosed
	}
	l.watchers[is] = true
	return l.list(prefix), l.revision, nil
}

// changed notes a change for watchers. One that is too far behind hears no more.
func (l *localNames) changed(e Entry) {
	l.revision++
	for is := range l.watchers {
		if !strings.HasPrefix(e.Name, is.prefix) {
			continue
		}
		if is.behind = append(is.behind, Change{l.revision, e}); len(is.behind) > mostBehind {
			is.lost = true
			delete(l.watchers, is)
		}
		select {
		case is.more <- struct{}{}:
		default:
		}
	}
}

// tell tells a watcher of changes until it wants no more.
func (l *localNames) tell(is *watching) {
	for {
		select {
		case <-is.more:
		case <-l.node.ctx.Done():
			return
		}
		l.mu.Lock()
		changes := is.behind
		is.behind = nil
		lost := is.lost
		l.mu.Unlock()
		if lost || is.w.Changed(l.node.ctx, changes) != nil {
			l.mu.Lock()
			delete(l.watchers, is)
			l.mu.Unlock()
			return
		}
	}
}
