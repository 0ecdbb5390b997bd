// Package screen shows a running cluster on a terminal: a living table of its nodes, the story of what happens, and
// keys that break it. It is a client of the cluster's API like any other.
package screen

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/cli/album"
)

// ErrInterrupted says that the screen was left by Ctrl-C.
var ErrInterrupted = errors.New("screen: interrupted")

// Run shows a cluster until q is pressed, the cluster ends or ctx does.
func Run(ctx context.Context, c *api.Client) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := tea.NewProgram(model{ctx: ctx, client: c}, tea.WithContext(ctx), tea.WithoutSignalHandler())
	go follow(ctx, c, p.Send)
	last, err := p.Run()
	if m, ok := last.(model); ok && m.interrupted {
		return ErrInterrupted
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// follow sends the program what happens, and asks it to end when nothing can happen any more.
func follow(ctx context.Context, c *api.Client, send func(tea.Msg)) {
	stream, err := c.Events.Watch(ctx, &cirandav1.WatchRequest{Cursor: api.FromStart, Without: []string{"bank.", "link.", "mc.", "reply"}})
	for err == nil {
		var answer *cirandav1.WatchResponse
		if answer, err = stream.Recv(); err == nil {
			send(happened(answer.GetEvents()))
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	send(over{err})
}

// What the program is told.
type (
	happened []*cirandav1.Event
	over     struct{ err error }
	asked    struct { // the answer to a question for the status
		status *cirandav1.StatusResponse
		err    error
	}
	done struct { // the outcome of an act
		text string
		err  error
	}
	tick struct{}
)

// A line of the story.
type line struct {
	time int64 // the machine's monotonic clock, ns
	kind string
	text string
}

// kept is how many lines of the story are kept.
const kept = 500

type model struct {
	ctx         context.Context
	client      *api.Client
	status      *cirandav1.StatusResponse
	asking      bool // a question for the status is under way
	stale       bool // something has happened since it was asked
	story       []line
	zero        int64  // the time of the earliest event
	chosen      uint32 // the node that keys are for; 0: the leader
	notice      string // the outcome of the last key
	trouble     bool   // it is an error
	width       int
	height      int
	interrupted bool
}

// Init implements tea.Model.
func (m model) Init() tea.Cmd { return tea.Batch(m.ask(), later()) }

// refresh is how often the status is asked for when nothing happens.
const refresh = time.Second

func later() tea.Cmd { return tea.Tick(refresh, func(time.Time) tea.Msg { return tick{} }) }

// ask asks for the status.
func (m model) ask() tea.Cmd {
	return func() tea.Msg {
		s, err := m.client.Cluster.Status(m.ctx, &cirandav1.StatusRequest{})
		return asked{s, err}
	}
}

// Update implements tea.Model.
func (m model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tea.KeyPressMsg:
		return m.press(msg.String())
	case happened:
		m.add(msg)
		return m.askAgain()
	case tick:
		next, cmd := m.askAgain()
		return next, tea.Batch(cmd, later())
	case asked:
		return m.learn(msg)
	case done:
		m.notice, m.trouble = msg.text, msg.err != nil
		if msg.err != nil {
			m.notice = words(msg.err)
		}
		return m.askAgain()
	case over:
		return m, tea.Quit
	}
	return m, nil
}

// askAgain asks for the status, or notes to do so when the answer that is under way has come.
func (m model) askAgain() (model, tea.Cmd) {
	if m.asking {
		m.stale = true
		return m, nil
	}
	m.asking, m.stale = true, false
	return m, m.ask()
}

func (m model) learn(a asked) (model, tea.Cmd) {
	m.asking = false
	if a.err == nil {
		m.status = a.status
	}
	if m.stale {
		return m.askAgain()
	}
	return m, nil
}

// add adds what happened to the story.
func (m *model) add(events []*cirandav1.Event) {
	for _, e := range events {
		if m.zero == 0 || e.GetTime() < m.zero {
			m.zero = e.GetTime()
		}
		if e.GetLost() > 0 {
			m.insert(line{e.GetTime(), "lost", fmt.Sprintf("%d events of node %d were lost", e.GetLost(), e.GetNode())})
		}
		if e.GetText() != "" {
			m.insert(line{e.GetTime(), e.GetKind(), e.GetText()})
		}
	}
	if extra := len(m.story) - kept; extra > 0 {
		m.story = slices.Delete(m.story, 0, extra)
	}
}

// insert puts a line where its time belongs: events of different nodes arrive out of order by some milliseconds.
func (m *model) insert(l line) {
	at := len(m.story)
	for at > 0 && m.story[at-1].time > l.time {
		at--
	}
	m.story = slices.Insert(m.story, at, l)
}

// press does what a key is for.
func (m model) press(key string) (tea.Model, tea.Cmd) {
	switch key {
	case "ctrl+c":
		m.interrupted = true
		return m, tea.Quit
	case "q":
		return m, tea.Quit
	case "esc":
		m.chosen = 0
	case "up", "down":
		m.move(key)
	default:
		if len(key) == 1 && key[0] >= '1' && key[0] <= '9' {
			m.choose(uint32(key[0] - '0'))
			return m, nil
		}
		if act := m.act(key); act != nil {
			m.notice, m.trouble = "…", false
			return m, func() tea.Msg {
				text, err := act()
				return done{text, err}
			}
		}
	}
	return m, nil
}

// choose makes keys be for a node; the same one again, for the leader.
func (m *model) choose(id uint32) {
	switch {
	case m.chosen == id:
		m.chosen = 0
	case int(id) <= len(m.status.GetNodes()):
		m.chosen = id
	}
}

func (m *model) move(key string) {
	n := uint32(len(m.status.GetNodes()))
	switch {
	case n == 0:
	case key == "down":
		m.chosen = m.chosen%n + 1
	case m.chosen <= 1:
		m.chosen = n
	default:
		m.chosen--
	}
}

// target is the node that keys are for, as the API names it.
func (m model) target() string {
	if m.chosen == 0 {
		return "leader"
	}
	return fmt.Sprint(m.chosen)
}

// act gives what a key does, or nil.
func (m model) act(key string) func() (string, error) {
	switch key {
	case "k":
		return func() (string, error) {
			r, err := m.client.Supervisor.Kill(m.ctx, &cirandav1.KillRequest{Nodes: m.target()})
			return said("killed", r.GetNodes()), err
		}
	case "p":
		return func() (string, error) {
			r, err := m.client.Supervisor.Pause(m.ctx, &cirandav1.PauseRequest{Nodes: m.target()})
			return said("paused", r.GetNodes()), err
		}
	case "r":
		return m.revive
	case "e":
		return m.elect
	case "s":
		return m.snapshot
	case "i":
		return func() (string, error) { return m.fault(isolate(m.target())) }
	case "P":
		return func() (string, error) { return m.fault(halves(len(m.status.GetNodes()))) }
	case "h":
		return func() (string, error) {
			_, err := m.client.Cluster.Heal(m.ctx, &cirandav1.HealRequest{})
			return "all is whole again", err
		}
	}
	return nil
}

func said(what string, nodes []uint32) string {
	return what + " node " + strings.Trim(strings.Join(strings.Fields(fmt.Sprint(nodes)), ","), "[]")
}

// revive resumes what is paused and restarts what is down: the chosen node, or all.
func (m model) revive() (string, error) {
	var paused, down []string
	for _, n := range m.status.GetNodes() {
		switch {
		case m.chosen != 0 && n.GetId() != m.chosen:
		case n.GetState() == cirandav1.NodeState_NODE_STATE_PAUSED:
			paused = append(paused, fmt.Sprint(n.GetId()))
		case n.GetState() == cirandav1.NodeState_NODE_STATE_DOWN || m.chosen != 0:
			down = append(down, fmt.Sprint(n.GetId()))
		}
	}
	var said []string
	var errs []error
	if len(paused) > 0 {
		_, err := m.client.Supervisor.Resume(m.ctx, &cirandav1.ResumeRequest{Nodes: strings.Join(paused, ",")})
		said, errs = append(said, "resumed "+strings.Join(paused, ",")), append(errs, err)
	}
	if len(down) > 0 {
		_, err := m.client.Supervisor.Restart(m.ctx, &cirandav1.RestartRequest{Nodes: strings.Join(down, ",")})
		said, errs = append(said, "restarted "+strings.Join(down, ",")), append(errs, err)
	}
	if len(said) == 0 {
		return "all nodes are up", nil
	}
	return strings.Join(said, ", "), errors.Join(errs...)
}

// elect lets the chosen node, or the lowest that is up, begin an election.
func (m model) elect() (string, error) {
	r := &cirandav1.ElectRequest{}
	if m.chosen != 0 {
		r.Node = m.target()
	}
	e, err := m.client.Cluster.Elect(m.ctx, r)
	return fmt.Sprintf("node %d has begun an election", e.GetNode()), err
}

// snapshotTime is how long a snapshot is waited for: it ends within ten seconds by itself.
const snapshotTime = 15 * time.Second

// snapshot takes a snapshot that the chosen node begins, or the lowest that is up.
func (m model) snapshot() (string, error) {
	r := &cirandav1.TakeRequest{}
	if m.chosen != 0 {
		r.Node = m.target()
	}
	ctx, cancel := context.WithTimeout(m.ctx, snapshotTime)
	defer cancel()
	answer, err := m.client.Snapshots.Take(ctx, r)
	if err != nil {
		return "", err
	}
	shot := album.Of(answer.GetSnapshot())
	return "snapshot " + shot.Line(), nil
}

func (m model) fault(f *cirandav1.Fault) (string, error) {
	r, err := m.client.Cluster.SetFault(m.ctx, &cirandav1.SetFaultRequest{Fault: f})
	return r.GetText(), err
}

func isolate(nodes string) *cirandav1.Fault {
	return &cirandav1.Fault{Kind: &cirandav1.Fault_Isolate_{Isolate: &cirandav1.Fault_Isolate{Nodes: nodes}}}
}

// halves cuts the lower half of the nodes, the smaller one, from the upper.
func halves(n int) *cirandav1.Fault {
	sides := make([][]string, 2)
	for id := 1; id <= n; id++ {
		side := 0
		if id > n/2 {
			side = 1
		}
		sides[side] = append(sides[side], fmt.Sprint(id))
	}
	texts := []string{strings.Join(sides[0], ","), strings.Join(sides[1], ",")}
	return &cirandav1.Fault{Kind: &cirandav1.Fault_Partition_{Partition: &cirandav1.Fault_Partition{Sides: texts}}}
}

// words is an error in a line.
func words(err error) string {
	if e := api.AsError(err); e != nil {
		return e.Text
	}
	return err.Error()
}
