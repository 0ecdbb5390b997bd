package diagram_test

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
	"ciranda.dev/protocol/election"
	"ciranda.dev/trace"
	"ciranda.dev/trace/diagram"
)

func draw(t testing.TB, tr *trace.Trace, o diagram.Options) string {
	t.Helper()
	var b bytes.Buffer
	if err := diagram.Write(&b, tr, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func load(t testing.TB, name string) *trace.Trace {
	t.Helper()
	tr, err := trace.ReadFile(filepath.Join("testdata", name), trace.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// The pictures of two recorded runs. UPDATE=1 writes them; look at them before you commit them.
func TestPictures(t *testing.T) {
	crash, partition, group := load(t, "crash.jsonl.zst"), load(t, "partition.jsonl.zst"), load(t, "group.jsonl.zst")
	shots := load(t, "snapshot.jsonl.zst")
	for _, c := range []struct {
		name    string
		trace   *trace.Trace
		options diagram.Options
	}{
		{"crash", crash, diagram.Options{From: 600 * time.Millisecond, To: 900 * time.Millisecond}},
		{"crash-plain", crash, diagram.Options{Nodes: []protocol.ID{5, 4}, NoStamps: true, Theme: "light", Background: true}},
		{"partition", partition, diagram.Options{Theme: "dark"}},
		{"group", group, diagram.Options{From: 450 * time.Millisecond, To: 650 * time.Millisecond, Theme: "light"}},
		{"snapshot", shots, diagram.Options{From: 480 * time.Millisecond, To: 560 * time.Millisecond, Theme: "light"}},
		{"snapshot-crash", shots, diagram.Options{From: 699 * time.Millisecond, To: 2 * time.Second, Theme: "dark"}},
		{"step-down", partition, diagram.Options{
			Title: "One leader at a time", Caption: "Node 5 misses its majority and steps down before node 3 leads.",
			From: 500 * time.Millisecond, To: 1500 * time.Millisecond, Highlight: leaders(partition, 2, 3),
		}},
	} {
		got := draw(t, c.trace, c.options)
		golden := filepath.Join("testdata", c.name+".svg")
		if os.Getenv("UPDATE") != "" {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s is drawn differently (UPDATE=1 writes it)", golden)
		}
	}
}

// leaders are the events in which a node of a number from from to to begins or ends to lead.
func leaders(tr *trace.Trace, from, to int) (events []int) {
	n := 0
	for i := range tr.Events {
		e := &tr.Events[i]
		d, ok := trace.DataOf[election.Elected](e)
		if ok && d.Leader == e.Node || e.Name() == "el.stepdown" {
			if n++; n >= from && n <= to {
				events = append(events, i)
			}
		}
	}
	return events
}

// An element is one of an SVG, with its attributes and text.
type element struct {
	name, text string
	attr       map[string]string
}

func parse(t testing.TB, svg string) []element {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(svg))
	var all []element
	for {
		token, err := d.Token()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatalf("not XML: %v", err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			e := element{name: token.Name.Local, attr: map[string]string{}}
			for _, a := range token.Attr {
				e.attr[a.Name.Local] = a.Value
			}
			all = append(all, e)
		case xml.CharData:
			if len(all) > 0 {
				all[len(all)-1].text += strings.TrimSpace(string(token))
			}
		}
	}
}

func (e element) number(t testing.TB, key string) int {
	t.Helper()
	n, err := strconv.Atoi(e.attr[key])
	if err != nil {
		t.Fatalf("%s of %v: %v", key, e, err)
	}
	return n
}

func (e element) is(class string) bool {
	return slices.Contains(strings.Fields(e.attr["class"]), class)
}

// count counts the elements of a class.
func count(all []element, class string) (n int) {
	for _, e := range all {
		if e.is(class) {
			n++
		}
	}
	return n
}

func texts(all []element) []string {
	var s []string
	for _, e := range all {
		if e.name == "text" {
			s = append(s, e.text)
		}
	}
	return s
}

// A cluster is a trace made by hand.
type cluster struct {
	trace trace.Trace
	n     map[protocol.ID]uint64
	seq   uint64
}

func newCluster(nodes int) *cluster {
	c := &cluster{n: map[protocol.ID]uint64{}}
	c.trace.Header = trace.Header{Layers: []string{"beat", "talk"}, Timers: [][]string{{"pulse"}, {"patience"}}}
	for id := protocol.ID(1); int(id) <= nodes; id++ {
		c.trace.Header.Members = append(c.trace.Header.Members, id)
		c.add(id, 0, trace.Event{Kind: trace.Start, Data: trace.Life{}})
	}
	return c
}

// add records an event of a node at a time in ms, and gives its number in the node's life.
func (c *cluster) add(id protocol.ID, ms int64, e trace.Event) uint64 {
	c.n[id]++
	e.Node, e.Inc, e.N, e.T, e.Lamport = id, 1, c.n[id], ms*1_000_000, c.n[id]
	c.trace.Events = append(c.trace.Events, e)
	return e.N
}

func (c *cluster) other(ms int64, e trace.Event) {
	e.T = ms * 1_000_000
	c.trace.Events = append(c.trace.Events, e)
}

type hello struct{ N int }

func (c *cluster) send(from, to protocol.ID, ms int64, cause uint64) uint64 {
	c.seq++
	c.add(from, ms, trace.Event{Kind: trace.Send, Peer: to, Seq: c.seq, Layer: 1, Cause: cause, Data: hello{1}})
	return c.seq
}

func (c *cluster) receive(to, from protocol.ID, ms int64, seq uint64, copy uint8) uint64 {
	return c.add(to, ms, trace.Event{Kind: trace.Receive, Peer: from, PeerInc: 1, Seq: seq, Copy: copy, Layer: 1, Data: hello{1}})
}

// beat sends a message from a timer that arms itself again.
func (c *cluster) beat(from, to protocol.ID, ms int64) uint64 {
	cause := c.add(from, ms, trace.Event{Kind: trace.TimerFire})
	c.add(from, ms, trace.Event{Kind: trace.TimerSet, Cause: cause, After: 1e8})
	return c.send(from, to, ms, cause)
}

func (c *cluster) told(id protocol.ID, ms int64, cause uint64, d protocol.Event) {
	c.add(id, ms, trace.Event{Kind: trace.Told, Cause: cause, Data: d})
}

// Beats are left out unless somebody learns from them, or there is nothing else.
func TestBeatsAreFolded(t *testing.T) {
	c := newCluster(2)
	for ms := int64(0); ms < 1000; ms += 100 {
		c.receive(2, 1, ms+5, c.beat(1, 2, ms), 0)
	}
	if n := count(parse(t, draw(t, &c.trace, diagram.Options{})), "tip"); n != 10+1 { // one in the legend
		t.Errorf("nothing but beats: got %d arrows, want all 10", n-1)
	}
	c.told(2, 1100, 0, detector.Suspect{Node: 1, Why: detector.Timeout})
	cause := c.receive(2, 1, 1205, c.beat(1, 2, 1200), 0)
	c.told(2, 1205, cause, detector.Restore{Node: 1})
	all := parse(t, draw(t, &c.trace, diagram.Options{}))
	if n := count(all, "tip"); n != 1+1 {
		t.Errorf("got %d arrows, want the one that restores trust", n-1)
	}
	if !slices.Contains(texts(all), "Left out: 10 messages that told nobody anything new (hello 10).") {
		t.Errorf("the legend does not say how much is left out: %q", texts(all))
	}
	if n := count(parse(t, draw(t, &c.trace, diagram.Options{Background: true})), "faint"); n != 10 {
		t.Errorf("in the background: got %d faint arrows, want 10", n)
	}
}

// What happens to a message is seen: it arrives, arrives twice, is lost, is on its way at the end.
func TestFatesOfMessages(t *testing.T) {
	c := newCluster(3)
	whole, twice := c.send(1, 2, 10, 0), c.send(1, 3, 20, 0)
	lost := c.send(2, 3, 30, 0)
	c.receive(2, 1, 40, whole, 0)
	c.receive(3, 1, 41, twice, 0)
	c.receive(3, 1, 60, twice, 1)
	c.other(62, trace.Event{Kind: trace.Drop, Node: 2, Inc: 1, Peer: 3, Seq: lost, Data: trace.Loss{Reason: "loss"}})
	forgotten := c.send(3, 1, 70, 0)
	c.send(3, 2, 1000, 0)
	all := parse(t, draw(t, &c.trace, diagram.Options{}))
	if got := count(all, "copy"); got != 2+1 {
		t.Errorf("got %d dashed arrows, want a duplicate and one on its way, and one in the legend", got)
	}
	if got := count(all, "lost"); got != 2+1 {
		t.Errorf("got %d crosses, want one dropped and one never seen again (%d), and one in the legend", got, forgotten)
	}
}

// Receipts lie to the right of their sendings, and a lane's dots in the order of its events.
func TestOrderIsKept(t *testing.T) {
	for _, name := range []string{"crash.jsonl.zst", "partition.jsonl.zst"} {
		all := parse(t, draw(t, load(t, name), diagram.Options{}))
		last := map[int]int{}
		arrows := 0
		for _, e := range all {
			switch {
			case e.name == "line" && e.is("arrow") && e.number(t, "y1") != e.number(t, "y2"):
				arrows++
				if e.number(t, "x1") > e.number(t, "x2") {
					t.Errorf("%s: an arrow goes back in time: %v", name, e.attr)
				}
			case e.name == "circle" && e.is("dot") && e.number(t, "r") == 4:
				x, y := e.number(t, "cx"), e.number(t, "cy")
				if x <= last[y] {
					t.Errorf("%s: dots at %d and %d of the lane at %d", name, last[y], x, y)
				}
				last[y] = x
			}
		}
		if arrows < 20 || len(last) != 5 {
			t.Errorf("%s: got %d arrows and %d lanes", name, arrows, len(last))
		}
	}
}

// No text covers another, as far as widths can be told without a font.
func TestTextsDoNotCollide(t *testing.T) {
	type area struct {
		x, y, w, h int
		text       string
	}
	for _, name := range []string{"crash.jsonl.zst", "partition.jsonl.zst"} {
		var taken []area
		for _, e := range parse(t, draw(t, load(t, name), diagram.Options{})) {
			if e.name != "text" || e.is("x") || e.is("stamp") || e.is("name") {
				continue
			}
			a := area{e.number(t, "x"), e.number(t, "y") - 8, len([]rune(e.text)) * 5, 9, e.text}
			for _, b := range taken {
				if a.x < b.x+b.w && b.x < a.x+a.w && a.y < b.y+b.h && b.y < a.y+a.h {
					t.Errorf("%s: %q at %d,%d and %q at %d,%d", name, a.text, a.x, a.y, b.text, b.x, b.y)
				}
			}
			taken = append(taken, a)
		}
	}
}

func TestPartitionsAndOtherFaults(t *testing.T) {
	for _, c := range []struct {
		faults []trace.Event
		want   string
	}{
		{cuts([2]protocol.ID{1, 3}, [2]protocol.ID{3, 1}, [2]protocol.ID{2, 3}, [2]protocol.ID{3, 2}), "partition: 1 2 | 3"},
		{cuts([2]protocol.ID{1, 3}), "cut: 1 → 3"},
		{cuts([2]protocol.ID{1, 3}, [2]protocol.ID{1, 2}, [2]protocol.ID{2, 3}, [2]protocol.ID{3, 2}), "cut: 1 → 2, 1 → 3, 2 → 3 and 1 more"},
		{says("partition 1,2/3"), "partition: 1 2 | 3"},
		{says("partition: [[1], [2, 3]]"), "partition: 1 | 2 3"},
		{says("isolate 2"), "partition: 1 3 | 2"},
		{says("isolate 2,3"), "partition: 1 | 2 | 3"},
		{says("clock of 3 jumps 5s"), "clock of 3 jumps 5s"},
		{says("partition of the country"), "partition of the country"},
	} {
		k := newCluster(3)
		for _, f := range c.faults {
			k.other(100, f)
		}
		k.send(1, 2, 200, 0)
		k.other(300, says("heal all")[0])
		k.other(300, trace.Event{Kind: trace.Calm})
		all := texts(parse(t, draw(t, &k.trace, diagram.Options{})))
		if !slices.Contains(all, c.want) || !slices.Contains(all, "no fault from here on") {
			t.Errorf("got %q, want %q", all, c.want)
		}
	}
}

func cuts(pairs ...[2]protocol.ID) (events []trace.Event) {
	for _, p := range pairs {
		e := says(fmt.Sprintf("cut %d -> %d", p[0], p[1]))[0]
		e.Node, e.Peer = p[0], p[1]
		events = append(events, e)
	}
	return events
}

func says(text string) []trace.Event {
	return []trace.Event{{Kind: trace.Fault, Data: trace.FaultNote{Text: text}}}
}

// A long run is narrowed to what matters; the legend says so.
func TestNarrowing(t *testing.T) {
	c := newCluster(3)
	for ms := int64(1); ms < 3000; ms++ {
		c.receive(2, 1, ms, c.send(1, 2, ms, 0), 0)
	}
	c.told(2, 1500, 0, detector.Suspect{Node: 3})
	for ms := int64(3000); ms < 3100; ms++ {
		c.receive(2, 1, ms, c.send(1, 2, ms, 0), 0)
	}
	all := parse(t, draw(t, &c.trace, diagram.Options{MaxSteps: 50}))
	if n := count(all, "dot") - 1; n < 40 || n > 50 {
		t.Errorf("got %d dots, want up to 50", n)
	}
	if !slices.Contains(texts(all), "suspects 3") {
		t.Error("what matters most is left out")
	}
	if n := len(draw(t, &c.trace, diagram.Options{})); n > 200_000 {
		t.Errorf("6,000 steps give a picture of %d bytes", n)
	}
	if n := count(parse(t, draw(t, &c.trace, diagram.Options{From: time.Second, To: time.Second + 10*time.Millisecond})), "dot"); n != 22+1 {
		t.Errorf("a window of 11 ms has %d dots, want 22", n-1)
	}
}

func TestManyNodes(t *testing.T) {
	c := newCluster(100)
	c.told(77, 10, 0, detector.Suspect{Node: 88})
	c.add(88, 20, trace.Event{Kind: trace.Crash})
	all := texts(parse(t, draw(t, &c.trace, diagram.Options{})))
	for _, want := range []string{"node 77", "node 88", "Left out: 88 nodes in which less happens."} {
		if !slices.Contains(all, want) {
			t.Errorf("got %q, want %q", all, want)
		}
	}
}

// A trace of level protocol has no messages, and a picture all the same.
func TestWithoutMessages(t *testing.T) {
	tr := load(t, "crash.jsonl.zst")
	tr.Events = slices.DeleteFunc(tr.Events, func(e trace.Event) bool { return !trace.Protocol.Records(e.Kind) })
	all := texts(parse(t, draw(t, tr, diagram.Options{})))
	if !slices.Contains(all, "leads, term 2.4") || !slices.Contains(all, "crashes") {
		t.Errorf("got %q", all)
	}
}

func TestHighlight(t *testing.T) {
	tr := load(t, "crash.jsonl.zst")
	won := leaders(tr, 2, 2)
	all := parse(t, draw(t, tr, diagram.Options{Highlight: won}))
	if slices.Contains(texts(all), "stands still") {
		t.Error("the legend explains what is not in the picture")
	}
	if count(all, "pin") != 1 || count(all, "dim") < 20 || count(all, "number") != 1 {
		t.Errorf("got %d pins, %d dimmed, %d numbers", count(all, "pin"), count(all, "dim"), count(all, "number"))
	}
}

// Names come from a file that anybody may have written.
func TestNamesAreEscaped(t *testing.T) {
	c := newCluster(2)
	evil := `</text><script>alert("1")</script>&` + "\x00\x1b\n"
	c.trace.Header.Scenario = evil
	c.trace.Header.Timers = [][]string{{evil}, {evil}}
	seq := c.send(1, 2, 1, 0)
	c.trace.Events[len(c.trace.Events)-1].Data = trace.Raw{Name: "x." + evil}
	c.receive(2, 1, 2, seq, 0)
	c.told(2, 3, 0, trace.Raw{Name: evil})
	c.other(4, says(evil)[0])
	svg := draw(t, &c.trace, diagram.Options{Caption: evil})
	for _, e := range parse(t, svg) {
		if e.name == "script" {
			t.Fatal("a name became an element")
		}
	}
}

func TestRefuses(t *testing.T) {
	tr := &newCluster(2).trace
	for _, c := range []struct {
		trace   *trace.Trace
		options diagram.Options
		want    string
	}{
		{&trace.Trace{}, diagram.Options{}, "no event of a node"},
		{tr, diagram.Options{From: time.Hour}, "no event of a node"},
		{tr, diagram.Options{From: 2, To: 1}, "expected the earlier time first"},
		{tr, diagram.Options{Width: 5}, "expected 200 to"},
		{tr, diagram.Options{MaxSteps: -1}, "expected 1 to"},
		{tr, diagram.Options{Theme: "pink"}, "expected light, dark"},
		{tr, diagram.Options{Highlight: []int{2}}, "expected 0 to 1"},
		{tr, diagram.Options{Nodes: []protocol.ID{3}}, "node 3 has no events"},
		{tr, diagram.Options{Nodes: []protocol.ID{1, 1}}, "expected each node once"},
	} {
		err := diagram.Write(io.Discard, c.trace, c.options)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %q", c.options, err, c.want)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	tr := load(b, "partition.jsonl.zst")
	for b.Loop() {
		if err := diagram.Write(io.Discard, tr, diagram.Options{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(tr.Events)), "events")
}
