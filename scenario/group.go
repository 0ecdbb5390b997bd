package scenario

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"ciranda.dev/engine/sim"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/multicast"
	"ciranda.dev/stacks"
	"github.com/goccy/go-yaml/ast"
)

// Bounds of what a step casts to the group.
const (
	maxCount = 10_000    // messages
	maxSize  = 1_000_000 // bytes of a message: no layer takes much more
	maxCast  = 1000      // bytes of a text
)

// orders reads which orders the group runs: all, one, or a list of them.
func (r *reader) orders(n ast.Node) string {
	if isScalar(n) {
		return r.choice(n, append([]string{stacks.AllOrders}, stacks.OrderNames...))
	}
	names := r.orderList(n)
	if len(names) == len(stacks.OrderNames) {
		return stacks.AllOrders
	}
	return strings.Join(names, "+")
}

// orderList reads some orders. They are given in the order in which people are told of them.
func (r *reader) orderList(n ast.Node) []string {
	var found []string
	for _, v := range r.list(n, "orders: "+oneOf(stacks.OrderNames)) {
		name := r.choice(v, stacks.OrderNames)
		if slices.Contains(found, name) {
			r.wrong(v, quote(name)+" again", "each order once")
		}
		found = append(found, name)
	}
	if len(found) == 0 {
		r.wrong(n, "no order", oneOf(stacks.OrderNames))
	}
	slices.SortFunc(found, func(a, b string) int {
		return cmp.Compare(slices.Index(stacks.OrderNames, a), slices.Index(stacks.OrderNames, b))
	})
	return found
}

// Runs says whether the cluster's group runs an order.
func (c Cluster) Runs(o multicast.Order) bool {
	return c.Orders == stacks.AllOrders || slices.Contains(strings.Split(c.Orders, "+"), o.String())
}

// multicast reads `{from: 2, order: total, uniform: true, text: hello}`.
func (r *reader) multicast(n ast.Node) Action {
	m := Multicast{Message: Message{Count: 1}}
	for _, f := range r.fields(n, "multicast", []string{"from", "order", "uniform", "text", "count", "every", "size"}) {
		switch f.name {
		case "from":
			m.Nodes = r.nodes(f.value)
		case "order":
			m.Order = r.order(f.value)
		case "every":
			m.Every = r.duration(f.value, time.Millisecond)
		default:
			r.message(&m.Message, f)
		}
	}
	switch {
	case m.Nodes.Who == "" || m.Order == 0:
		r.wrong(n, "a multicast that does not say all", "from: 2 and order: total")
	case m.Every > 0 && m.Count == 1:
		r.wrong(n, "one message every "+m.Every.String(), "count: 3 beside it, or another number of messages")
	}
	return m
}

// multicasts reads `{from: all, every: 5ms, for: 3s, orders: [fifo, total]}`.
func (r *reader) multicasts(n ast.Node) Action {
	m := Multicasts{Nodes: Nodes{Who: All}, Message: Message{Count: 1}}
	for _, f := range r.fields(n, "multicasts", []string{"from", "orders", "uniform", "text", "count", "every", "for", "size"}) {
		switch f.name {
		case "from":
			m.Nodes = r.nodes(f.value)
		case "orders":
			if isScalar(f.value) {
				m.Orders = []multicast.Order{r.order(f.value)}
				break
			}
			for _, name := range r.orderList(f.value) {
				o, _ := multicast.ParseOrder(name)
				m.Orders = append(m.Orders, o)
			}
		case "every":
			m.Every = r.duration(f.value, time.Millisecond)
		case "for":
			m.For = r.duration(f.value, time.Millisecond)
		default:
			r.message(&m.Message, f)
		}
	}
	if m.Every == 0 || m.For == 0 || len(m.Orders) == 0 {
		r.wrong(n, "multicasts that do not say all", "every: 5ms, for: 3s and orders: [fifo, total]")
	}
	return m
}

func (r *reader) order(n ast.Node) multicast.Order {
	o, _ := multicast.ParseOrder(r.choice(n, stacks.OrderNames))
	return o
}

// message reads what is the same for one multicast and for many.
func (r *reader) message(m *Message, f field) {
	switch f.name {
	case "uniform":
		m.Uniform = r.truth(f.value)
	case "text":
		if m.Text = text(f.value); len(m.Text) > maxCast {
			r.wrong(f.value, fmt.Sprintf("a text of %d bytes", len(m.Text)), fmt.Sprintf("at most %d; size makes messages long", maxCast))
		}
	case "count":
		m.Count = r.number(f.value, 1, maxCount)
	case "size":
		m.Size = r.number(f.value, 1, maxSize)
	}
}

// checkGroup refuses what needs a group where there is none, an order that it does not run, and what would come too late.
func (r *reader) checkGroup(s *Scenario, step Step, n ast.Node) {
	var lanes []multicast.Lane
	last := time.Duration(0)
	switch a := step.Do.(type) {
	case Multicast:
		lanes, last = a.lanes(), time.Duration(a.Count)*a.Every
	case Multicasts:
		lanes, last = a.lanes(), a.For
	case Leave, Join:
	default:
		if step.When.Kind == Grouped && s.Cluster.Orders == "" {
			r.wrong(n, "a step that waits for a group, and no group", "cluster: {orders: all}")
		}
		return
	}
	if s.Cluster.Orders == "" {
		r.wrong(n, fmt.Sprintf("%s, and no group", step.Do), "cluster: {orders: all}")
		return
	}
	for _, l := range lanes {
		if !s.Cluster.Runs(l.Order) {
			r.wrong(n, fmt.Sprintf("a multicast in the order %s, and the group runs %s", l.Order, s.Cluster.Orders), "one of those")
		}
	}
	if step.When.Kind == "" && step.At+last > s.Duration {
		r.wrong(n, fmt.Sprintf("multicasts until %s, after the end", step.At+last), fmt.Sprintf("them over by then, %s", s.Duration))
	}
}

func (m Multicast) lanes() []multicast.Lane {
	return []multicast.Lane{{Order: m.Order, Uniform: m.Uniform}}
}

func (m Multicasts) lanes() []multicast.Lane {
	var lanes []multicast.Lane
	for _, o := range m.Orders {
		lanes = append(lanes, multicast.Lane{Order: o, Uniform: m.Uniform})
	}
	return lanes
}

// lanes are those in which the scenario's steps cast, each once.
func (s *Scenario) lanes() []multicast.Lane {
	var all []multicast.Lane
	for _, step := range s.Steps {
		var lanes []multicast.Lane
		switch a := step.Do.(type) {
		case Multicast:
			lanes = a.lanes()
		case Multicasts:
			lanes = a.lanes()
		}
		for _, l := range lanes {
			if !slices.Contains(all, l) {
				all = append(all, l)
			}
		}
	}
	return all
}

// cast is what a client asks for in a lane: messages from a number on, of a text or of none.
func (m Message) cast(l multicast.Lane, from, count int) casting {
	return casting{Lane: l, text: m.Text, from: from, count: count, size: m.Size}
}

// A casting is a cast by the parts that its name has.
type casting struct {
	multicast.Lane
	text        string
	from, count int // the number of the first message, and how many there are
	size        int // of each, in bytes; 0: as long as its text
}

// cast is the call.
func (c casting) cast() multicast.Cast {
	call := multicast.Cast{Order: c.Order, Uniform: c.Uniform}
	for i := range c.count {
		p := []byte(fmt.Sprintf("%s%d", c.text, c.from+i))
		if len(p) < c.size {
			p = append(p, strings.Repeat(".", c.size-len(p))...)
		}
		call.Payloads = append(call.Payloads, p)
	}
	return call
}

const (
	castWord  = "multicast"
	leaveName = "leave the group"
	joinName  = "join the group"
)

// name is what steps of a run call a cast.
func (c casting) name() string {
	uniform := ""
	if c.Uniform {
		uniform = "uniform "
	}
	return fmt.Sprintf("%s %s%s %d from %d of %d %s", castWord, uniform, c.Order, c.count, c.from, c.size, strconv.Quote(c.text))
}

// groupCall makes what a client asks of a group from its name; nil if it is nothing of the kind.
func groupCall(name string) any {
	switch {
	case name == leaveName:
		return group.Leave{}
	case name == joinName:
		return group.Join{}
	case !strings.HasPrefix(name, castWord+" "):
		return nil
	}
	var c casting
	rest := strings.TrimPrefix(name, castWord+" ")
	rest, c.Uniform = strings.CutPrefix(rest, "uniform ")
	var order, quoted string
	if n, err := fmt.Sscanf(rest, "%s %d from %d of %d %q", &order, &c.count, &c.from, &c.size, &quoted); n != 5 || err != nil {
		return nil
	}
	c.text = quoted
	var err error
	if c.Order, err = multicast.ParseOrder(order); err != nil || c.name() != name {
		return nil
	}
	if c.count < 1 || c.count > maxCount || c.size < 0 || c.size > maxSize {
		return nil
	}
	return c.cast()
}

// multicast casts the messages of a step, all at once or one after the other.
func (p *player) multicast(m Multicast) {
	lane := m.lanes()[0]
	if m.Every == 0 {
		p.each(m.Nodes, func(id protocol.ID) { p.sim.Request(id, m.cast(lane, 1, m.Count).name()) })
		return
	}
	ids, _ := p.cast.resolve(m.Nodes)
	ids = slices.Clone(ids)
	for i := range m.Count {
		p.sim.Plan(sim.Action{At: p.sim.Now() + time.Duration(i)*m.Every, Do: func(s *sim.Sim) {
			for _, id := range ids {
				s.Request(id, m.cast(lane, i+1, 1).name())
			}
		}})
	}
}

// multicasts casts until a moment: who and in which order is drawn from the run's stream of faults, and as many numbers
// whoever is up.
func (p *player) multicasts(m Multicasts, number int, until time.Duration) {
	f, lanes := p.sim.Faults(), m.lanes()
	lane, draw := lanes[f.Intn(len(lanes))], f.Intn(1<<20)
	if ids, _ := p.cast.resolve(m.Nodes); len(ids) > 0 {
		if id := ids[draw%len(ids)]; id != protocol.None {
			p.sim.Request(id, m.cast(lane, number, m.Count).name())
		}
	}
	if next := p.sim.Now() + m.Every; next < until {
		p.sim.Plan(sim.Action{At: next, Do: func(*sim.Sim) { p.multicasts(m, number+m.Count, until) }})
	}
}
