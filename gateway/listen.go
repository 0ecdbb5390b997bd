package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc/codes"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
)

// A Listener listens to the group over connections that fail: when the node that it listens at is lost, or the server, it
// listens again, at the next server. It is told nothing twice, and says what it has missed.
type Listener struct {
	Servers []cirandav1.GroupServiceClient // at least one
	Request *cirandav1.ListenRequest
	// Note is told of each beginning: where it listens, and, but for the first time, what was missed in between. It may be nil.
	Note func(text string)

	first int // the server that is asked
	begun bool
	view  uint64 // the highest of which something was told
	next  map[voice]uint64
}

// A voice is where messages come from that are numbered one after the other.
type voice struct {
	view    uint64
	sender  uint32
	order   string
	uniform bool
}

// How often and how long a listener that had begun tries to listen again.
const (
	listenEvery = 100 * time.Millisecond
	listenTries = 50
)

// Run hands on what happens until take gives an error, which it returns, or ctx ends, or nobody can be listened at any more.
// Happenings without a message that was not told before are left out.
func (l *Listener) Run(ctx context.Context, take func(*cirandav1.Happening) error) error {
	l.begun, l.view, l.next = false, 0, map[voice]uint64{}
	for tries := 0; ; tries++ {
		told := false
		err := l.once(ctx, func(h *cirandav1.Happening) error {
			told = true
			if l.fresh(h) {
				return take(h)
			}
			return nil
		})
		if told {
			tries = 0
		}
		e := api.AsError(err)
		if !l.begun || e == nil || e.Code != codes.Unavailable || tries == listenTries || ctx.Err() != nil {
			return err
		}
		l.first++
		select {
		case <-time.After(listenEvery):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// once listens at one server until that is lost.
func (l *Listener) once(ctx context.Context, take func(*cirandav1.Happening) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := l.Servers[l.first%len(l.Servers)].Listen(ctx, l.Request)
	if err != nil {
		return err
	}
	for {
		answer, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return &api.Error{Code: codes.Unavailable, Text: "the server has ended"}
		}
		if err != nil {
			return err
		}
		for _, h := range answer.GetHappenings() {
			if b := h.GetListening(); b != nil {
				l.begin(b)
				continue
			}
			if err := take(h); err != nil {
				return err
			}
		}
	}
}

// begin takes note of where a stream begins.
func (l *Listener) begin(b *cirandav1.Listening) {
	text := fmt.Sprintf("listening at node %d, in view %d", b.GetNode(), b.GetView())
	if b.GetView() == 0 {
		text = fmt.Sprintf("listening at node %d, which is no member of the group now", b.GetNode())
	}
	if l.begun {
		text += "; " + l.missed(b)
	}
	l.enter(b.GetView())
	for _, n := range b.GetNext() { // what is before is over
		v := voice{b.GetView(), n.GetSender(), n.GetOrder(), n.GetUniform()}
		l.next[v] = max(l.next[v], n.GetSeq())
	}
	if l.begun = true; l.Note != nil {
		l.Note(text)
	}
}

// missed says what was missed before a stream that is not the first.
func (l *Listener) missed(b *cirandav1.Listening) string {
	switch {
	case b.GetView() < l.view:
		return "nothing was missed in between"
	case b.GetView() > l.view:
		return "what was delivered in between was missed"
	}
	missed := uint64(0)
	for _, n := range b.GetNext() {
		v := voice{b.GetView(), n.GetSender(), n.GetOrder(), n.GetUniform()}
		if has := max(1, l.next[v]); n.GetSeq() > has {
			missed += n.GetSeq() - has
		}
	}
	if missed == 0 {
		return "nothing was missed in between"
	}
	return fmt.Sprintf("%d messages in between were missed", missed)
}

// fresh says whether there is something in a happening that was not told before. Of a delivery it leaves that.
func (l *Listener) fresh(h *cirandav1.Happening) bool {
	if v := h.GetView(); v != nil {
		was := l.view
		l.enter(v.GetView().GetId())
		return v.GetView().GetId() > was
	}
	d := h.GetDelivery()
	if d == nil {
		return true
	}
	l.enter(d.GetView())
	v := voice{d.GetView(), d.GetSender(), d.GetOrder(), d.GetUniform()}
	known, behind := l.next[v], d.GetFirst()+uint64(len(d.GetPayloads()))
	if behind <= known {
		return false
	}
	if skip := int64(known) - int64(d.GetFirst()); known > 0 && skip > 0 {
		d.First, d.Payloads = known, d.GetPayloads()[skip:]
	}
	l.next[v] = behind
	return true
}

// enter forgets what was told of views before the last two.
func (l *Listener) enter(view uint64) {
	if view <= l.view {
		return
	}
	l.view = view
	for v := range l.next {
		if v.view+1 < view {
			delete(l.next, v)
		}
	}
}
