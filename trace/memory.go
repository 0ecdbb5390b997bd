package trace

import "iter"

// Memory is a [Sink] that holds all events in memory, in slabs, so that none is ever moved. The zero Memory is empty.
type Memory struct {
	slabs [][]Event // all full but the last used one; those after it are empty
	last  int       // index of the slab in use
	full  int       // events in the slabs before it
}

// Slabs double from the first size up to the last.
const (
	firstSlab = 256
	lastSlab  = 16 << 10
)

// Record keeps a copy of e.
func (m *Memory) Record(e *Event) {
	if m.last < len(m.slabs) {
		if s := m.slabs[m.last]; len(s) < cap(s) {
			s = s[:len(s)+1]
			s[len(s)-1] = *e
			m.slabs[m.last] = s
			return
		}
	}
	m.grow(e)
}

// grow goes on to the next slab, and makes it if there is none.
func (m *Memory) grow(e *Event) {
	size := firstSlab
	if m.last < len(m.slabs) {
		m.full += len(m.slabs[m.last])
		size = min(2*cap(m.slabs[m.last]), lastSlab)
		m.last++
	}
	if m.last == len(m.slabs) {
		m.slabs = append(m.slabs, make([]Event, 0, size))
	}
	m.slabs[m.last] = append(m.slabs[m.last], *e)
}

// Len is the number of events.
func (m *Memory) Len() int {
	if m.last == len(m.slabs) {
		return 0
	}
	return m.full + len(m.slabs[m.last])
}

// Reset forgets the events and keeps the slabs for the next ones.
func (m *Memory) Reset() {
	for i := range m.slabs {
		clear(m.slabs[i]) // so that no message is kept alive
		m.slabs[i] = m.slabs[i][:0]
	}
	m.last, m.full = 0, 0
}

// All gives the events with their positions, from 0. They may be read until Reset.
func (m *Memory) All() iter.Seq2[int, *Event] {
	return func(yield func(int, *Event) bool) {
		i := 0
		for _, s := range m.slabs {
			for j := range s {
				if !yield(i, &s[j]) {
					return
				}
				i++
			}
		}
	}
}

// Events copies the events into one slice.
func (m *Memory) Events() []Event {
	if m.Len() == 0 {
		return nil
	}
	all := make([]Event, 0, m.Len())
	for _, s := range m.slabs {
		all = append(all, s...)
	}
	return all
}
