package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	cirandav1 "ciranda.dev/api/ciranda/v1"
)

// How long a stream of server-sent events is silent before a comment shows that it lives, and how long its reader may
// take to read what was written.
const (
	heartbeat  = 15 * time.Second
	slowReader = 10 * time.Second
)

// sseEvent is the data of a server-sent event.
type sseEvent struct {
	Position    uint64          `json:"position"`
	Node        uint32          `json:"node"`
	Incarnation uint32          `json:"incarnation"`
	Kind        string          `json:"kind"`
	Time        int64           `json:"time"`
	Text        string          `json:"text"`
	Lost        uint64          `json:"lost,omitempty"`
	Event       json.RawMessage `json:"event,omitempty"`
}

// serveEvents answers with what happens, as server-sent events (HTML Living Standard, section 9.2). Their ids are
// cursors: a reader that comes again with the header Last-Event-ID, or ?cursor=, misses nothing that is still kept.
func serveEvents(c Cluster) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s := &sseStream{w: w, control: http.NewResponseController(w)}
		request, err := sseRequest(r)
		if err == nil {
			ctx, cancel := context.WithCancel(r.Context())
			var beating sync.WaitGroup
			beating.Go(func() { s.beat(ctx) })
			err = c.Watch(ctx, request, s.send)
			cancel()
			beating.Wait()
		}
		if err != nil && !s.begun {
			writeError.Write(w, r, toConnect(err))
		}
	}
}

// sseRequest reads where a stream begins: at an id, at the oldest event (?cursor=start), or now.
func sseRequest(r *http.Request) (*cirandav1.WatchRequest, error) {
	query := r.URL.Query()
	for name := range query {
		if name != "cursor" && name != "at_hand" && name != "without" {
			return nil, Wrong(name, "found the parameter %.40q; expected cursor, at_hand or without", name)
		}
	}
	request := &cirandav1.WatchRequest{Cursor: query.Get("cursor"), Without: query["without"]}
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		request.Cursor = last
	}
	switch at := query.Get("at_hand"); at {
	case "", "false":
	case "true":
		request.AtHand = true
	default:
		return nil, Wrong("at_hand", "at_hand: found %.40q; expected true or false", at)
	}
	return request, nil
}

// An sseStream is one reader's stream.
type sseStream struct {
	mu      sync.Mutex
	w       http.ResponseWriter
	control *http.ResponseController
	begun   bool
}

// send writes a batch. The id of each event is the cursor behind it.
func (s *sseStream) send(batch *cirandav1.WatchResponse) error {
	var text strings.Builder
	if batch.GetLost() > 0 {
		fmt.Fprintf(&text, "event: lost\ndata: {\"lost\":%d}\n\n", batch.GetLost())
	}
	for _, e := range batch.GetEvents() {
		if err := writeSSE(&text, e, behind(batch.GetCursor(), e.GetPosition())); err != nil {
			return err
		}
	}
	return s.write(text.String())
}

func writeSSE(to io.Writer, e *cirandav1.Event, id string) error {
	data := sseEvent{e.GetPosition(), e.GetNode(), e.GetIncarnation(), e.GetKind(), e.GetTime(), e.GetText(), e.GetLost(), nil}
	if json.Valid([]byte(e.GetJson())) {
		data.Event = json.RawMessage(e.GetJson())
	}
	b, err := json.Marshal(data) // it has no line breaks
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(to, "id: %s\nevent: %s\ndata: %s\n\n", id, oneWord(e.GetKind()), b)
	return err
}

// oneWord is a kind that cannot end its line.
func oneWord(kind string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f {
			return '_'
		}
		return r
	}, kind)
}

// write writes what is whole by itself. A reader that does not take it in time is cut off.
func (s *sseStream) write(text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.begun {
		s.begun = true
		h := s.w.Header()
		h.Set("Content-Type", "text/event-stream")
		h.Set("Cache-Control", "no-store")
	}
	s.control.SetWriteDeadline(time.Now().Add(slowReader))
	if _, err := io.WriteString(s.w, text); err != nil {
		return err
	}
	return s.control.Flush()
}

// beat shows now and then that the stream lives, and finds out whether its reader does.
func (s *sseStream) beat(ctx context.Context) {
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if s.write(": it lives\n\n") != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

var errNoEvents = &Error{Code: codes.Unimplemented, Text: "this process has no events"}

// events is the handler of a server's streams.
func (s Services) events() http.HandlerFunc {
	if s.Cluster == nil {
		return func(w http.ResponseWriter, r *http.Request) { writeError.Write(w, r, toConnect(errNoEvents)) }
	}
	return serveEvents(s.Cluster)
}
