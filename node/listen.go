package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/node/member"
	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/multicast"
)

const (
	earshot   = 32 << 20 // bytes that a listener may be behind; all listeners share what they are behind
	tellBytes = 64 << 10 // of payloads in one answer, about
)

// Listen tells what the node delivers, and how its view changes.
func (m *membership) Listen(ctx context.Context, r *cirandav1.ListenRequest, send func(*cirandav1.ListenResponse) error) error {
	if err := m.owns(r.GetNode()); err != nil {
		return err
	}
	lanes, err := decodeLanes(r.GetLanes())
	if err != nil {
		return err
	}
	if _, err := m.View(ctx, &cirandav1.ViewRequest{}); err != nil {
		return err
	}
	if err := m.hears(r.GetLanes()); err != nil {
		return err
	}
	select {
	case m.ears <- struct{}{}:
		defer func() { <-m.ears }()
	default:
		return &api.Error{Code: codes.ResourceExhausted, Text: fmt.Sprintf("node %d has %d listeners already", m.id, mostListeners),
			Hint: "listen at another node"}
	}
	l := m.member.Listen(member.ListenOptions{Lanes: lanes, Deaf: r.GetViewsOnly(), Buffer: earshot})
	defer l.Close()
	if err := send(m.begins(l.Start)); err != nil {
		return err
	}
	for {
		events, err := l.Next(ctx)
		if err != nil {
			return fromListen(ctx, err)
		}
		if err := tellAll(events, send); err != nil {
			return err
		}
	}
}

// hears refuses orders that are not run: who listens to those would wait for ever.
func (m *membership) hears(asked []*cirandav1.Lane) error {
	for i, l := range asked {
		if o := l.GetOrder(); o != "" && m.orders != nil && !slices.Contains(m.orders, o) {
			return api.Wrong(fmt.Sprintf("lanes[%d].order", i), "found the order %s; expected one that is run: %s", o, strings.Join(m.orders, ", "))
		}
	}
	return nil
}

// decodeLanes reads lanes; none stand for all of them.
func decodeLanes(asked []*cirandav1.Lane) ([]multicast.Lane, error) {
	var lanes []multicast.Lane
	for i, l := range asked {
		if l.GetOrder() == "" {
			for o := multicast.Reliable; o <= multicast.Lamport; o++ {
				lanes = append(lanes, multicast.Lane{Order: o, Uniform: l.GetUniform()})
			}
			continue
		}
		o, err := multicast.ParseOrder(l.GetOrder())
		if err != nil {
			return nil, api.Wrong(fmt.Sprintf("lanes[%d].order", i), "%v", err)
		}
		lanes = append(lanes, multicast.Lane{Order: o, Uniform: l.GetUniform()})
	}
	return lanes, nil
}

// begins is the first thing that a listener is told.
func (m *membership) begins(s member.Start) *cirandav1.ListenResponse {
	l := &cirandav1.Listening{Node: uint32(m.id), View: s.View, Lamport: s.Lamport}
	for _, n := range s.Next {
		l.Next = append(l.Next, &cirandav1.Listening_Next{Sender: uint32(n.Sender), Order: n.Order.String(), Uniform: n.Uniform, Seq: n.Seq})
	}
	return &cirandav1.ListenResponse{Happenings: []*cirandav1.Happening{{Kind: &cirandav1.Happening_Listening{Listening: l}}}}
}

// fromListen says why a listener is told no more.
func fromListen(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, member.ErrSlow):
		return &api.Error{Code: codes.ResourceExhausted, Hint: "listen again, to fewer orders or on a faster machine",
			Text: fmt.Sprintf("the listener takes too little: %d MiB waited for it, and what follows is lost to it", earshot>>20)}
	case errors.Is(err, member.ErrEnded):
		return &api.Error{Code: codes.Unavailable, Text: "the node has stopped"}
	}
	return ctx.Err()
}

// tellAll sends events, a few batches in each answer.
func tellAll(events []member.Event, send func(*cirandav1.ListenResponse) error) error {
	answer, size := &cirandav1.ListenResponse{}, 0
	for _, e := range events {
		h, bytes := encodeHappening(e)
		answer.Happenings = append(answer.Happenings, h)
		if size += bytes; size >= tellBytes {
			if err := send(answer); err != nil {
				return err
			}
			answer, size = &cirandav1.ListenResponse{}, 0
		}
	}
	if len(answer.Happenings) == 0 {
		return nil
	}
	return send(answer)
}

// encodeHappening writes an event as the API carries it, and gives its size in bytes, about.
func encodeHappening(e member.Event) (h *cirandav1.Happening, bytes int) {
	switch w := e.What.(type) {
	case multicast.Delivery:
		for _, p := range w.Payloads {
			bytes += len(p) + 4
		}
		return &cirandav1.Happening{Kind: &cirandav1.Happening_Delivery{Delivery: &cirandav1.Delivery{
			View: w.View, Sender: uint32(w.Sender), Order: w.Order.String(), Uniform: w.Uniform, First: w.First,
			Lamport: e.Lamport, Payloads: w.Payloads}}}, bytes
	case group.Installed:
		return &cirandav1.Happening{Kind: &cirandav1.Happening_View{View: &cirandav1.ViewChange{
			View: encodeView(w.View), Joined: numbers(w.Joined), Gone: numbers(w.Gone), Lamport: e.Lamport}}}, 0
	case group.Excluded:
		return &cirandav1.Happening{Kind: &cirandav1.Happening_Exclusion{Exclusion: &cirandav1.Exclusion{
			View: w.View, Why: string(w.Why), Lamport: e.Lamport}}}, 0
	case group.Blocked:
		return &cirandav1.Happening{Kind: &cirandav1.Happening_Blockade{Blockade: &cirandav1.Blockade{Why: w.Why, Lamport: e.Lamport}}}, 0
	}
	panic(fmt.Sprintf("node: a listener was told %T", e.What))
}

var _ api.Group = (*membership)(nil)
