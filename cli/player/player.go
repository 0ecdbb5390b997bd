// Package player shows a trace on a terminal: what every node knows, the events around the present one, and keys to go
// forwards and backwards.
package player

import (
	"context"
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"ciranda.dev/protocol"
	"ciranda.dev/replay"
	"ciranda.dev/trace"
)

// Run shows a trace until q is pressed or ctx ends. It begins at the violation, if there is one.
func Run(ctx context.Context, p *replay.Player) error {
	m := &model{player: p, sentences: map[int]string{}}
	teller := trace.NewTeller(&p.Trace.Header)
	for i := range p.Trace.Events {
		if text, ok := teller.Tell(&p.Trace.Events[i]); ok {
			m.sentences[i] = text
		}
	}
	if !p.ToViolation() {
		p.Forward(m.told)
	}
	_, err := tea.NewProgram(m, tea.WithContext(ctx)).Run()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

type model struct {
	player    *replay.Player
	sentences map[int]string // of the story, by event
	all       bool           // every event is shown, not only the story
	notice    string
	width     int
	height    int
}

// Init implements tea.Model.
func (m *model) Init() tea.Cmd { return nil }

// Update implements tea.Model.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tea.KeyPressMsg:
		return m, m.press(msg.String())
	}
	return m, nil
}

// aPage is how many events page up and page down pass.
const aPage = 20

func (m *model) press(key string) tea.Cmd {
	p := m.player
	m.notice = ""
	switch key {
	case "q", "ctrl+c", "esc":
		return tea.Quit
	case "right", "l", "j", "down", "space":
		p.Forward(m.shown)
	case "left", "h", "k", "up", "backspace":
		p.Back(m.shown)
	case "pgdown":
		for range aPage {
			p.Forward(m.shown)
		}
	case "pgup":
		for range aPage {
			p.Back(m.shown)
		}
	case "n":
		p.Forward(leadership)
	case "N":
		p.Back(leadership)
	case "g", "home":
		p.Go(0)
	case "G", "end":
		p.Go(p.Len())
	case "v":
		if !p.ToViolation() {
			m.notice = "nothing is violated here"
		}
	case "a":
		m.all = !m.all
	}
	return nil
}

// shown says whether an event is one of those that the keys step through.
func (m *model) shown(i int, _ *trace.Event) bool { return m.all || m.told(i, nil) }

func (m *model) told(i int, _ *trace.Event) bool { _, ok := m.sentences[i]; return ok }

// leadership says whether an event changes who leads, or who lives.
func leadership(_ int, e *trace.Event) bool {
	return e.Kind <= trace.Stop || e.Kind == trace.Told && strings.HasPrefix(e.Name(), "el.leader")
}

// The styles use the terminal's own sixteen colours.
var (
	title = lipgloss.NewStyle().Bold(true)
	faint = lipgloss.NewStyle().Faint(true)
	now   = lipgloss.NewStyle().Reverse(true)
	bad   = lipgloss.NewStyle().Foreground(lipgloss.Color("1"))
	odd   = lipgloss.NewStyle().Foreground(lipgloss.Color("3"))
	leads = lipgloss.NewStyle().Foreground(lipgloss.Color("6")).Bold(true)
)

// View implements tea.Model.
func (m *model) View() tea.View {
	v := tea.NewView(m.content())
	v.AltScreen = true
	v.WindowTitle = "ciranda replay"
	return v
}

func (m *model) content() string {
	if m.width == 0 {
		return "…"
	}
	top := append(m.header(), m.table()...)
	bottom := []string{bad.Render("  " + m.notice), m.help()}
	room := m.height - len(top) - len(bottom)
	lines := append(append(top, m.around(room)...), bottom...)
	for i, l := range lines {
		lines[i] = lipgloss.NewStyle().MaxWidth(m.width).Render(l)
	}
	return strings.Join(lines, "\n")
}

func (m *model) header() []string {
	p := m.player
	moment := "the beginning"
	if e := p.Event(); e != nil {
		moment = trace.ClockText(e.T)
	}
	lines := []string{title.Render(p.Trace.Header.Scenario) + faint.Render(fmt.Sprintf("  %s, event %d of %d", moment, p.At(), p.Len()))}
	if v := p.Violation; v != nil {
		lines = append(lines, bad.Render(v.Property+" is violated: "+v.Why))
	}
	return append(lines, "")
}

const columns = "  %-4s %-12s %-8s %-8s %-10s %7s  "

// lanes is how many nodes are shown; of more, those near the one that acts.
const lanes = 8

func (m *model) table() []string {
	rows := []string{faint.Render(fmt.Sprintf(columns, "node", "state", "follows", "term", "suspects", "clock"))}
	nodes := m.player.Nodes()
	if len(nodes) > lanes {
		nodes = near(nodes, m.player.Event())
	}
	for i := range nodes {
		rows = append(rows, m.row(&nodes[i])...)
	}
	return append(rows, "")
}

func near(nodes []replay.Node, e *trace.Event) []replay.Node {
	at := 0
	for i := range nodes {
		if e != nil && nodes[i].ID == e.Node {
			at = i
		}
	}
	from := min(max(0, at-lanes/2), len(nodes)-lanes)
	return nodes[from : from+lanes]
}

// row shows a node, and below it its layers' states where they are known.
func (m *model) row(n *replay.Node) []string {
	follows, style := "-", lipgloss.NewStyle()
	switch {
	case n.State == "down" || n.State == "not started":
		style = bad
	case n.State == "paused":
		style = odd
	case n.Leader == n.ID:
		follows, style = "leads", leads
	case n.Leader != protocol.None:
		follows = n.Leader.String()
	}
	term := "-"
	if n.Term.Counter != 0 {
		term = n.Term.String()
	}
	suspects := strings.Trim(strings.ReplaceAll(fmt.Sprint(n.Suspects), " ", ","), "[]")
	if suspects == "" {
		suspects = "-"
	}
	state := n.State
	if n.Inc > 1 {
		state += fmt.Sprintf(" (life %d)", n.Inc)
	}
	rows := []string{style.Render(fmt.Sprintf(columns, n.ID, state, follows, term, suspects, fmt.Sprint(n.Lamport)))}
	if n.Detail != "" {
		detail := strings.ReplaceAll(strings.TrimSpace(n.Detail), "\n", " · ")
		rows = append(rows, faint.Render("       "+detail))
	}
	return rows
}

// around is what happened before the present event and what will come after it, in room lines.
func (m *model) around(room int) []string {
	if room < 1 {
		return nil
	}
	at := m.player.At() - 1
	before, after := []string{}, []string{}
	for i := at; i >= 0 && len(before) < max(1, room*2/3); i-- {
		if i == at || m.shown(i, nil) {
			before = append(before, m.line(i, i == at))
		}
	}
	for i := at + 1; i < m.player.Len() && len(before)+len(after) < room; i++ {
		if m.shown(i, nil) {
			after = append(after, m.line(i, false))
		}
	}
	var lines []string
	for i := len(before) - 1; i >= 0; i-- {
		lines = append(lines, before[i])
	}
	lines = append(lines, after...)
	for len(lines) < room {
		lines = append(lines, "")
	}
	return lines
}

func (m *model) line(i int, present bool) string {
	e := &m.player.Trace.Events[i]
	text, ok := m.sentences[i]
	if !ok || m.all {
		text = trace.Line(e, &m.player.Trace.Header)
	} else {
		text = fmt.Sprintf("%12s  %s", trace.ClockText(e.T), text)
	}
	mark := "  "
	if m.player.Witness(i) {
		mark = "* "
	}
	switch {
	case present:
		return mark + now.Render(text)
	case m.player.Witness(i):
		return mark + bad.Render(text)
	case i > m.player.At()-1:
		return mark + faint.Render(text)
	}
	return mark + text
}

func (m *model) help() string {
	what := "every event"
	if m.all {
		what = "the story"
	}
	return fmt.Sprintf("%s event  %s 20 events  %s leader or life  %s beginning, end  %s violation  %s %s  %s quit",
		title.Render("← →"), title.Render("pgup pgdn"), title.Render("N n"), title.Render("g G"), title.Render("v"), title.Render("a"), what, title.Render("q"))
}
