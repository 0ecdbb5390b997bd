package screen

import (
	"context"
	"errors"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"google.golang.org/grpc"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
)

// recorded is a supervisor that writes down what it is asked.
type recorded struct {
	cirandav1.SupervisorServiceClient
	cirandav1.ClusterServiceClient
	asked []string
	fail  error
}

func (r *recorded) Kill(_ context.Context, q *cirandav1.KillRequest, _ ...grpc.CallOption) (*cirandav1.KillResponse, error) {
	r.asked = append(r.asked, "kill "+q.GetNodes())
	return &cirandav1.KillResponse{Nodes: []uint32{3}}, r.fail
}

func (r *recorded) Pause(_ context.Context, q *cirandav1.PauseRequest, _ ...grpc.CallOption) (*cirandav1.PauseResponse, error) {
	r.asked = append(r.asked, "pause "+q.GetNodes())
	return &cirandav1.PauseResponse{}, nil
}

func (r *recorded) Resume(_ context.Context, q *cirandav1.ResumeRequest, _ ...grpc.CallOption) (*cirandav1.ResumeResponse, error) {
	r.asked = append(r.asked, "resume "+q.GetNodes())
	return &cirandav1.ResumeResponse{}, nil
}

func (r *recorded) Restart(_ context.Context, q *cirandav1.RestartRequest, _ ...grpc.CallOption) (*cirandav1.RestartResponse, error) {
	r.asked = append(r.asked, "restart "+q.GetNodes())
	return &cirandav1.RestartResponse{}, nil
}

func (r *recorded) Elect(_ context.Context, q *cirandav1.ElectRequest, _ ...grpc.CallOption) (*cirandav1.ElectResponse, error) {
	r.asked = append(r.asked, "elect "+q.GetNode())
	return &cirandav1.ElectResponse{Node: 1}, nil
}

func (r *recorded) SetFault(_ context.Context, q *cirandav1.SetFaultRequest, _ ...grpc.CallOption) (*cirandav1.SetFaultResponse, error) {
	r.asked = append(r.asked, strings.Join(strings.Fields(q.GetFault().String()), " "))
	return &cirandav1.SetFaultResponse{Text: "done"}, nil
}

func (r *recorded) Heal(context.Context, *cirandav1.HealRequest, ...grpc.CallOption) (*cirandav1.HealResponse, error) {
	r.asked = append(r.asked, "heal")
	return &cirandav1.HealResponse{}, nil
}

func (r *recorded) Take(_ context.Context, q *cirandav1.TakeRequest, _ ...grpc.CallOption) (*cirandav1.TakeResponse, error) {
	r.asked = append(r.asked, strings.TrimSpace("snapshot "+q.GetNode()))
	return &cirandav1.TakeResponse{Snapshot: &cirandav1.Snapshot{Id: "1#1:1", Complete: true, Consistent: true}}, r.fail
}

func (r *recorded) Status(context.Context, *cirandav1.StatusRequest, ...grpc.CallOption) (*cirandav1.StatusResponse, error) {
	return village(), nil
}

// village is a cluster whose node 4 leads: node 1 is paused and node 5 down.
func village() *cirandav1.StatusResponse {
	states := []cirandav1.NodeState{3, 1, 1, 1, 2}
	s := &cirandav1.StatusResponse{Cluster: "village", Leader: 4, Term: &cirandav1.Term{Counter: 2, Leader: 4}, Faults: []string{"2->3: cut"}}
	for i, state := range states {
		n := &cirandav1.NodeStatus{Id: uint32(i + 1), State: state}
		if state == cirandav1.NodeState_NODE_STATE_UP {
			n.Leader, n.Term, n.Suspects, n.Lamport, n.Pid, n.Incarnation = 4, s.Term, []uint32{1, 5}, 77, 4711, 2
		}
		s.Nodes = append(s.Nodes, n)
	}
	s.Nodes[2].View, s.Nodes[2].Blocked = 6, "alone"
	s.Nodes[3].View, s.Nodes[3].Member = 7, true
	return s
}

func newModel() (model, *recorded) {
	r := &recorded{}
	return model{ctx: context.Background(), client: &api.Client{Cluster: r, Supervisor: r, Snapshots: r}, status: village(), width: 100, height: 24}, r
}

// press presses keys, one after the other, and lets what they begin come to its end.
func press(t *testing.T, m model, keys ...string) model {
	t.Helper()
	for _, key := range keys {
		next, cmd := m.press(key)
		m = next.(model)
		if cmd != nil {
			next, _ = m.Update(cmd())
			m = next.(model)
		}
	}
	return m
}

func TestKeys(t *testing.T) {
	for keys, want := range map[string]string{
		"k":         "kill leader",
		"3 k":       "kill 3",
		"3 3 k":     "kill leader",
		"3 esc p":   "pause leader",
		"down p":    "pause 1",
		"up p":      "pause 5",
		"9 k":       "kill leader", // there is no node 9
		"r":         "resume 1; restart 5",
		"5 r":       "restart 5",
		"1 r":       "resume 1",
		"2 r":       "restart 2",
		"e":         "elect",
		"3 e":       "elect 3",
		"s":         "snapshot",
		"2 s":       "snapshot 2",
		"i":         `isolate:{nodes:"leader"}`,
		"P":         `partition:{sides:"1,2" sides:"3,4,5"}`,
		"h":         "heal",
		"z":         "",
		"k h":       "kill leader; heal",
		"up down p": "pause 1",
	} {
		m, r := newModel()
		press(t, m, strings.Fields(keys)...)
		if got := strings.TrimSpace(strings.Join(r.asked, "; ")); got != want {
			t.Errorf("%s: got %q, want %q", keys, got, want)
		}
	}
}

func TestOutcomeOfAKey(t *testing.T) {
	m, r := newModel()
	if m = press(t, m, "s"); m.notice != "snapshot 1#1:1 is complete, 0.0 ms" || m.trouble {
		t.Errorf("got %q", m.notice)
	}
	if m = press(t, m, "k"); m.notice != "killed node 3" || m.trouble {
		t.Errorf("got %q", m.notice)
	}
	r.fail = api.Failed("", "node 4 is down already")
	if m = press(t, m, "k"); m.notice != "node 4 is down already" || !m.trouble {
		t.Errorf("got %q", m.notice)
	}
}

func TestLeaving(t *testing.T) {
	m, _ := newModel()
	next, cmd := m.press("q")
	if _, quits := cmd().(tea.QuitMsg); !quits || next.(model).interrupted {
		t.Error("q does not leave in good order")
	}
	next, cmd = m.press("ctrl+c")
	if _, quits := cmd().(tea.QuitMsg); !quits || !next.(model).interrupted {
		t.Error("Ctrl-C does not interrupt")
	}
	if _, cmd = m.Update(over{errors.New("gone")}); cmd == nil {
		t.Error("the end of the cluster is not the end of the screen")
	}
}

// The story is in the order of time, whatever the order of arrival; what has no sentence is not in it.
func TestStory(t *testing.T) {
	m, _ := newModel()
	m.add([]*cirandav1.Event{
		{Time: 5e9, Text: "second"}, {Time: 5e9 + 1, Text: "third"}, {Time: 5e9 + 1},
		{Time: 4e9, Text: "first"}, {Time: 6e9, Lost: 7, Node: 2, Text: "last"},
	})
	var got []string
	for _, l := range m.story {
		got = append(got, l.text)
	}
	if want := "first|second|third|7 events of node 2 were lost|last"; strings.Join(got, "|") != want {
		t.Errorf("got %q, want %s", got, want)
	}
	for range 2 * kept {
		m.add([]*cirandav1.Event{{Time: 7e9, Text: "more"}})
	}
	if len(m.story) != kept {
		t.Errorf("%d lines are kept", len(m.story))
	}
}

// While a question for the status is under way, no second one is asked; one follows if something has happened.
func TestStatusIsAskedOnce(t *testing.T) {
	m, _ := newModel()
	m, first := m.askAgain()
	m, second := m.askAgain()
	if first == nil || second != nil || !m.stale {
		t.Fatal("two questions at a time")
	}
	m, third := m.learn(asked{village(), nil})
	if third == nil || m.stale {
		t.Error("what happened meanwhile is not asked for")
	}
	if m, fourth := m.learn(asked{village(), nil}); fourth != nil || m.asking {
		t.Error("asked for no reason")
	}
}

func TestView(t *testing.T) {
	m, _ := newModel()
	m.add([]*cirandav1.Event{{Time: 1e9, Text: "node 5 crashes", Kind: "crash"}, {Time: 1.5e9, Text: "node 4 leads", Kind: "el.leader"}})
	lines := strings.Split(ansi.Strip(m.content()), "\n")
	if len(lines) != m.height {
		t.Errorf("%d lines on a screen of %d", len(lines), m.height)
	}
	all := strings.Join(lines, "\n")
	for _, want := range []string{"ciranda village  node 4 leads in term 2.4", "  1     paused", "  4     up      leads      2.4     7      1,5",
		"  3     up      4          2.4     (6)    1,5", "the group stands still at node 3: alone",
		"  5     down", "fault: 2->3: cut", "    0.000s  node 5 crashes", "    0.500s  node 4 leads", "the leader:  k  kill"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in\n%s", want, all)
		}
	}
	m.status.Leader, m.status.WhyNoLeader = 0, "no node is up"
	m.height, m.width = 5, 30
	for _, l := range strings.Split(m.content(), "\n") {
		if ansi.StringWidth(l) > m.width {
			t.Errorf("%q is wider than the screen", l)
		}
	}
}
