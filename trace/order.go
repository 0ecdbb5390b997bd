package trace

import (
	"iter"
	"slices"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/clock"
)

// An Order is the happened-before of some events: the order of each node's events, also from a life to the next, and
// that of each sending before its receipts. It is built from message ids alone; the stamps in the events are not used.
//
// It takes 12 bytes an event. Vectors are computed when asked for, since they take a number for each node and event.
type Order struct {
	events []Event
	nodes  []protocol.ID
	lane   []int32 // by event: the index of its node, -1 if it is no node's event
	count  []int32 // by event: how many of its node's events there are up to it
	send   []int32 // by event: of a receipt, the event that sent the message; else -1

	// Missing are the receipts whose sending is not among the events before them: the sender's record was cut.
	Missing []int
}

// NewOrder builds the order of events that stand in an order in which they could have happened, such as that of a
// simulation, or that of Merge.
func NewOrder(events []Event) *Order {
	n := len(events)
	o := &Order{events: events, lane: make([]int32, n), count: make([]int32, n), send: make([]int32, n)}
	o.nodes = nodesOf(events)
	lanes := map[protocol.ID]int32{}
	for i, id := range o.nodes {
		lanes[id] = int32(i)
	}
	counts := make([]int32, len(o.nodes))
	sends := map[MessageID]int32{}
	for i := range events {
		e := &events[i]
		o.lane[i], o.send[i] = -1, -1
		if !e.OfNode() {
			continue
		}
		l := lanes[e.Node]
		counts[l]++
		o.lane[i], o.count[i] = l, counts[l]
		switch e.Kind {
		case Send:
			sends[e.Message()] = int32(i)
		case Receive:
			o.findSend(i, sends)
		}
	}
	return o
}

func (o *Order) findSend(i int, sends map[MessageID]int32) {
	if s, ok := sends[o.events[i].Message()]; ok {
		o.send[i] = s
		return
	}
	o.Missing = append(o.Missing, i)
}

// nodesOf are the nodes that have events, ascending.
func nodesOf(events []Event) []protocol.ID {
	seen := map[protocol.ID]bool{}
	var nodes []protocol.ID
	for i := range events {
		if e := &events[i]; e.OfNode() && !seen[e.Node] {
			seen[e.Node] = true
			nodes = append(nodes, e.Node)
		}
	}
	slices.Sort(nodes)
	return nodes
}

// Nodes are those that have events, ascending. Dense vectors have an entry for each, in this order.
func (o *Order) Nodes() []protocol.ID { return o.nodes }

// Sending is the event that sent the message which event i received, or -1.
func (o *Order) Sending(i int) int { return int(o.send[i]) }

// Before says whether event i happened before event j. It looks at the events between them.
func (o *Order) Before(i, j int) bool {
	if i >= j || o.lane[i] < 0 || o.lane[j] < 0 {
		return false
	}
	known := o.past(j, i)
	return known[o.lane[i]] >= o.count[i]
}

// Past gives event j and all that happened before it, ascending.
func (o *Order) Past(j int) []int {
	if o.lane[j] < 0 {
		return nil
	}
	known := o.past(j, 0)
	var past []int
	for i := range j + 1 {
		if l := o.lane[i]; l >= 0 && o.count[i] <= known[l] {
			past = append(past, i)
		}
	}
	return past
}

// past says of each node how many of its events are event j or before it; it is right as far as events from number
// down on are concerned.
func (o *Order) past(j, down int) []int32 {
	known := make([]int32, len(o.nodes))
	known[o.lane[j]] = o.count[j]
	for k := j; k >= down; k-- {
		s := o.send[k]
		if s >= 0 && o.count[k] <= known[o.lane[k]] {
			known[o.lane[s]] = max(known[o.lane[s]], o.count[s])
		}
	}
	return known
}

// Stamp is the vector stamp of event j: of each life of a node, how many of its events are j or happened before it.
// It is nil for what is no node's event.
func (o *Order) Stamp(j int) clock.Vector {
	if o.lane[j] < 0 {
		return nil
	}
	v := clock.Vector{}
	known := o.past(j, 0)
	for i := range j + 1 {
		if l := o.lane[i]; l >= 0 && o.count[i] <= known[l] {
			v[clock.Process{Node: o.events[i].Node, Incarnation: o.events[i].Inc}]++
		}
	}
	return v
}

// Vectors gives, in order, the dense vector of each node's event that keep keeps; nil keeps all. Entries count kept
// events only, but what happened before passes through the others too. The vector is only lent.
//
// Memory is a vector for each node and for each message on its way.
func (o *Order) Vectors(keep func(i int) bool) iter.Seq2[int, []uint32] {
	return func(yield func(int, []uint32) bool) {
		now := make([][]uint32, len(o.nodes))
		for l := range now {
			now[l] = make([]uint32, len(o.nodes))
		}
		waiting := o.receipts()
		flying := map[int32][]uint32{}
		for i := range o.events {
			l := o.lane[i]
			if l < 0 {
				continue
			}
			if s := o.send[i]; s >= 0 {
				merge(now[l], flying[s])
				if waiting[s]--; waiting[s] == 0 {
					delete(flying, s)
				}
			}
			kept := keep == nil || keep(i)
			if kept {
				now[l][l]++
			}
			if waiting[int32(i)] > 0 {
				flying[int32(i)] = slices.Clone(now[l])
			}
			if kept && !yield(i, now[l]) {
				return
			}
		}
	}
}

// receipts counts the receipts of each sending.
func (o *Order) receipts() map[int32]int32 {
	n := map[int32]int32{}
	for _, s := range o.send {
		if s >= 0 {
			n[s]++
		}
	}
	return n
}

func merge(into, from []uint32) {
	for i, n := range from {
		into[i] = max(into[i], n)
	}
}
