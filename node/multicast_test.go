package node

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
)

// Messages are answered with where they stand, and what makes no sense with what is wrong.
func TestMulticast(t *testing.T) {
	h := hermit(t, &alone{})
	cast := func(r *cirandav1.MulticastRequest) (string, error) {
		a, err := h.Group.Multicast(soon(t), r)
		return fmt.Sprintf("%d:%d+%d of %d", a.GetView(), a.GetFirst(), a.GetCount(), a.GetNode()), err
	}
	for _, c := range []struct {
		r    *cirandav1.MulticastRequest
		want string
	}{
		{&cirandav1.MulticastRequest{Order: "fifo", Text: "a"}, "3:1+1 of 1"},
		{&cirandav1.MulticastRequest{Order: "fifo", Payloads: [][]byte{nil, {1, 2}}, Node: 1}, "3:2+2 of 1"},
		{&cirandav1.MulticastRequest{Order: "fifo", Uniform: true, Text: "b"}, "3:1+1 of 1"},
		{&cirandav1.MulticastRequest{Order: "total", Text: "c"}, "3:1+1 of 1"},
	} {
		if got, err := cast(c.r); err != nil || got != c.want {
			t.Errorf("%v: got %s, %v; want %s", c.r, got, err, c.want)
		}
	}
	for text, r := range map[string]*cirandav1.MulticastRequest{
		"order|found the order \"\"; expected reliable, fifo":                  {Text: "x"},
		"order|found the order \"best\"; expected reliable, fifo":              {Order: "best", Text: "x"},
		"payloads|found no message":                                            {Order: "fifo"},
		"text|found payloads and a text":                                       {Order: "fifo", Text: "x", Payloads: [][]byte{{1}}},
		"payloads[1]|found a message of 102401 bytes; expected at most 102400": {Order: "fifo", Payloads: [][]byte{{1}, make([]byte, 100<<10+1)}},
	} {
		field, text, _ := strings.Cut(text, "|")
		_, err := cast(r)
		expect(t, err, codes.InvalidArgument, field, text)
	}
	_, err := cast(&cirandav1.MulticastRequest{Order: "fifo", Text: "x", Node: 2})
	expect(t, err, codes.NotFound, "node", "this is node 1; the request is for node 2")
	_, err = cast(&cirandav1.MulticastRequest{Order: "reliable", Text: "x"})
	expect(t, err, codes.FailedPrecondition, "", "the group does not run the order reliable; nothing was sent")
	if _, err := h.Group.Leave(soon(t), &cirandav1.LeaveRequest{}); err != nil {
		t.Fatal(err)
	}
	_, err = cast(&cirandav1.MulticastRequest{Order: "fifo", Text: "x"})
	expect(t, err, codes.FailedPrecondition, "", "node 1 is no member of the group; nothing was sent")
}

// Of messages that were sent and not delivered in time it is not known what becomes of them.
func TestMulticastWithoutAnswer(t *testing.T) {
	h := hermit(t, &alone{})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := h.membership.Multicast(ctx, &cirandav1.MulticastRequest{Order: "lamport", Text: "x"})
	expect(t, err, codes.Unknown, "", "not delivered here so far; it may be delivered yet")
}

// stream sends batches of a stream, and gives its answer.
func (h *hermitage) stream(t *testing.T, ctx context.Context, requests ...*cirandav1.MulticastStreamRequest) (*cirandav1.MulticastStreamResponse, error) {
	t.Helper()
	s, err := h.Group.MulticastStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range requests {
		if err := s.Send(r); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
	}
	return s.CloseAndRecv()
}

// A stream is answered when all of it was delivered, in order; or with how much was, and why not all.
func TestMulticastStreams(t *testing.T) {
	h := hermit(t, &alone{})
	listener, err := h.Group.Listen(soon(t), &cirandav1.ListenRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := listener.Recv(); err != nil {
		t.Fatal(err)
	}
	var requests []*cirandav1.MulticastStreamRequest
	for n := range 100 { // 3 MB, which is more than may be on its way
		r := &cirandav1.MulticastStreamRequest{Payloads: [][]byte{fmt.Appendf(nil, "%d", 2*n), fmt.Appendf(make([]byte, 30<<10), "%d", 2*n+1)}}
		if n == 0 {
			r.Order = "causal"
		}
		requests = append(requests, r)
	}
	a, err := h.stream(t, soon(t), requests...)
	if err != nil || a.GetCount() != 200 || a.GetView() != 3 || a.GetNode() != 1 {
		t.Errorf("got %v, %v", a, err)
	}
	for next := uint64(1); next <= 200; {
		r, err := listener.Recv()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range r.GetHappenings() {
			for m := range api.Messages(e.GetDelivery()) {
				if m.Seq != next || m.Order != "causal" || strings.TrimLeft(*m.Payload, "\x00") != fmt.Sprint(next-1) {
					t.Fatalf("message %d is %+v", next, m.Seq)
				}
				next++
			}
		}
	}
	good := &cirandav1.MulticastStreamRequest{Order: "fifo", Payloads: [][]byte{[]byte("x"), []byte("y")}}
	_, err = h.stream(t, soon(t), good, good, &cirandav1.MulticastStreamRequest{Order: "fifo"})
	expect(t, err, codes.InvalidArgument, "payloads", "message 5 of the stream: found no message")
	_, err = h.stream(t, soon(t), &cirandav1.MulticastStreamRequest{Payloads: good.Payloads})
	expect(t, err, codes.InvalidArgument, "order", "message 1 of the stream: found the order")
	_, err = h.stream(t, soon(t), good, &cirandav1.MulticastStreamRequest{Order: "reliable", Payloads: good.Payloads})
	expect(t, err, codes.FailedPrecondition, "", "message 3 of the stream: the group does not run")
	_, err = h.stream(t, soon(t), good, &cirandav1.MulticastStreamRequest{Order: "reliable", Payloads: good.Payloads}, good)
	if code := api.AsError(err).Code; code != codes.FailedPrecondition && code != codes.Unknown { // it depends on whether the third was read
		t.Errorf("with more behind it: got %v", err)
	}
	_, err = h.stream(t, soon(t), &cirandav1.MulticastStreamRequest{Node: 2, Order: "fifo", Payloads: good.Payloads})
	expect(t, err, codes.NotFound, "node", "message 1 of the stream: this is node 1")
	if a, err := h.stream(t, soon(t)); err != nil || a.GetCount() != 0 {
		t.Errorf("an empty stream: got %v, %v", a, err)
	}
}

// A listener is told all that happens, from where it began.
func TestListen(t *testing.T) {
	h := hermit(t, &alone{})
	cast := func(order, text string) {
		if _, err := h.Group.Multicast(soon(t), &cirandav1.MulticastRequest{Order: order, Text: text}); err != nil {
			t.Fatal(err)
		}
	}
	cast("fifo", "before")
	ctx, cancel := context.WithCancel(soon(t))
	defer cancel()
	l, err := h.Group.Listen(ctx, &cirandav1.ListenRequest{Lanes: []*cirandav1.Lane{{Order: "fifo"}, {Uniform: true}}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.Recv()
	begins := r.GetHappenings()[0].GetListening()
	if err != nil || begins.GetNode() != 1 || begins.GetView() != 3 || plain(begins.GetNext()) != `[sender:1 order:"fifo" seq:2]` {
		t.Errorf("got %v, %v", r, err)
	}
	cast("fifo", "a")
	cast("total", "unheard")
	cast("fifo", "b")
	if _, err := h.Group.Leave(soon(t), &cirandav1.LeaveRequest{}); err != nil {
		t.Fatal(err)
	}
	var told []string
	for len(told) < 3 {
		r, err := l.Recv()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range r.GetHappenings() {
			for m := range api.Messages(e.GetDelivery()) {
				told = append(told, fmt.Sprintf("%d %s", m.Seq, *m.Payload))
			}
			if x := e.GetExclusion(); x != nil {
				told = append(told, x.GetWhy())
			}
		}
	}
	if got := strings.Join(told, ", "); got != "2 a, 3 b, left" {
		t.Errorf("told %s", got)
	}
	for want, r := range map[string]*cirandav1.ListenRequest{
		"InvalidArgument lanes[1].order found the order \"x\"": {Lanes: []*cirandav1.Lane{{Order: "fifo"}, {Order: "x"}}},
		"NotFound node this is node 1":                         {Node: 9},
	} {
		l, err := h.Group.Listen(soon(t), r)
		if err == nil {
			_, err = l.Recv()
		}
		if e := api.AsError(err); e == nil || !strings.HasPrefix(e.Code.String()+" "+e.Field+" "+e.Text, want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// There is a limit to how many listen, and who is too slow is cut off in words.
func TestListenersHaveLimits(t *testing.T) {
	h := hermit(t, &alone{})
	for range mostListeners {
		h.ears <- struct{}{}
	}
	err := h.membership.Listen(soon(t), &cirandav1.ListenRequest{}, nil)
	expect(t, err, codes.ResourceExhausted, "", "node 1 has 64 listeners already")
	<-h.ears
	began, stuck := make(chan struct{}), make(chan struct{})
	ended := make(chan error)
	go func() {
		told := 0
		ended <- h.membership.Listen(soon(t), &cirandav1.ListenRequest{}, func(*cirandav1.ListenResponse) error {
			if told++; told == 1 {
				close(began)
			}
			<-stuck
			return nil
		})
	}()
	<-began
	for range earshot/(90<<10) + 5 {
		if _, err := h.Group.Multicast(soon(t), &cirandav1.MulticastRequest{Order: "fifo", Payloads: [][]byte{make([]byte, 90<<10)}}); err != nil {
			t.Fatal(err)
		}
	}
	close(stuck)
	expect(t, <-ended, codes.ResourceExhausted, "", "the listener takes too little: 32 MiB waited for it")
}

// Deliveries come as server-sent events too, and mistakes in what is asked for as errors.
func TestDeliveriesAsServerSentEvents(t *testing.T) {
	h := hermit(t, &alone{})
	get := func(query string) *http.Response {
		r, err := http.NewRequestWithContext(soon(t), "GET", "http://"+h.http+"/deliveries"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+string(token))
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { answer.Body.Close() })
		return answer
	}
	answer := get("?order=total&order=fifo&uniform=false")
	lines := bufio.NewScanner(answer.Body)
	next := func(want string) {
		t.Helper()
		for lines.Scan() && lines.Text() == "" {
		}
		if got := lines.Text(); !strings.HasPrefix(got, want) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	next("event: listening")
	next(`data: {"node":1,"view":3,"next":[]}`)
	for _, r := range []*cirandav1.MulticastRequest{{Order: "causal", Text: "unheard"}, {Order: "total", Payloads: [][]byte{[]byte("a\n"), {255}, nil}}} {
		if _, err := h.Group.Multicast(soon(t), r); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{`"payload":"a\n"}`, `"payload_base64":"/w=="}`, `"payload":""}`} {
		next("event: message")
		next(`data: {"order":"total","uniform":false,"sender":1,"seq":`)
		if !strings.HasSuffix(lines.Text(), want) {
			t.Errorf("got %s, want %s", lines.Text(), want)
		}
	}
	if _, err := h.Group.Leave(soon(t), &cirandav1.LeaveRequest{}); err != nil {
		t.Fatal(err)
	}
	next("event: excluded")
	next(`data: {"view":3,"why":"left"}`)
	for query, want := range map[string]string{
		"?ordr=fifo":  `found the parameter \"ordr\"; expected order, uniform or node`,
		"?order=x":    `found the order \"x\"`,
		"?uniform=ja": `found \"ja\"; expected true or false`,
		"?node=seven": `found \"seven\"; expected a number`,
		"?node=2":     `this is node 1; the request is for node 2`,
	} {
		answer := get(query)
		if body, _ := io.ReadAll(answer.Body); answer.StatusCode < 400 || !strings.Contains(string(body), want) {
			t.Errorf("%s: got %d %s, want %s", query, answer.StatusCode, body, want)
		}
	}
}

// What is one question and one answer goes over plain sockets; a message can be text there.
func TestGroupsOverPlainSockets(t *testing.T) {
	h := hermit(t, &alone{})
	c, err := api.DialSocket(h.socket, api.Access{Token: token})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	a, err := c.Group.Multicast(soon(t), &cirandav1.MulticastRequest{Order: "fifo", Text: "olá"})
	if err != nil || a.GetFirst() != 1 {
		t.Errorf("got %v, %v", a, err)
	}
	if v, err := c.Group.View(soon(t), &cirandav1.ViewRequest{}); err != nil || v.GetView().GetId() != 3 {
		t.Errorf("got %v, %v", v, err)
	}
	if _, err := c.Group.Listen(soon(t), &cirandav1.ListenRequest{}); err == nil {
		t.Error("it listens over plain sockets")
	}
}
