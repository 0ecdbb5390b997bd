package screen

import (
	"fmt"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	cirandav1 "ciranda.dev/api/ciranda/v1"
)

// The styles use the terminal's own sixteen colours, so that they suit its background.
var (
	title  = lipgloss.NewStyle().Bold(true)
	faint  = lipgloss.NewStyle().Faint(true)
	good   = lipgloss.NewStyle().Foreground(lipgloss.Color("2"))
	bad    = lipgloss.NewStyle().Foreground(lipgloss.Color("1"))
	odd    = lipgloss.NewStyle().Foreground(lipgloss.Color("3"))
	leads  = lipgloss.NewStyle().Foreground(lipgloss.Color("6")).Bold(true)
	picked = lipgloss.NewStyle().Reverse(true)
)

// View implements tea.Model.
func (m model) View() tea.View {
	v := tea.NewView(m.content())
	v.AltScreen = true
	v.WindowTitle = "ciranda"
	return v
}

func (m model) content() string {
	if m.status == nil || m.width == 0 {
		return "…"
	}
	top := append([]string{m.header(), ""}, m.table()...)
	for _, n := range m.status.GetNodes() {
		if why := n.GetBlocked(); why != "" {
			top = append(top, odd.Render(fmt.Sprintf("  the group stands still at node %d: %s", n.GetId(), why)))
		}
	}
	for _, f := range m.status.GetFaults() {
		top = append(top, odd.Render("  fault: "+f))
	}
	top = append(top, "")
	bottom := append([]string{m.outcome()}, m.help()...)
	middle := m.tail(m.height - len(top) - len(bottom))
	lines := append(append(top, middle...), bottom...)
	for i, l := range lines {
		lines[i] = lipgloss.NewStyle().MaxWidth(m.width).Render(l)
	}
	return strings.Join(lines, "\n")
}

func (m model) header() string {
	s := m.status
	name := title.Render("ciranda " + s.GetCluster())
	if s.GetInsecure() {
		name += "  " + bad.Render("INSECURE")
	}
	switch {
	case s.GetLeader() == 0:
		return name + "  " + bad.Render("no leader: "+s.GetWhyNoLeader())
	case s.GetTerm() == nil:
		return name + "  " + leads.Render(fmt.Sprintf("node %d leads", s.GetLeader()))
	default:
		return name + "  " + leads.Render(fmt.Sprintf("node %d leads", s.GetLeader())) + faint.Render(" in term "+term(s.GetTerm()))
	}
}

const columns = "  %-5s %-7s %-10s %-7s %-6s %-12s %9s %5s %8s"

func (m model) table() []string {
	rows := []string{faint.Render(fmt.Sprintf(columns, "node", "state", "follows", "term", "view", "suspects", "clock", "life", "process"))}
	for _, n := range m.status.GetNodes() {
		rows = append(rows, m.row(n))
	}
	for _, g := range m.status.GetGateways() {
		rows = append(rows, gatewayRow(g))
	}
	return rows
}

// gatewayRow is the line of a gateway: as a node's, with where it is found in place of what nodes believe.
func gatewayRow(g *cirandav1.GatewayStatus) string {
	state, style := "up", lipgloss.NewStyle()
	switch g.GetState() {
	case cirandav1.NodeState_NODE_STATE_DOWN:
		state, style = "down", bad
	case cirandav1.NodeState_NODE_STATE_PAUSED:
		state, style = "paused", odd
	}
	return style.Render(fmt.Sprintf("  %-13s%-7s %-38s %17s", g.GetName(), state, "serves gRPC at "+g.GetGrpcAddress(), dash(g.GetPid())))
}

func (m model) row(n *cirandav1.NodeStatus) string {
	follows := dash(n.GetLeader())
	switch {
	case n.GetLeader() == n.GetId():
		follows = "leads"
	case n.GetLeaderLost():
		follows += " (lost)"
	}
	suspects := "-"
	if ids := n.GetSuspects(); len(ids) > 0 {
		suspects = strings.Join(strings.Fields(strings.Trim(fmt.Sprint(ids), "[]")), ",")
	}
	state, style := look(n)
	text := fmt.Sprintf(columns, fmt.Sprint(n.GetId()), state, follows, term(n.GetTerm()), viewOf(n), suspects,
		dash(n.GetLamport()), dash(n.GetIncarnation()), dash(n.GetPid()))
	if n.GetId() == m.chosen {
		style = picked
	}
	return style.Render(text)
}

// look is a node's state and how its row looks.
func look(n *cirandav1.NodeStatus) (string, lipgloss.Style) {
	switch {
	case n.GetState() == cirandav1.NodeState_NODE_STATE_DOWN:
		return "down", bad
	case n.GetState() == cirandav1.NodeState_NODE_STATE_PAUSED:
		return "paused", odd
	case n.GetProblem() != "":
		return "silent", odd
	case n.GetLeader() == n.GetId():
		return "up", leads
	default:
		return "up", lipgloss.NewStyle()
	}
}

// viewOf is the view of the group that a node has; in brackets if it is not in it now.
func viewOf(n *cirandav1.NodeStatus) string {
	if n.GetView() != 0 && !n.GetMember() {
		return "(" + dash(n.GetView()) + ")"
	}
	return dash(n.GetView())
}

func term(t *cirandav1.Term) string {
	if t.GetCounter() == 0 {
		return "-"
	}
	return fmt.Sprintf("%d.%d", t.GetCounter(), t.GetLeader())
}

func dash[T uint32 | uint64](n T) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

// tail is the end of the story, in exactly n lines.
func (m model) tail(n int) []string {
	n = max(n, 0)
	story := m.story[max(0, len(m.story)-n):]
	lines := make([]string, 0, n)
	for _, l := range story {
		lines = append(lines, faint.Render(fmt.Sprintf("%9.3fs  ", time.Duration(l.time-m.zero).Seconds()))+styleOf(l.kind).Render(l.text))
	}
	for len(lines) < n {
		lines = append(lines, "")
	}
	return lines
}

// styleOf is how a line of the story looks.
func styleOf(kind string) lipgloss.Style {
	switch kind {
	case "el.leader":
		return leads
	case "crash", "fd.suspect", "el.stepdown", "lost", "group.excluded":
		return bad
	case "pause", "fault", "fd.stalled", "group.blocked":
		return odd
	case "start", "recover", "resume", "fd.restore", "group.view":
		return good
	default:
		return lipgloss.NewStyle()
	}
}

// outcome says what the last key did.
func (m model) outcome() string {
	if m.trouble {
		return bad.Render("  " + m.notice)
	}
	return good.Render("  " + m.notice)
}

// help says what keys do, and to which node.
func (m model) help() []string {
	whom, those := "the leader", "all down or paused"
	if m.chosen != 0 {
		whom = fmt.Sprintf("node %d", m.chosen)
		those = whom
	}
	first := fmt.Sprintf("%s %s kill  %s pause  %s isolate   %s revive %s", title.Render(whom+":"),
		key("k"), key("p"), key("i"), key("r"), those)
	second := fmt.Sprintf("%s choose a node  %s elect  %s snapshot  %s partition  %s heal  %s quit", key("1-9 ↑↓"), key("e"), key("s"), key("P"), key("h"), key("q"))
	return []string{first, second}
}

func key(k string) string { return picked.Render(" " + k + " ") }
