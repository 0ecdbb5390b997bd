package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/engine/live"
	"ciranda.dev/node/member"
	"ciranda.dev/protocol/multicast"
)

const (
	patience     = 10 * time.Second // for messages whose client sets no deadline
	streamWindow = 1 << 20          // bytes of a stream's messages that may be on their way, or one request
)

// inTime leaves what the client gives of time, less a little in which the answer reaches it.
func inTime(ctx context.Context) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return context.WithTimeout(ctx, patience)
	}
	left := time.Until(end)
	return context.WithDeadline(ctx, end.Add(-min(left/10, 100*time.Millisecond)))
}

// Multicast sends messages to the group.
func (m *membership) Multicast(ctx context.Context, r *cirandav1.MulticastRequest) (*cirandav1.MulticastResponse, error) {
	if err := m.owns(r.GetNode()); err != nil {
		return nil, err
	}
	payloads := r.GetPayloads()
	switch {
	case len(payloads) > 0 && r.GetText() != "":
		return nil, api.Wrong("text", "found payloads and a text; expected one of them")
	case r.GetText() != "":
		payloads = [][]byte{[]byte(r.GetText())}
	}
	lane, err := m.sound(r.GetOrder(), r.GetUniform(), payloads)
	if err != nil {
		return nil, err
	}
	select {
	case m.places <- struct{}{}:
		defer func() { <-m.places }()
	default:
		return nil, &api.Error{Code: codes.ResourceExhausted, Text: fmt.Sprintf("%d calls wait already; nothing was sent", mostCasts), Hint: "ask again later"}
	}
	ctx, cancel := inTime(ctx)
	defer cancel()
	sent, err := m.member.Cast(ctx, lane, payloads...)
	if err != nil {
		return nil, m.fromCast(err)
	}
	return &cirandav1.MulticastResponse{Node: uint32(m.id), View: sent.View, First: sent.First, Count: uint64(sent.Count)}, nil
}

// sound says what is wrong with messages, whatever the state of the group.
func (m *membership) sound(order string, uniform bool, payloads [][]byte) (multicast.Lane, error) {
	o, err := multicast.ParseOrder(order)
	switch {
	case err != nil:
		return multicast.Lane{}, api.Wrong("order", "%v", err)
	case len(payloads) == 0:
		return multicast.Lane{}, api.Wrong("payloads", "found no message; expected at least one")
	}
	for i, p := range payloads {
		if len(p) > m.largest {
			return multicast.Lane{}, api.Wrong(fmt.Sprintf("payloads[%d]", i), "found a message of %d bytes; expected at most %d", len(p), m.largest)
		}
	}
	return multicast.Lane{Order: o, Uniform: uniform}, nil
}

// fromCast turns the error of a cast into one for clients.
func (m *membership) fromCast(err error) *api.Error {
	var refused live.Refused
	switch {
	case errors.As(err, &refused) && strings.Contains(refused.Why, "that wait to be sent"):
		return &api.Error{Code: codes.ResourceExhausted, Text: refused.Why + "; nothing was sent", Hint: "ask again later, or for less"}
	case errors.As(err, &refused):
		return &api.Error{Code: codes.FailedPrecondition, Text: m.inWords(refused.Why) + "; nothing was sent"}
	case errors.Is(err, member.ErrUnknown):
		return &api.Error{Code: codes.Unknown, Text: "not delivered here so far; it may be delivered yet, here or elsewhere",
			Hint: "sent again, it is another message"}
	case errors.Is(err, live.ErrStopped):
		return &api.Error{Code: codes.Unavailable, Text: "the node has stopped; nothing was sent"}
	case errors.Is(err, context.Canceled):
		return &api.Error{Code: codes.Canceled, Text: "cancelled before it was begun; nothing was sent"}
	case errors.Is(err, context.DeadlineExceeded):
		return &api.Error{Code: codes.DeadlineExceeded, Text: "too much waits to be sent; nothing was sent in time"}
	}
	return &api.Error{Code: codes.Internal, Text: err.Error()}
}

// MulticastStream sends the messages of a stream as they come. While much is on its way it reads no more.
func (m *membership) MulticastStream(ctx context.Context, receive func() (*cirandav1.MulticastStreamRequest, error)) (*cirandav1.MulticastStreamResponse, error) {
	s := &castStream{m: m}
	for s.failed == nil {
		r, err := receive()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = s.begin(ctx, r)
		}
		if err != nil {
			s.settle(ctx, 0)
			s.fail(err)
			break
		}
		s.settle(ctx, streamWindow)
	}
	s.settle(ctx, 0)
	return s.answer()
}

// A castStream is what is known of a stream of messages.
type castStream struct {
	m         *membership
	lane      multicast.Lane
	under     []*member.Casting // on their way, with how many messages each has
	counts    []int
	size      int    // bytes on their way
	delivered int    // messages, up to the first of which that cannot be said
	behind    int    // and of those behind it
	doubt     bool   // of some it is not known
	view      uint64 // of the last that was delivered
	failed    error  // the first failure
}

// begin begins to send the messages of a request.
func (s *castStream) begin(ctx context.Context, r *cirandav1.MulticastStreamRequest) error {
	if err := s.m.owns(r.GetNode()); err != nil {
		return err
	}
	order, uniform := r.GetOrder(), r.GetUniform()
	if order == "" && s.lane.Order != 0 {
		order, uniform = s.lane.Order.String(), s.lane.Uniform
	}
	lane, err := s.m.sound(order, uniform, r.GetPayloads())
	if err != nil {
		return err
	}
	s.lane = lane
	c, err := s.m.member.Begin(ctx, lane, r.GetPayloads())
	if err != nil {
		return s.m.fromCast(err)
	}
	s.under, s.counts, s.size = append(s.under, c), append(s.counts, len(r.GetPayloads())), s.size+c.Bytes()
	return nil
}

// settle waits until no more bytes than that are on their way; of more than none, one request may be.
func (s *castStream) settle(ctx context.Context, most int) {
	for len(s.under) > 0 && (most == 0 || s.size > most && len(s.under) > 1) {
		c, count := s.under[0], s.counts[0]
		s.under, s.counts, s.size = s.under[1:], s.counts[1:], s.size-c.Bytes()
		sent, err := c.Wait(ctx)
		switch {
		case err != nil:
			s.doubt = s.doubt || errors.Is(err, member.ErrUnknown)
			s.fail(s.m.fromCast(err))
		case s.failed != nil:
			s.behind += count
		default:
			s.delivered, s.view = s.delivered+count, sent.View
		}
	}
}

// fail remembers the first failure: what comes behind it follows from it.
func (s *castStream) fail(err error) {
	if s.failed == nil {
		s.failed = err
	}
}

// answer says what became of the stream.
func (s *castStream) answer() (*cirandav1.MulticastStreamResponse, error) {
	if s.failed == nil {
		return &cirandav1.MulticastStreamResponse{Node: uint32(s.m.id), Count: uint64(s.delivered), View: s.view}, nil
	}
	e := api.AsError(s.failed)
	if e == nil {
		return nil, s.failed // of the stream itself
	}
	e.Text = fmt.Sprintf("message %d of the stream: %s", s.delivered+1, e.Text)
	if s.behind > 0 || s.doubt {
		e.Code = codes.Unknown
		e.Text += fmt.Sprintf("; behind it %d were delivered, and others may be", s.behind)
	}
	return nil, e
}
