package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
)

// Multicast has a member send messages.
func (g *Router) Multicast(ctx context.Context, r *cirandav1.MulticastRequest) (*cirandav1.MulticastResponse, error) {
	ctx, cancel := inTime(ctx)
	defer cancel()
	tried := map[uint32]bool{}
	var last error
	for {
		s, err := g.find(ctx, r.GetNode(), tried, last == nil)
		if err != nil {
			return nil, g.spare(last, err)
		}
		var a attempt
		answer, err := s.client.Group.Multicast(ctx, r, a.options()...)
		switch v := a.judge(err); {
		case v == done:
			g.stay(r.GetNode(), s.id)
			g.stats.Done.Add(1)
			return answer, nil
		case v == doubted || v == lost:
			g.leave(s.id)
			g.stats.Unknown.Add(1)
			return nil, inDoubt(s.id, &a, err)
		case v == refused && api.AsError(err).Code != codes.FailedPrecondition:
			g.stats.Refused.Add(1)
			return nil, err
		}
		tried[s.id], last = true, relayed(s.id, err)
		g.leave(s.id)
		g.stats.Moved.Add(1)
	}
}

// find gives the node that a call is passed to. Where no node is a member it waits for one, if it may, while there is time:
// at the beginning of a cluster there is no group yet.
func (g *Router) find(ctx context.Context, number uint32, tried map[uint32]bool, mayWait bool) (station, error) {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		s, err := g.choose(ctx, number, tried)
		if err == nil || !mayWait || number != 0 || !unavailable(err) || tooLate(ctx) {
			return s, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return s, err
		}
	}
}

func unavailable(err error) bool {
	e := api.AsError(err)
	return e != nil && e.Code == codes.Unavailable
}

// stay stays with a node that was not asked for by its number.
func (g *Router) stay(number, id uint32) {
	if number == 0 {
		g.at.Store(id)
	}
}

// leave stays no longer with a node.
func (g *Router) leave(id uint32) { g.at.CompareAndSwap(id, 0) }

// spare says that nothing was sent: what the last node said, if one was asked, or why none could be.
func (g *Router) spare(last, err error) error {
	if last != nil {
		err = last
	}
	e := api.AsError(err)
	if e == nil {
		return err
	}
	if e.Code == codes.FailedPrecondition || e.Code == codes.NotFound {
		g.stats.Refused.Add(1)
	} else {
		g.stats.Unavailable.Add(1)
	}
	with := *e // it may be one that is shared
	if !strings.Contains(with.Text, "nothing was sent") {
		with.Text += "; nothing was sent"
	}
	return &with
}

// Multicast asks a server to send messages, once. Its error has the code Unknown where they may have been sent; any other says
// that nothing was.
func Multicast(ctx context.Context, server cirandav1.GroupServiceClient, r *cirandav1.MulticastRequest) (*cirandav1.MulticastResponse, error) {
	var a attempt
	answer, err := server.Multicast(ctx, r, a.options()...)
	return answer, a.orInDoubt(err)
}

// A Stream sends messages to a server as they come. It is used by one goroutine.
type Stream struct {
	stream grpc.ClientStreamingClient[cirandav1.MulticastStreamRequest, cirandav1.MulticastStreamResponse]
	a      attempt
}

// OpenStream opens a stream to a server.
func OpenStream(ctx context.Context, server cirandav1.GroupServiceClient) (*Stream, error) {
	s := &Stream{}
	var err error
	s.stream, err = server.MulticastStream(ctx, s.a.options()...)
	return s, err
}

// Send sends a batch. It waits while much is on its way. After io.EOF the error of Close says why no more is taken.
func (s *Stream) Send(r *cirandav1.MulticastStreamRequest) error { return s.stream.Send(r) }

// Close ends the stream and waits until all was delivered. Its error is as that of [Multicast], for the messages behind those
// that it says were delivered.
func (s *Stream) Close() (*cirandav1.MulticastStreamResponse, error) {
	answer, err := s.stream.CloseAndRecv()
	return answer, s.a.orInDoubt(err)
}

// orInDoubt is the error of an attempt; where it may have done something and no server says so, it is told.
func (a *attempt) orInDoubt(err error) error {
	v := a.judge(err)
	if e := api.AsError(err); v != doubted && v != lost || e != nil && e.Code == codes.Unknown && a.answered() {
		return err
	}
	return &api.Error{Code: codes.Unknown, Text: "no answer; messages may be delivered or not", Hint: "sent again, they are other messages"}
}

// inDoubt is the error of an attempt that may have sent messages.
func inDoubt(id uint32, a *attempt, err error) error {
	if e := api.AsError(err); e != nil && e.Code == codes.Unknown && a.answered() {
		return relayed(id, err)
	}
	return &api.Error{Code: codes.Unknown, Hint: "sent again, they are other messages",
		Text: fmt.Sprintf("no answer of node %d; the messages may be delivered or not", id)}
}

// MulticastStream has a member send the messages of a stream. All of them go to the same one.
func (g *Router) MulticastStream(ctx context.Context, receive func() (*cirandav1.MulticastStreamRequest, error)) (*cirandav1.MulticastStreamResponse, error) {
	r, err := receive()
	if errors.Is(err, io.EOF) {
		return &cirandav1.MulticastStreamResponse{}, nil
	}
	if err != nil {
		return nil, err
	}
	s, err := g.streamTo(ctx, r.GetNode())
	if err != nil {
		return nil, g.spare(nil, err)
	}
	ctx, cancel := g.whileOpen(ctx)
	defer cancel()
	var a attempt
	stream, err := s.client.Group.MulticastStream(ctx, a.options()...)
	for err == nil {
		if err = stream.Send(r); err != nil {
			break // the answer says why
		}
		if r, err = receive(); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
	}
	if stream == nil {
		return nil, g.spare(nil, relayed(s.id, err))
	}
	answer, err := stream.CloseAndRecv()
	if v := a.judge(err); v == doubted || v == lost {
		g.leave(s.id)
		return nil, inDoubt(s.id, &a, err)
	}
	return answer, relayed(s.id, err)
}

// streamTo gives the node that a stream is passed to. It is asked first: what was sent to it cannot be sent to another one.
func (g *Router) streamTo(ctx context.Context, number uint32) (station, error) {
	inTime, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	s, err := g.find(inTime, number, nil, true)
	if err != nil || number != 0 {
		return s, err
	}
	if at, err := g.look(inTime, s.id, nil); err != nil || at.rank() < 2 {
		g.leave(s.id)
		return g.find(inTime, 0, nil, true)
	}
	g.stay(0, s.id)
	return s, nil
}

// whileOpen ends a context with the router.
func (g *Router) whileOpen(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(g.ctx, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

// Listen tells what a node delivers. When that node is lost, so is the rest; the error says so.
func (g *Router) Listen(ctx context.Context, r *cirandav1.ListenRequest, send func(*cirandav1.ListenResponse) error) error {
	s, err := g.look(ctx, r.GetNode(), nil)
	if err != nil {
		return err
	}
	ctx, cancel := g.whileOpen(ctx)
	defer cancel()
	stream, err := s.client.Group.Listen(ctx, r)
	for err == nil {
		var answer *cirandav1.ListenResponse
		if answer, err = stream.Recv(); err == nil {
			if err := send(answer); err != nil {
				return err
			}
		}
	}
	switch e := api.AsError(err); {
	case g.ctx.Err() != nil:
		return &api.Error{Code: codes.Unavailable, Text: "the gateway ends", Hint: "listen at another one"}
	case errors.Is(err, io.EOF), e != nil && e.Code == codes.Unavailable:
		return &api.Error{Code: codes.Unavailable, Text: fmt.Sprintf("node %d, which was listened at, is gone", s.id),
			Hint: "listen again: it will be at another member"}
	}
	return relayed(s.id, err)
}
