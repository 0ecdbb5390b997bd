package registry

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"

	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/invocation"
)

// A table is the names, and what is remembered of requests. It is the same at all members after the same commands.
type table struct {
	since    uint64 // the view in which it began
	revision uint64 // changes since then
	hash     Hash   // the sum of those of the entries
	size     int    // bytes of the entries
	entries  map[string]Entry
	answers  []answered // the last ones, oldest first
}

// An answered request is remembered for who makes it again.
type answered struct {
	request invocation.RID
	answer  answer
}

// An answer is what a command that may change something came to: the reason is empty if it was done.
type answer struct {
	reason   Reason
	revision uint64
}

// An op says what a command does.
type op uint8

const (
	opBind op = iota + 1
	opRebind
	opUnbind
	opUnbindOwn
	opExpire
	opLookup
	opList

	lastOp = opList
)

// changes says whether a command may change the table.
func (p op) changes() bool { return p < opLookup }

// A command is a call on its way through the group.
type command struct {
	op      op
	ticket  uint64 // by which the member that asks knows its call
	request invocation.RID
	entry   Entry // of Unbind, Lookup and List the name only; of Expire the owner and its life
}

// do does a command of a member in a view. It tells of the changes, if there are some.
func (t *table) do(c *command, from group.Member, v group.View, opts *Options) (answer, []Change) {
	if c.request != (invocation.RID{}) && opts.Mistake != AppliesTwice {
		for i := range t.answers {
			if t.answers[i].request == c.request {
				return t.answers[i].answer, nil
			}
		}
	}
	reason, changes := t.change(c, from, v, opts)
	a := answer{reason, t.revision}
	if c.request != (invocation.RID{}) {
		if t.answers = append(t.answers, answered{c.request, a}); len(t.answers) > opts.Remember {
			t.answers = slices.Delete(t.answers, 0, len(t.answers)-opts.Remember)
		}
	}
	return a, changes
}

func (t *table) change(c *command, from group.Member, v group.View, opts *Options) (Reason, []Change) {
	was, known := t.entries[c.entry.Name]
	switch c.op {
	case opBind, opRebind:
		if known && c.op == opBind {
			return Taken, nil
		}
		e := c.entry
		e.By, e.Home = c.request.Client, homeOf(e.Ref, from, v)
		switch {
		case !isMember(e.Home, v):
			return NoOwner, nil
		case !known && len(t.entries) >= opts.Entries, t.size-was.weightIf(known)+e.weight() > opts.Bytes:
			return Full, nil
		}
		return "", []Change{t.put(e)}
	case opUnbind, opUnbindOwn:
		switch {
		case !known:
			return NoName, nil
		case c.op == opUnbindOwn && was.By != c.request.Client:
			return NotYours, nil
		}
		return "", []Change{t.remove(was)}
	default: // opExpire
		owner := c.entry.Ref
		return "", t.removeAll(func(e *Entry) bool {
			return e.Ref.Owner == owner.Owner && e.Ref.Incarnation == owner.Incarnation && e.Home == from && e.Ref.Owner.Node() == 0
		})
	}
}

// homeOf is the member with which an entry ends; the zero one if its owner is a node that is not a member in that life.
func homeOf(r invocation.Ref, from group.Member, v group.View) group.Member {
	n := r.Owner.Node()
	if n == 0 {
		return from
	}
	for _, m := range v.Members {
		if uint16(m.Node) == n && uint64(m.Incarnation) == r.Incarnation {
			return m
		}
	}
	return group.Member{}
}

func isMember(m group.Member, v group.View) bool { return slices.Contains(v.Members, m) }

// put has a name be bound.
func (t *table) put(e Entry) Change {
	if was, known := t.entries[e.Name]; known {
		t.hash, t.size = t.hash-was.hash(), t.size-was.weight()
	}
	t.revision++
	t.hash, t.size = t.hash+e.hash(), t.size+e.weight()
	t.entries[e.Name] = e
	return Change{t.revision, e.Name, &e, invocation.ObjectID{}}
}

func (t *table) remove(e Entry) Change {
	t.revision++
	t.hash, t.size = t.hash-e.hash(), t.size-e.weight()
	delete(t.entries, e.Name)
	return Change{t.revision, e.Name, nil, e.Ref.Object}
}

// removeAll removes entries in the order of their names.
func (t *table) removeAll(which func(*Entry) bool) (changes []Change) {
	for _, name := range t.names() {
		if e := t.entries[name]; which(&e) {
			changes = append(changes, t.remove(e))
		}
	}
	return changes
}

// bury removes what ended with members that are gone.
func (t *table) bury(v group.View) []Change {
	return t.removeAll(func(e *Entry) bool { return !isMember(e.Home, v) })
}

func (t *table) names() []string { return slices.Sorted(maps.Keys(t.entries)) }

// list gives the entries whose names begin so, without descriptions.
func (t *table) list(prefix string) (entries []Entry) {
	for _, name := range t.names() {
		if strings.HasPrefix(name, prefix) {
			e := t.entries[name]
			e.Description = nil
			entries = append(entries, e)
		}
	}
	return entries
}

// slot is what an entry counts beside its texts.
const slot = 128

// weight is about how many bytes an entry takes.
func (e *Entry) weight() int {
	n := slot + len(e.Name) + len(e.Ref.Interface) + len(e.Ref.Fingerprint) + len(e.Description)
	for _, key := range sortedKeys(e.Tags) {
		n += len(key) + len(e.Tags[key])
	}
	return n
}

func (e *Entry) weightIf(known bool) int {
	if !known {
		return 0
	}
	return e.weight()
}

func (e *Entry) hash() Hash {
	h := fnv.New64a()
	h.Write(appendEntry(nil, e))
	sum := h.Sum64()
	// One more mixing: sums of FNV's would cancel where entries differ in few bits.
	h.Reset()
	h.Write(binary.BigEndian.AppendUint64(nil, sum))
	return Hash(h.Sum64())
}

func sortedKeys(tags map[string]string) []string { return slices.Sorted(maps.Keys(tags)) }

// why says in words what became of a command.
func (t *table) why(c *command, a answer, opts *Options) string {
	name := c.entry.Name
	switch a.reason {
	case Taken:
		return fmt.Sprintf("%s has an object", name)
	case NoName:
		return fmt.Sprintf("nothing is called %s", name)
	case NotYours:
		return fmt.Sprintf("%s was bound by somebody else", name)
	case NoOwner:
		return fmt.Sprintf("the owner of the object that is to be called %s, %s, is not in the group in that life", name, c.entry.Ref.Owner)
	default:
		return fmt.Sprintf("there is no room for %s: found %d names of %d bytes; expected at most %d of %d", name, len(t.entries), t.size,
			opts.Entries, opts.Bytes)
	}
}
