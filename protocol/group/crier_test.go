package group_test

import (
	"fmt"
	"slices"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/group"
)

// A crier carries the group's messages in the simplest way: each goes to all members, which deliver it at once and keep it
// for the whole view.
type crier struct {
	protocol.Base
	view    group.View
	stopped bool
	in      bool
	streams []uint64 // by rank, how many are held
	ballot  group.Ballot
	want    group.Cut
	early   []early // of views to come

	delivered []uint64 // when it was stopped
}

type early struct {
	from protocol.ID
	cry  Cry
}

type (
	// Cry is the Number-th message of its sender in a view; what it says follows from that.
	Cry struct{ View, Number uint64 }
	// Again asks for messages of a rank.
	Again struct {
		View, After uint64
		Rank        uint32
	}
	// Echo answers: so many are held.
	Echo struct {
		View, Upto uint64
		Rank       uint32
	}
	// Shout is a call.
	Shout struct{}
	// Heard is a delivery.
	Heard struct {
		View   uint64      `json:"view"`
		Sender protocol.ID `json:"sender"`
		Number uint64      `json:"number"`
	}
	// Cried is a sending.
	Cried struct {
		View   uint64 `json:"view"`
		Number uint64 `json:"number"`
	}
)

func (Heard) Kind() string { return "heard" }
func (Cried) Kind() string { return "cried" }

func (c *crier) Traits() protocol.Traits {
	return protocol.Traits{Channel: "crier", Needs: protocol.Views | protocol.FIFO | protocol.NoLoss,
		Messages: []protocol.Message{Cry{}, Again{}, Echo{}}}
}

func (c *crier) String() string { return fmt.Sprintf("%s holds %v", c.view, c.streams) }

func (c *crier) Request(r any, o *protocol.Out) bool {
	call, ok := r.(protocol.Call)
	if _, shout := call.Body.(Shout); !ok || !shout {
		return false
	}
	if !c.in || c.stopped {
		return true
	}
	rank := c.view.Rank(o.Self().ID)
	n := c.streams[rank] + 1
	o.Indicate(Cried{c.view.ID, n})
	for _, m := range c.view.Members {
		if m.Node != o.Self().ID {
			o.Send(m.Node, Cry{c.view.ID, n})
		}
	}
	c.hold(rank, n, o)
	return true
}

func (c *crier) hold(rank int, upto uint64, o *protocol.Out) {
	for c.streams[rank] < upto {
		c.streams[rank]++
		if !c.stopped {
			c.deliver(rank, c.streams[rank], o)
		}
	}
}

func (c *crier) deliver(rank int, n uint64, o *protocol.Out) {
	o.Indicate(Heard{c.view.ID, c.view.Members[rank].Node, n})
}

func (c *crier) Receive(from protocol.ID, m protocol.Message, o *protocol.Out) {
	switch m := m.(type) {
	case Cry:
		rank := c.view.Rank(from)
		switch {
		case m.View > c.view.ID:
			if len(c.early) < 1000 {
				c.early = append(c.early, early{from, m})
			}
		case m.View == c.view.ID && c.in && rank >= 0 && m.Number == c.streams[rank]+1:
			if c.stopped { // held, and delivered at the end of the view if it is within the cut
				c.streams[rank]++
			} else {
				c.hold(rank, m.Number, o)
			}
			c.complete(o)
		}
	case Again:
		if c.in && m.View == c.view.ID && int(m.Rank) < len(c.streams) {
			o.Send(from, Echo{m.View, c.streams[m.Rank], m.Rank})
		}
	case Echo:
		if c.in && c.stopped && m.View == c.view.ID && int(m.Rank) < len(c.streams) {
			c.streams[m.Rank] = max(c.streams[m.Rank], m.Upto)
			c.complete(o)
		}
	}
}

func (c *crier) complete(o *protocol.Out) {
	if c.want == nil {
		return
	}
	for r, n := range c.want {
		if c.streams[r] < n {
			return
		}
	}
	c.want = nil
	o.Request(group.Gathered{View: c.view.ID, Ballot: c.ballot})
}

func (c *crier) Indicate(e protocol.Event, o *protocol.Out) bool {
	switch e := e.(type) {
	case group.Flush:
		c.stop()
		c.want = nil
		o.Request(group.Held{View: e.View, Ballot: e.Ballot, Upto: slices.Clone(c.streams)})
	case group.Gather:
		c.stop()
		c.want, c.ballot = slices.Clone(e.Upto), e.Ballot
		for r, n := range c.want {
			if c.streams[r] < n && e.From[r] != protocol.None && e.From[r] != o.Self().ID {
				o.Send(e.From[r], Again{e.View, c.streams[r], uint32(r)})
			}
		}
		c.complete(o)
	case group.Installed:
		c.install(e, o)
	case group.Excluded:
		c.in = false
	}
	return false
}

func (c *crier) stop() {
	if !c.stopped {
		c.stopped = true
		c.delivered = slices.Clone(c.streams)
	}
}

func (c *crier) install(e group.Installed, o *protocol.Out) {
	if !e.First {
		if !c.stopped {
			panic("a view without a flush")
		}
		for r, n := range e.Upto {
			for c.delivered[r] < n {
				c.delivered[r]++
				c.deliver(r, c.delivered[r], o)
			}
		}
	}
	c.view, c.in, c.stopped, c.want = e.View, true, false, nil
	c.streams = make([]uint64, len(e.View.Members))
	soon := c.early
	c.early = nil
	for _, e := range soon {
		c.Receive(e.from, e.cry, o)
	}
}
