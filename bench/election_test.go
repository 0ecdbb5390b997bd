package bench

import (
	"testing"

	cirandav1 "ciranda.dev/api/ciranda/v1"
)

// tell hands events to a measurement.
func tell(m *election, events ...*cirandav1.Event) {
	for _, e := range events {
		m.take(e)
	}
}

func event(at int64, node uint32, kind, data string) *cirandav1.Event {
	return &cirandav1.Event{Time: at * 1e6, Node: node, Kind: kind, Json: `{"kind":"` + kind + `","data":` + data + `}`}
}

// A suspicion counts as false only of a node that is up and has been for a while.
func TestFalseSuspicions(t *testing.T) {
	m := &election{nodes: map[uint32]*observed{}}
	of5 := `{"node":5,"inc":1,"why":"timeout"}`
	tell(m, event(0, 1, "start", "{}"), event(0, 5, "start", "{}"))
	for _, c := range []struct {
		name string
		e    []*cirandav1.Event
		want int
	}{
		{"just started", []*cirandav1.Event{event(500, 1, "fd.suspect", of5)}, 0},
		{"up", []*cirandav1.Event{event(5000, 1, "fd.suspect", of5)}, 1},
		{"paused", []*cirandav1.Event{event(6000, 5, "pause", "{}"), event(7100, 1, "fd.suspect", of5)}, 1},
		{"just resumed", []*cirandav1.Event{event(7200, 5, "resume", "{}"), event(7300, 1, "fd.suspect", of5)}, 1},
		{"restarted", []*cirandav1.Event{event(9000, 1, "fd.suspect", `{"node":5,"why":"restarted"}`)}, 1},
		{"down", []*cirandav1.Event{event(9500, 5, "crash", "{}"), event(9600, 1, "fd.suspect", of5)}, 1},
	} {
		if tell(m, c.e...); m.mistakes != c.want {
			t.Errorf("%s: %d false suspicions, not %d", c.name, m.mistakes, c.want)
		}
	}
}

func TestAgreed(t *testing.T) {
	m := &election{nodes: map[uint32]*observed{}}
	tell(m, event(0, 1, "start", "{}"), event(0, 2, "start", "{}"), event(1, 2, "el.leader", `{"leader":2}`))
	if m.agreed() {
		t.Error("node 1 holds no leader yet")
	}
	tell(m, event(2, 1, "el.leader", `{"leader":2}`))
	if !m.agreed() || m.leader() != 2 {
		t.Error("both follow node 2")
	}
	if tell(m, event(3, 2, "crash", "{}")); m.agreed() {
		t.Error("the leader is dead")
	}
}

func TestPercentile(t *testing.T) {
	ten := []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	for p, want := range map[float64]float64{0.5: 5, 0.99: 10, 1: 10, 0.01: 1} {
		if got := percentile(ten, p); got != want {
			t.Errorf("p%v is %v, not %v", 100*p, got, want)
		}
	}
	if percentile(nil, 0.5) != 0 {
		t.Error("nothing has a percentile")
	}
}
