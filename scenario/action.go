package scenario

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"ciranda.dev/engine/network"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/multicast"
)

// Nodes are the nodes that a step means. Who leads and who crashed last is known only when the step is done.
type Nodes struct {
	Who Who
	IDs []protocol.ID // of Named: ascending, each once
}

// Who says how nodes are named.
type Who string

// The ways to name nodes.
const (
	Named  Who = "named"  // by number
	All    Who = "all"    // every node
	Leader Who = "leader" // the one that most nodes take for the leader; the step waits until there is one
	// Coordinator is that of the group's last view; the step waits until it is there.
	Coordinator Who = "coordinator"
	Last        Who = "last" // those that the last step that crashed nodes crashed
)

func (n Nodes) String() string {
	if n.Who != Named {
		return string(n.Who)
	}
	return joinIDs(n.IDs)
}

func joinIDs(ids []protocol.ID) string {
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = id.String()
	}
	return strings.Join(words, ",")
}

// Links are the directed links from each of some nodes to each of some others, and back if Both. No node has a link
// to itself.
type Links struct {
	From, To Nodes
	Both     bool
}

func (l Links) String() string {
	if l.Both {
		return l.From.String() + " <-> " + l.To.String()
	}
	return l.From.String() + " -> " + l.To.String()
}

// An Action is what a step does. Its text is as the file writes it.
type Action interface {
	String() string
}

// The actions.
type (
	// Crash ends a life without notice. What was in memory is lost, and with DiskLost what was stored as well.
	Crash struct {
		Nodes    Nodes
		DiskLost bool
	}
	// Recover begins a new life of nodes that are down.
	Recover struct{ Nodes Nodes }
	// Pause lets nodes stand still. They do not know it.
	Pause struct{ Nodes Nodes }
	// Resume lets them go on.
	Resume struct{ Nodes Nodes }
	// Partition cuts all links between nodes of different groups, and mends those within one.
	Partition struct{ Groups [][]protocol.ID }
	// Isolate cuts all links to and from nodes.
	Isolate struct{ Nodes Nodes }
	// Cut lets nothing pass.
	Cut struct{ Links Links }
	// Reset closes connections though both ends live: each is told that the other's end was closed.
	Reset struct{ Links Links }
	// Change gives links another quality.
	Change struct {
		Links Links
		To    LinkChange
	}
	// Heal mends links. HealAll mends all there is to mend but crashes and pauses: links, disks, slow nodes, the
	// rates of clocks.
	Heal    struct{ Links Links }
	HealAll struct{}
	// StallDisk lets nothing become durable for a while.
	StallDisk struct {
		Nodes Nodes
		For   time.Duration
	}
	// SlowDisk lets each write take a time from now on.
	SlowDisk struct {
		Nodes Nodes
		Write time.Duration
	}
	// Slow lets each step of the nodes take a time from now on.
	Slow struct {
		Nodes Nodes
		Step  time.Duration
	}
	// Jump moves wall clocks, forwards or (below zero) backwards.
	Jump struct {
		Nodes Nodes
		By    time.Duration
	}
	// Rate lets clocks and timers run faster (above 1) or slower than true time.
	Rate struct {
		Nodes Nodes
		Rate  float64
	}
	// Elect calls for an election, as an application would.
	Elect struct{ Nodes Nodes }
	// Transfer asks nodes for a transfer from their accounts, as a client would. A node that is down or paused is not
	// asked.
	Transfer struct {
		Nodes  Nodes
		To     protocol.ID
		Amount int64 // 1 to 1,000,000
		Client Client
	}
	// Load asks a node for a transfer again and again: any node, to any other, of 1 to 20.
	Load struct {
		Every  time.Duration
		For    time.Duration // since the step is done
		Client Client
	}
	// Snapshot asks nodes for a snapshot, each for one of its own. A node that is down or paused is not asked.
	Snapshot struct{ Nodes Nodes }
	// Multicast asks nodes to cast messages to their group, as a client would. A node that is down or paused is not asked.
	Multicast struct {
		Nodes Nodes
		Order multicast.Order
		Message
		Every time.Duration // between one message and the next; 0: all are cast at once
	}
	// Multicasts asks a node for that again and again: any of Nodes, in any of Orders.
	Multicasts struct {
		Nodes  Nodes
		Orders []multicast.Order
		Message
		Every time.Duration
		For   time.Duration // since the step is done
	}
	// Leave has nodes leave the group in good order. They go on as nodes.
	Leave struct{ Nodes Nodes }
	// Join has nodes that have left the group come back.
	Join struct{ Nodes Nodes }
	// Names asks nodes to bind names to objects of theirs, to take them away and to look them up, again and again. In the simulator only.
	Names struct {
		Every time.Duration
		For   time.Duration // since the step is done
	}
	// Calm ends all faults: it heals all, resumes the paused, and makes links lossless. Who is down stays down. It is
	// not written as a step: the scenario's calm stands for it.
	Calm struct{}
)

// A Message is what a step casts to the group.
type Message struct {
	Uniform bool
	Text    string // with which each message begins; its number follows
	Count   int    // how many, 1 to 10,000; of Multicasts, at a time
	Size    int    // of each, in bytes, if that is more; 0 to 1,000,000
}

// String is what is said of messages behind the order.
func (m Message) String() string {
	text := ""
	if m.Count > 1 {
		text = fmt.Sprintf(", %d messages", m.Count)
	}
	if m.Size > 0 {
		text += fmt.Sprintf(", %d bytes each", m.Size)
	}
	if m.Text != "" {
		text += ", " + strconv.Quote(m.Text)
	}
	return text
}

// A Client is what one that asks for transfers does about an answer that does not come. The zero Client does nothing.
type Client struct {
	Again time.Duration // after which it asks the same node for the same with the same id, until there is an answer; 0: never
	Lost  float64       // the share of requests whose first answer gets lost on its way to the client
}

func (c Client) String() string {
	text := ""
	if c.Again > 0 {
		text = ", again after " + c.Again.String()
	}
	if c.Lost > 0 {
		text += fmt.Sprintf(", %s of the answers lost", network.Percent(c.Lost))
	}
	return text
}

// A LinkChange is what changes of a link; nil is left as the scenario's network has it.
type LinkChange struct {
	Delay     *network.Delay
	Loss      *float64
	Duplicate *float64
	FIFO      *bool
}

// Apply gives the link that l becomes.
func (c LinkChange) Apply(l network.Link) network.Link {
	if c.Delay != nil {
		l.Delay = *c.Delay
	}
	if c.Loss != nil {
		l.Loss = *c.Loss
	}
	if c.Duplicate != nil {
		l.Duplicate = *c.Duplicate
	}
	if c.FIFO != nil {
		l.FIFO = *c.FIFO
	}
	return l
}

func (c LinkChange) String() string {
	var parts []string
	if c.Delay != nil {
		parts = append(parts, "delay "+c.Delay.String())
	}
	if c.Loss != nil {
		parts = append(parts, "loss "+network.Percent(*c.Loss))
	}
	if c.Duplicate != nil {
		parts = append(parts, "duplicate "+network.Percent(*c.Duplicate))
	}
	if c.FIFO != nil {
		parts = append(parts, "fifo "+strconv.FormatBool(*c.FIFO))
	}
	return strings.Join(parts, ", ")
}

func (a Crash) String() string {
	if a.DiskLost {
		return fmt.Sprintf("crash %s, disk lost", a.Nodes)
	}
	return "crash " + a.Nodes.String()
}

func (a Recover) String() string { return "recover " + a.Nodes.String() }
func (a Pause) String() string   { return "pause " + a.Nodes.String() }
func (a Resume) String() string  { return "resume " + a.Nodes.String() }
func (a Isolate) String() string { return "isolate " + a.Nodes.String() }
func (a Cut) String() string     { return "cut " + a.Links.String() }
func (a Reset) String() string   { return "reset " + a.Links.String() }
func (a Change) String() string  { return fmt.Sprintf("link %s: %s", a.Links, a.To) }
func (a Heal) String() string    { return "heal " + a.Links.String() }
func (HealAll) String() string   { return "heal all" }
func (a Elect) String() string   { return "request an election of " + a.Nodes.String() }
func (Calm) String() string      { return "calm" }
func (a Snapshot) String() string {
	return "request a snapshot of " + a.Nodes.String()
}
func (a Leave) String() string { return a.Nodes.String() + " leaves the group" }
func (a Join) String() string  { return a.Nodes.String() + " joins the group again" }

func (a Multicast) String() string {
	text := fmt.Sprintf("multicast %s from %s%s", laneText(a.lanes()[0]), a.Nodes, a.Message)
	if a.Every > 0 {
		text += ", one every " + a.Every.String()
	}
	return text
}

func (a Multicasts) String() string {
	var lanes []string
	for _, l := range a.lanes() {
		lanes = append(lanes, laneText(l))
	}
	return fmt.Sprintf("multicasts %s from %s every %s for %s%s", strings.Join(lanes, ", "), a.Nodes, a.Every, a.For, a.Message)
}

func laneText(l multicast.Lane) string {
	if l.Uniform {
		return "uniform " + l.Order.String()
	}
	return l.Order.String()
}

func (a Load) String() string {
	return fmt.Sprintf("load every %s for %s%s", a.Every, a.For, a.Client)
}

func (a Names) String() string { return fmt.Sprintf("names every %s for %s", a.Every, a.For) }

func (a Transfer) String() string {
	return fmt.Sprintf("request a transfer of %d from %s to %d%s", a.Amount, a.Nodes, a.To, a.Client)
}

func (a Partition) String() string {
	groups := make([]string, len(a.Groups))
	for i, g := range a.Groups {
		groups[i] = joinIDs(g)
	}
	return "partition " + strings.Join(groups, " / ")
}

func (a StallDisk) String() string { return fmt.Sprintf("disk of %s stalls for %s", a.Nodes, a.For) }
func (a SlowDisk) String() string {
	return fmt.Sprintf("disk of %s takes %s a write", a.Nodes, a.Write)
}
func (a Slow) String() string { return fmt.Sprintf("%s takes %s a step", a.Nodes, a.Step) }
func (a Jump) String() string { return fmt.Sprintf("clock of %s jumps by %s", a.Nodes, a.By) }
func (a Rate) String() string {
	return fmt.Sprintf("clock of %s runs at %s", a.Nodes, strconv.FormatFloat(a.Rate, 'g', -1, 64))
}

// meant are all nodes that an action speaks of.
func meant(a Action) []Nodes {
	switch a := a.(type) {
	case Crash:
		return []Nodes{a.Nodes}
	case Recover:
		return []Nodes{a.Nodes}
	case Pause:
		return []Nodes{a.Nodes}
	case Resume:
		return []Nodes{a.Nodes}
	case Isolate:
		return []Nodes{a.Nodes}
	case Cut:
		return []Nodes{a.Links.From, a.Links.To}
	case Reset:
		return []Nodes{a.Links.From, a.Links.To}
	case Change:
		return []Nodes{a.Links.From, a.Links.To}
	case Heal:
		return []Nodes{a.Links.From, a.Links.To}
	case StallDisk:
		return []Nodes{a.Nodes}
	case SlowDisk:
		return []Nodes{a.Nodes}
	case Slow:
		return []Nodes{a.Nodes}
	case Jump:
		return []Nodes{a.Nodes}
	case Rate:
		return []Nodes{a.Nodes}
	case Elect:
		return []Nodes{a.Nodes}
	case Transfer:
		return []Nodes{a.Nodes}
	case Snapshot:
		return []Nodes{a.Nodes}
	case Multicast:
		return []Nodes{a.Nodes}
	case Leave:
		return []Nodes{a.Nodes}
	case Join:
		return []Nodes{a.Nodes}
	default:
		return nil
	}
}

// Mentions says whether an action speaks of nodes in that way.
func Mentions(a Action, w Who) bool {
	return slices.ContainsFunc(meant(a), func(n Nodes) bool { return n.Who == w })
}
