package multicast_test

import (
	"fmt"
	"slices"
	"strings"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/multicast"
)

// A shouter casts texts, no two of them the same, and notes what it hears. It answers questions in the lane in which they
// are asked.
type shouter struct {
	protocol.Base
	slow    bool `layer:"const"` // it takes a while to consume what it hears
	said    uint64
	hearing int // bytes that it has not consumed
}

// digest is how long a slow shouter takes.
const digest = 30 * ms

type (
	// Shout is a call: cast so many texts, so many bytes longer. They may ask for answers.
	Shout struct {
		Lane  multicast.Lane
		Count int
		Bytes int
		Ask   bool
	}
	// Heard is a delivery, with its texts but for what makes them longer.
	Heard struct {
		View   uint64      `json:"view"`
		Sender protocol.ID `json:"sender"`
		multicast.Lane
		First uint64   `json:"first"`
		Texts []string `json:"texts"`
	}
)

func (Heard) Kind() string { return "heard" }

func (s *shouter) Traits() protocol.Traits {
	return protocol.Traits{Channel: "shouter", Needs: protocol.Multicast, Timers: []string{"digest"}}
}

func (s *shouter) String() string { return fmt.Sprintf("said %d texts", s.said) }

func (s *shouter) Request(r any, o *protocol.Out) bool {
	call, ok := r.(protocol.Call)
	shout, is := call.Body.(Shout)
	if !ok || !is {
		return false
	}
	c := multicast.Cast{Order: shout.Lane.Order, Uniform: shout.Lane.Uniform}
	for range max(1, shout.Count) {
		s.said++
		text := fmt.Sprintf("%d/%d/%d", o.Self().ID, o.Self().Incarnation, s.said)
		if shout.Ask {
			text += "?"
		}
		c.Payloads = append(c.Payloads, []byte(text+strings.Repeat(".", shout.Bytes)))
	}
	call.Body = c
	o.Request(call)
	return true
}

func (s *shouter) Indicate(e protocol.Event, o *protocol.Out) bool {
	d, ok := e.(multicast.Delivery)
	if !ok {
		return false
	}
	s.hear(d, o)
	h := Heard{d.View, d.Sender, d.Lane, d.First, nil}
	for _, p := range d.Payloads {
		text := strings.TrimRight(string(p), ".")
		h.Texts = append(h.Texts, text)
		if strings.HasSuffix(text, "?") && d.Sender != o.Self().ID {
			s.said++
			o.Request(multicast.Cast{Order: d.Order, Uniform: d.Uniform, Payloads: [][]byte{
				fmt.Appendf(nil, "%d/%d/%d re %s", o.Self().ID, o.Self().Incarnation, s.said, strings.TrimSuffix(text, "?"))}})
		}
	}
	o.Note(h)
	return true
}

func (s *shouter) hear(d multicast.Delivery, o *protocol.Out) {
	if s.slow && s.hearing == 0 {
		o.Set(protocol.Timer{}, digest)
	}
	s.hearing += multicast.Weight(d.Payloads...)
}

// Expire consumes what was heard.
func (s *shouter) Expire(_ protocol.Timer, o *protocol.Out) {
	o.Request(multicast.Consumed{Bytes: s.hearing})
	s.hearing = 0
}

// allLanes are those of some orders; of all if none is named.
func allLanes(orders ...multicast.Order) (all []multicast.Lane) {
	for r := multicast.Reliable; r <= multicast.Lamport; r++ {
		if len(orders) == 0 || slices.Contains(orders, r) {
			all = append(all, multicast.Lane{Order: r}, multicast.Lane{Order: r, Uniform: true})
		}
	}
	return all
}
