package api

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	cirandav1 "ciranda.dev/api/ciranda/v1"
)

// stream opens a stream of server-sent events and gives its reader.
func (s served) stream(t *testing.T, query, last string) (*http.Response, *bufio.Reader) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+s.http+"/events"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", bearer+string(s.token))
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	return answer, bufio.NewReader(answer.Body)
}

// nextSSE reads one event: its fields by name.
func nextSSE(t *testing.T, from *bufio.Reader) map[string]string {
	t.Helper()
	fields := map[string]string{}
	for {
		line, err := from.ReadString('\n')
		if err != nil {
			t.Fatalf("after %v: %v", fields, err)
		}
		if line == "\n" && len(fields) > 0 {
			return fields
		}
		if name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": "); ok && name != "" {
			fields[name] = value
		}
	}
}

func (s served) happen(kinds ...string) {
	for _, kind := range kinds {
		s.feed.Append(false, func(position uint64) *cirandav1.Event {
			return &cirandav1.Event{Position: position, Node: 3, Kind: kind, Text: "said\nso", Json: `{"kind":"x"}`}
		})
	}
}

func TestServerSentEvents(t *testing.T) {
	s := serve(t)
	s.happen("one", "two", "three\ndata: {}")
	answer, from := s.stream(t, "?cursor=start", "")
	if got := answer.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("got the type %q", got)
	}
	first, second := nextSSE(t, from), nextSSE(t, from)
	if first["event"] != "one" || second["event"] != "two" {
		t.Fatalf("got %v, then %v", first, second)
	}
	if odd := nextSSE(t, from); odd["event"] != "three_data:_{}" {
		t.Errorf("a kind with a line break came as %v", odd)
	}
	var data struct {
		Node  int
		Text  string
		Event map[string]string
	}
	if err := json.Unmarshal([]byte(first["data"]), &data); err != nil || data.Node != 3 || data.Text != "said\nso" || data.Event["kind"] != "x" {
		t.Errorf("got %s: %v", first["data"], err)
	}
	s.happen("four")
	if got := nextSSE(t, from); got["event"] != "four" {
		t.Errorf("a stream that waits got %v", got)
	}
	_, again := s.stream(t, "", first["id"])
	if got := nextSSE(t, again); got["event"] != "two" || got["id"] != second["id"] {
		t.Errorf("behind the first came %v, want the second, %v", got, second)
	}
}

func TestServerSentEventsThatAreLost(t *testing.T) {
	s := serve(t) // it keeps four
	s.happen("1", "2")
	_, from := s.stream(t, "?cursor=start&at_hand=true", "")
	id := nextSSE(t, from)["id"]
	s.happen("3", "4", "5", "6", "7")
	_, from = s.stream(t, "?at_hand=true", id)
	if got := nextSSE(t, from); got["event"] != "lost" || got["data"] != `{"lost":2}` {
		t.Errorf("got %v", got)
	}
	if got := nextSSE(t, from); got["event"] != "4" {
		t.Errorf("got %v", got)
	}
}

func TestServerSentEventsRefuse(t *testing.T) {
	s := serve(t)
	for query, field := range map[string]string{"?cursor=nonsense": "cursor", "?at_hand=perhaps": "at_hand", "?kind=x": "kind"} {
		answer, from := s.stream(t, query, "")
		var said struct{ Code, Message string }
		if err := json.NewDecoder(from).Decode(&said); err != nil || answer.StatusCode != 400 || said.Code != "invalid_argument" || !strings.Contains(said.Message, field) {
			t.Errorf("%s: got %d, %+v, %v", query, answer.StatusCode, said, err)
		}
	}
	r, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+s.http+"/events", nil)
	answer, err := http.DefaultClient.Do(r)
	if err != nil || answer.StatusCode != 401 {
		t.Fatalf("without a token: %v, %v", answer, err)
	}
	answer.Body.Close()
}

// The id of each event leads behind it, also where others were left out.
func TestServerSentEventsWithoutSome(t *testing.T) {
	s := serve(t)
	s.happen("one", "noise", "two", "noise")
	_, from := s.stream(t, "?cursor=start&without=noise", "")
	first := nextSSE(t, from)
	_, again := s.stream(t, "", first["id"])
	if got := nextSSE(t, again); first["event"] != "one" || got["event"] != "noise" {
		t.Errorf("behind %v came %v", first, got)
	}
}
