package node

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/engine/network"
	"ciranda.dev/protocol"
)

var five = []protocol.ID{1, 2, 3, 4, 5}

func naming5(leader protocol.ID) naming {
	return naming{group: five, last: 4, leader: func() (protocol.ID, error) {
		if leader == protocol.None {
			return protocol.None, api.Failed("", "there is no leader")
		}
		return leader, nil
	}}
}

func TestNodesInWords(t *testing.T) {
	for text, want := range map[string]string{
		"3": "3", "2,1": "1,2", "1, 1": "1", "all": "1,2,3,4,5", "leader": "5", "last": "4", "leader,last,1": "1,4,5",
	} {
		ids, err := naming5(5).resolve("nodes", text)
		if err != nil || list(ids) != want {
			t.Errorf("%q: got %v, %v; want %s", text, ids, err, want)
		}
	}
	for _, text := range []string{"", "0", "6", "-1", "1,,2", "lead", "65537", "1/2"} {
		if ids, err := naming5(5).resolve("nodes", text); err == nil || !strings.Contains(err.Error(), "unknown node") {
			t.Errorf("%q: got %v, %v; want an unknown node", text, ids, err)
		}
	}
	if _, err := naming5(protocol.None).resolve("nodes", "leader"); err == nil {
		t.Error("a leader was found where there is none")
	}
	if _, err := naming5(5).one("node", "1,2"); err == nil {
		t.Error("two nodes were taken for one")
	}
}

func TestRanges(t *testing.T) {
	for _, c := range []struct {
		ids  []protocol.ID
		want string
	}{{nil, ""}, {[]protocol.ID{3}, "3"}, {[]protocol.ID{1, 2}, "1, 2"}, {[]protocol.ID{1, 2, 3, 5, 7, 8, 9}, "1-3, 5, 7-9"}} {
		if got := ranges(c.ids); got != c.want {
			t.Errorf("ranges(%v): got %q, want %q", c.ids, got, c.want)
		}
	}
}

func partitionInto(sides ...string) *cirandav1.Fault {
	return &cirandav1.Fault{Kind: &cirandav1.Fault_Partition_{Partition: &cirandav1.Fault_Partition{Sides: sides}}}
}

func linkFault(l *cirandav1.Fault_Link) *cirandav1.Fault {
	return &cirandav1.Fault{Kind: &cirandav1.Fault_Link_{Link: l}}
}

func ptr[T any](v T) *T { return &v }

// after says in words what is not perfect after some faults.
func after(t *testing.T, faults ...*cirandav1.Fault) string {
	t.Helper()
	var links Links
	for _, f := range faults {
		d, err := naming5(5).plan(f)
		if err != nil {
			t.Fatal(err)
		}
		links.Change(d.pairs, d.change)
	}
	return strings.Join(describe(links.Get(), five), "; ")
}

func TestFaultsAddUp(t *testing.T) {
	cutting := func(from, to string) *cirandav1.Fault {
		return &cirandav1.Fault{Kind: &cirandav1.Fault_Cut_{Cut: &cirandav1.Fault_Cut{From: from, To: to}}}
	}
	slow := linkFault(&cirandav1.Fault_Link{Delay: ptr("1ms..20ms")})
	for name, c := range map[string]struct {
		faults []*cirandav1.Fault
		want   string
	}{
		"partition":                      {[]*cirandav1.Fault{partitionInto("1,2", "3,4,5")}, "partition 1,2/3,4,5"},
		"a node in no side is alone":     {[]*cirandav1.Fault{partitionInto("1,2", "3,4")}, "partition 1,2/3,4/5"},
		"isolation is a partition":       {[]*cirandav1.Fault{{Kind: &cirandav1.Fault_Isolate_{Isolate: &cirandav1.Fault_Isolate{Nodes: "leader"}}}}, "partition 1,2,3,4/5"},
		"one direction":                  {[]*cirandav1.Fault{cutting("1", "5")}, "1->5: cut"},
		"both directions":                {[]*cirandav1.Fault{cutting("1", "5"), cutting("5", "1")}, "1->5: cut; 5->1: cut"},
		"all directions":                 {[]*cirandav1.Fault{cutting("3", "all"), cutting("all", "3")}, "partition 1,2,4,5/3"},
		"all links":                      {[]*cirandav1.Fault{slow}, "all links: delay 1ms..20ms"},
		"a loss leaves the delay":        {[]*cirandav1.Fault{slow, linkFault(&cirandav1.Fault_Link{Loss: ptr(0.5)})}, "all links: delay 1ms..20ms, loss 50%"},
		"a partition of a slow network":  {[]*cirandav1.Fault{slow, partitionInto("1", "2,3,4,5")}, "partition 1/2,3,4,5; all links: delay 1ms..20ms"},
		"no delay is a perfect link":     {[]*cirandav1.Fault{slow, linkFault(&cirandav1.Fault_Link{Delay: ptr("0s")})}, ""},
		"some of a link and none of all": {[]*cirandav1.Fault{linkFault(&cirandav1.Fault_Link{From: "1,2", To: "5", Duplicate: ptr(0.1)})}, "1->5: duplicate 10%; 2->5: duplicate 10%"},
	} {
		if got := after(t, c.faults...); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestWrongFaultsNameTheirField(t *testing.T) {
	for want, f := range map[string]*cirandav1.Fault{
		"fault":                 {},
		"fault.partition.sides": partitionInto("1,2", "2,3"),
		"fault.isolate.nodes":   {Kind: &cirandav1.Fault_Isolate_{Isolate: &cirandav1.Fault_Isolate{Nodes: "7"}}},
		"fault.cut":             {Kind: &cirandav1.Fault_Cut_{Cut: &cirandav1.Fault_Cut{From: "1", To: "1"}}},
		"fault.cut.to":          {Kind: &cirandav1.Fault_Cut_{Cut: &cirandav1.Fault_Cut{From: "1"}}},
		"fault.link.delay":      linkFault(&cirandav1.Fault_Link{Delay: ptr("5 minutes")}),
		"fault.link":            linkFault(&cirandav1.Fault_Link{Loss: ptr(1.5)}),
		"fault.disk":            {Kind: &cirandav1.Fault_Disk_{Disk: &cirandav1.Fault_Disk{Nodes: "1", Stall: true, SlowMs: 5}}},
		"fault.clock":           {Kind: &cirandav1.Fault_Clock_{Clock: &cirandav1.Fault_Clock{Nodes: "1"}}},
		"fault.clock.rate":      {Kind: &cirandav1.Fault_Clock_{Clock: &cirandav1.Fault_Clock{Nodes: "1", Rate: 1000}}},
		"fault.clock.jump_ms":   {Kind: &cirandav1.Fault_Clock_{Clock: &cirandav1.Fault_Clock{Nodes: "1", JumpMs: -1 << 40}}},
		"fault.slow.step_ms":    {Kind: &cirandav1.Fault_Slow_{Slow: &cirandav1.Fault_Slow{Nodes: "1", StepMs: 3600000}}},
		"fault.disk.slow_ms":    {Kind: &cirandav1.Fault_Disk_{Disk: &cirandav1.Fault_Disk{Nodes: "1", SlowMs: 3600000}}},
	} {
		_, err := naming5(5).plan(f)
		var e *api.Error
		if !errors.As(err, &e) || e.Field != want {
			t.Errorf("%v: got %v, want an error of %s", f, err, want)
		}
	}
	if _, err := naming5(5).plan(partitionInto("all")); err == nil {
		t.Error("a partition into one side was taken")
	}
}

// What the API carries of links is what was set, whatever it was.
func TestLinksTravel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := map[Pair]network.Link{}
		for range rapid.IntRange(0, 6).Draw(t, "links") {
			from, to := rapid.SampledFrom(five).Draw(t, "from"), rapid.SampledFrom(five).Draw(t, "to")
			l := network.Link{Cut: rapid.Bool().Draw(t, "cut"), Loss: rapid.Float64Range(0, 1).Draw(t, "loss")}
			if rapid.Bool().Draw(t, "delayed") {
				l.Delay, _ = network.ParseDelay(rapid.SampledFrom([]string{"5ms", "1ms..20ms", "exp 3ms"}).Draw(t, "delay"))
			}
			if from != to {
				m[Pair{from, to}] = l
			}
		}
		back, err := decodeLinks(encodeLinks(m), five)
		if err != nil || !slices.Equal(sorted(back), sorted(m)) {
			t.Fatalf("got %v, %v; want %v", back, err, m)
		}
		for p := range m {
			if back[p] != m[p] {
				t.Fatalf("%s: got %v, want %v", p, back[p], m[p])
			}
		}
	})
}

func TestLinksOfStrangersAreRefused(t *testing.T) {
	for _, f := range []*cirandav1.LinkFault{{From: 1, To: 1}, {From: 1, To: 6}, {From: 65537, To: 2}, {From: 1, To: 2, Loss: 2}, {From: 1, To: 2, Delay: "x"}} {
		if m, err := decodeLinks([]*cirandav1.LinkFault{f}, five); err == nil {
			t.Errorf("%v was taken: %v", f, m)
		}
	}
}

func TestParsePeers(t *testing.T) {
	peers, err := ParsePeers("1=a:1, 2=[::1]:2")
	if err != nil || peers[1] != "a:1" || peers[2] != "[::1]:2" {
		t.Errorf("got %v, %v", peers, err)
	}
	for _, text := range []string{"", "1", "1=a", "0=a:1", "1=a:1,1=b:1", "x=a:1"} {
		if peers, err := ParsePeers(text); err == nil {
			t.Errorf("%q: got %v", text, peers)
		}
	}
}
