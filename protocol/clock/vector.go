package clock

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"ciranda.dev/protocol"
)

// MaxEntries is the largest number of processes in a vector.
const MaxEntries = 1 << 12

// A Vector says of each process how many of its events are known. An absent process counts as 0.
type Vector map[Process]uint64

// An Order is how two vectors, and so two events, relate.
type Order int8

// The orders.
const (
	Equal Order = iota
	Before
	After
	Concurrent
)

var orderNames = [...]string{"equal", "before", "after", "concurrent"}

func (o Order) String() string { return orderNames[o] }

// Compare says how v relates to w. Of two different events' vectors: Before if v's event happened before w's, After
// if it was the other way round, Concurrent if neither could know of the other.
func (v Vector) Compare(w Vector) Order {
	switch below, above := v.within(w), w.within(v); {
	case below && above:
		return Equal
	case below:
		return Before
	case above:
		return After
	default:
		return Concurrent
	}
}

// within says that no entry of v is above that of w.
func (v Vector) within(w Vector) bool {
	for p, n := range v {
		if n > w[p] {
			return false
		}
	}
	return true
}

// Merge raises v's entries to those of w.
func (v Vector) Merge(w Vector) {
	for p, n := range w {
		if n > v[p] {
			v[p] = n
		}
	}
}

// Clone is a copy that shares nothing with v.
func (v Vector) Clone() Vector { return maps.Clone(v) }

// String lists the entries above 0 by process, such as "{n1#1:4 n2#1:2}".
func (v Vector) String() string {
	var b strings.Builder
	b.WriteByte('{')
	for _, p := range slices.SortedFunc(maps.Keys(v), Process.Compare) {
		if v[p] == 0 {
			continue
		}
		if b.Len() > 1 {
			b.WriteByte(' ')
		}
		b.WriteString(p.String() + ":" + strconv.FormatUint(v[p], 10))
	}
	return b.String() + "}"
}

// A VectorClock is the clock of one process. Each stamp that it gives is a copy.
type VectorClock struct {
	self  Process
	group []protocol.ID `layer:"const"`
	known Vector
}

// NewVectorClock makes the clock of a process. Entries of nodes outside the group are refused; a nil group has all
// nodes. The clock goes on from the vector from: that of the state the process was given, or stored; nil if none.
func NewVectorClock(self Process, group []protocol.ID, from Vector) *VectorClock {
	known := Vector{}
	known.Merge(from)
	return &VectorClock{self: self, group: group, known: known}
}

// Time is the stamp of the last event.
func (c *VectorClock) Time() Vector { return c.known.Clone() }

// Tick counts an event of the process, the sending of a message too, and gives its stamp. A message carries it.
func (c *VectorClock) Tick() Vector {
	c.known[c.self]++
	return c.known.Clone()
}

// Receive counts the receipt of a message that carries w, sent by from, and gives its stamp. Messages that are not
// handled, duplicates say, must not come here. The error is a [Reject].
func (c *VectorClock) Receive(from Process, w Vector) (Vector, error) {
	if w[from] == 0 {
		return nil, Reject{Zero, 0, Ceiling}
	}
	if err := c.check(w, MaxJump); err != nil {
		return nil, err
	}
	c.known.Merge(w)
	return c.Tick(), nil
}

// Adopt takes over what the other end of a new connection knows. It is no event. Counters may be any distance ahead,
// up to the ceiling.
func (c *VectorClock) Adopt(w Vector) error {
	if err := c.check(w, Ceiling); err != nil {
		return err
	}
	c.known.Merge(w)
	return nil
}

// check finds the first fault of w in the order of its processes, so that the same stamp gets the same answer always.
func (c *VectorClock) check(w Vector, jump uint64) error {
	if len(w) > MaxEntries {
		return Reject{TooMany, uint64(len(w)), MaxEntries}
	}
	var fault error
	var at Process
	for p, n := range w {
		if err := c.checkEntry(p, n, jump); err != nil && (fault == nil || p.Compare(at) < 0) {
			fault, at = err, p
		}
	}
	return fault
}

func (c *VectorClock) checkEntry(p Process, n, jump uint64) error {
	known := c.known[p]
	switch {
	case c.group != nil && !slices.Contains(c.group, p.Node):
		return Reject{Stranger, n, 0}
	case n > Ceiling:
		return Reject{TooHigh, n, Ceiling}
	case p == c.self && n > known:
		return Reject{KnowsMe, n, known}
	case n > known+jump:
		return Reject{TooFar, n, known + jump}
	}
	return nil
}
