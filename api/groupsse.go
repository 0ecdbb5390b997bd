package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"connectrpc.com/connect"
	"google.golang.org/grpc/codes"

	cirandav1 "ciranda.dev/api/ciranda/v1"
)

// received is the next request of a stream of the HTTP port, or io.EOF.
func received[R any](s *connect.ClientStream[R]) (*R, error) {
	if s.Receive() {
		return s.Msg(), nil
	}
	if err := s.Err(); err != nil {
		return nil, err
	}
	return nil, io.EOF
}

// serveDeliveries answers with what a listener is told, as server-sent events: listening, message (one each), view,
// excluded and blocked. They have no ids: a stream that broke cannot be taken up again.
func serveDeliveries(g Group) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s := &sseStream{w: w, control: http.NewResponseController(w)}
		request, err := listenRequest(r)
		if err == nil {
			ctx, cancel := context.WithCancel(r.Context())
			var beating sync.WaitGroup
			beating.Go(func() { s.beat(ctx) })
			err = g.Listen(ctx, request, func(batch *cirandav1.ListenResponse) error { return s.tellAll(batch) })
			cancel()
			beating.Wait()
		}
		switch {
		case err != nil && !s.begun:
			writeError.Write(w, r, toConnect(err))
		case err != nil:
			s.end(err)
		}
	}
}

// end says why a stream ends that has begun.
func (s *sseStream) end(err error) {
	text := err.Error()
	if e := AsError(err); e != nil {
		text = e.Text
	}
	var b strings.Builder
	if writeData(&b, "error", map[string]string{"message": text}) == nil {
		s.write(b.String())
	}
}

// listenRequest reads what is to be listened to: ?order= (any number of them), ?uniform=, ?node=.
func listenRequest(r *http.Request) (*cirandav1.ListenRequest, error) {
	query := r.URL.Query()
	for name := range query {
		if name != "order" && name != "uniform" && name != "node" {
			return nil, Wrong(name, "found the parameter %.40q; expected order, uniform or node", name)
		}
	}
	request := &cirandav1.ListenRequest{}
	if text := query.Get("node"); text != "" {
		id, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return nil, Wrong("node", "node: found %.40q; expected a number", text)
		}
		request.Node = uint32(id)
	}
	lanes, err := lanesNamed(query["order"], query.Get("uniform"))
	request.Lanes = lanes
	return request, err
}

// lanesNamed are the lanes of some orders, or of all: uniform ones, others, or both.
func lanesNamed(orders []string, uniform string) ([]*cirandav1.Lane, error) {
	kinds := []bool{false, true}
	if uniform != "" {
		is, err := strconv.ParseBool(uniform)
		if err != nil {
			return nil, Wrong("uniform", "uniform: found %.40q; expected true or false", uniform)
		}
		kinds = []bool{is}
	}
	if len(orders) == 0 {
		if uniform == "" {
			return nil, nil
		}
		orders = []string{""}
	}
	var lanes []*cirandav1.Lane
	for _, order := range orders {
		for _, is := range kinds {
			lanes = append(lanes, &cirandav1.Lane{Order: order, Uniform: is})
		}
	}
	return lanes, nil
}

// tellAll writes a batch.
func (s *sseStream) tellAll(batch *cirandav1.ListenResponse) error {
	var text strings.Builder
	for _, h := range batch.GetHappenings() {
		if err := writeHappening(&text, h); err != nil {
			return err
		}
	}
	return s.write(text.String())
}

func writeHappening(to *strings.Builder, h *cirandav1.Happening) error {
	switch h := h.GetKind().(type) {
	case *cirandav1.Happening_Listening:
		return writeData(to, "listening", listeningOf(h.Listening))
	case *cirandav1.Happening_Delivery:
		for m := range Messages(h.Delivery) {
			if err := writeData(to, "message", m); err != nil {
				return err
			}
		}
		return nil
	case *cirandav1.Happening_View:
		return writeData(to, "view", ViewOf(h.View))
	case *cirandav1.Happening_Exclusion:
		return writeData(to, "excluded", map[string]any{"view": h.Exclusion.GetView(), "why": h.Exclusion.GetWhy()})
	case *cirandav1.Happening_Blockade:
		return writeData(to, "blocked", map[string]any{"why": h.Blockade.GetWhy()})
	}
	return errors.New("api: a happening without a kind")
}

// writeData writes one event.
func writeData(to *strings.Builder, event string, data any) error {
	b, err := json.Marshal(data) // it has no line breaks
	if err != nil {
		return err
	}
	to.WriteString("event: " + event + "\ndata: ")
	to.Write(b)
	to.WriteString("\n\n")
	return nil
}

// A listeningJSON is how the beginning of a stream is written.
type listeningJSON struct {
	Node uint32     `json:"node"`
	View uint64     `json:"view"`
	Next []nextJSON `json:"next"`
}

type nextJSON struct {
	Sender  uint32 `json:"sender"`
	Order   string `json:"order"`
	Uniform bool   `json:"uniform"`
	Seq     uint64 `json:"seq"`
}

func listeningOf(l *cirandav1.Listening) listeningJSON {
	j := listeningJSON{l.GetNode(), l.GetView(), []nextJSON{}}
	for _, n := range l.GetNext() {
		j.Next = append(j.Next, nextJSON{n.GetSender(), n.GetOrder(), n.GetUniform(), n.GetSeq()})
	}
	return j
}

// A View is how a view is written as JSON, with what was new in it where that is known.
type View struct {
	ID          uint64   `json:"id"`
	Coordinator uint32   `json:"coordinator"`
	Members     []uint32 `json:"members"` // in the order of joining
	Lives       []Life   `json:"lives"`   // of the members
	Joined      []uint32 `json:"joined,omitempty"`
	Gone        []uint32 `json:"gone,omitempty"`
}

// A Life is the life of a node, and which of its memberships in that.
type Life struct {
	Incarnation uint32 `json:"incarnation"`
	Life        uint32 `json:"life"`
}

// ViewOf is a view that was installed, to be written as JSON.
func ViewOf(c *cirandav1.ViewChange) View {
	v := View{ID: c.GetView().GetId(), Coordinator: c.GetView().GetCoordinator(), Members: []uint32{}, Lives: []Life{},
		Joined: c.GetJoined(), Gone: c.GetGone()}
	for _, m := range c.GetView().GetMembers() {
		v.Members = append(v.Members, m.GetNode())
		v.Lives = append(v.Lives, Life{m.GetIncarnation(), m.GetLife()})
	}
	return v
}

var errNoGroup = &Error{Code: codes.Unimplemented, Text: "this process serves no group"}

// deliveries is the handler of a server's streams of deliveries.
func (s Services) deliveries() http.HandlerFunc {
	if s.Group == nil {
		return func(w http.ResponseWriter, r *http.Request) { writeError.Write(w, r, toConnect(errNoGroup)) }
	}
	return serveDeliveries(s.Group)
}
