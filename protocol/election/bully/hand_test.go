package bully_test

import (
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
)

// A hand is a detector moved by the test: it suspects and restores whom it is told to, and itself only tells lives
// apart. Its events are told to the stack as detector.Suspect and detector.Restore with the life 0: the known one.
type hand struct {
	protocol.Base
	peers []peer // by number
}

type peer struct {
	life      protocol.Incarnation
	suspected bool
}

// wasReset is the note of a hand that was asked for one fresh timeout.
type wasReset struct {
	Node protocol.ID `json:"node"`
}

func (wasReset) Kind() string { return "hand.reset" }

func (h *hand) Traits() protocol.Traits {
	return protocol.Traits{Channel: "hand", Gives: protocol.FailureDetection, Requests: []any{detector.Watch{}, detector.Reset{}}}
}

func (h *hand) Start(o *protocol.Out) {
	h.peers = make([]peer, o.Self().Group[len(o.Self().Group)-1]+1)
}

func (h *hand) String() string { return "moved by the test" }

func (h *hand) Down(protocol.ID, protocol.Packet, *protocol.Out) bool { return false }

// Pass lets no packet of an older life pass, and tells of a newer one first.
func (h *hand) Pass(from protocol.ID, _ protocol.Packet, o *protocol.Out) bool {
	p, inc := &h.peers[from], o.SenderIncarnation()
	if inc < p.life {
		return true
	}
	if inc > p.life {
		if p.life != 0 && !p.suspected {
			o.Indicate(detector.Suspect{Node: from, Incarnation: p.life, Why: detector.Restarted})
		}
		*p = peer{life: inc}
	}
	return false
}

func (h *hand) Request(r any, o *protocol.Out) bool {
	switch r := r.(type) {
	case detector.Watch:
		return true
	case detector.Reset:
		p := &h.peers[r.Node]
		if r.Incarnation != 0 && r.Incarnation < p.life {
			o.Indicate(detector.Suspect{Node: r.Node, Incarnation: r.Incarnation, Why: detector.Restarted})
			return true
		}
		o.Note(wasReset{r.Node})
		h.restore(r.Node, o)
		return true
	}
	return false
}

func (h *hand) Indicate(ev protocol.Event, o *protocol.Out) bool {
	switch ev := ev.(type) {
	case detector.Suspect:
		if p := &h.peers[ev.Node]; !p.suspected {
			p.suspected = true
			o.Indicate(detector.Suspect{Node: ev.Node, Incarnation: p.life, Why: ev.Why})
		}
		return true
	case detector.Restore:
		h.restore(ev.Node, o)
		return true
	}
	return false
}

func (h *hand) restore(id protocol.ID, o *protocol.Out) {
	if p := &h.peers[id]; p.suspected {
		p.suspected = false
		o.Indicate(detector.Restore{Node: id, Incarnation: p.life})
	}
}
