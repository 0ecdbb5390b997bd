package snapshot_test

import (
	"fmt"
	"slices"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/snapshot"
)

const reliable = protocol.FIFO | protocol.NoLoss

// A purse is the plain bank: it subtracts and sends, and adds what comes. It survives no crash. It numbers what it sends
// and remembers the last numbers that came, so that its states alone show what should be on the way.
type purse struct {
	protocol.Base
	Balance int64
	Sent    []uint64 // by node
	Got     []Coin   // the last from each node
	mute    bool     `layer:"const"` // it hands over no state
	bulk    []int    `layer:"const"` // the bytes of further pieces of its state
}

type (
	// Coin is money on its way: the N-th from a life of a node to another node.
	Coin struct {
		Life   protocol.Incarnation
		N      uint64
		Amount int64
	}
	// Purse is the state.
	Purse struct {
		Balance int64
		Sent    []uint64
		Got     []Coin
	}
	// Bulk is a further piece of the state.
	Bulk struct{ Bytes []byte }
	// Give is a call.
	Give struct {
		To     protocol.ID
		Amount int64
		Times  int
		Bounce bool
	}
)

func newPurse(self protocol.Self) *purse {
	n := len(self.Group) + 1
	return &purse{Balance: 100, Sent: make([]uint64, n), Got: make([]Coin, n)}
}

func (p *purse) Request(r any, o *protocol.Out) bool {
	give, ok := r.(protocol.Call).Body.(Give)
	for range give.Times {
		if give.To != o.Self().ID && int(give.To) < len(p.Sent) {
			p.give(give.To, give.Amount, o)
		}
	}
	return ok
}

func (p *purse) give(to protocol.ID, amount int64, o *protocol.Out) {
	p.Balance -= amount
	p.Sent[to]++
	o.Send(to, Coin{o.Self().Incarnation, p.Sent[to], amount})
}

func (p *purse) Receive(from protocol.ID, m protocol.Message, o *protocol.Out) {
	c := m.(Coin)
	p.Balance += c.Amount
	p.Got[from] = c
	if c.Amount%7 == 0 { // some money goes straight on
		p.give(protocol.ID(1+int(o.Self().ID)%len(o.Self().Group)), c.Amount-1, o)
	}
}

func (p *purse) Indicate(e protocol.Event, o *protocol.Out) bool {
	cut, ok := e.(snapshot.Cut)
	if ok && !p.mute {
		o.Request(snapshot.State{ID: cut.ID, More: len(p.bulk) > 0, State: o.Packet(Purse{p.Balance, slices.Clone(p.Sent), slices.Clone(p.Got)})})
		for i, size := range p.bulk {
			o.Request(snapshot.State{ID: cut.ID, More: i < len(p.bulk)-1, State: o.Packet(Bulk{make([]byte, size)})})
		}
	}
	return ok
}

func (p *purse) String() string { return fmt.Sprintf("has %d", p.Balance) }

func (p *purse) Traits() protocol.Traits {
	return protocol.Traits{Channel: "purse", Needs: reliable, Messages: []protocol.Message{Coin{}, Purse{}, Bulk{}}}
}

// wrong says what is wrong with a complete snapshot by its states alone; empty if nothing is.
func wrong(t snapshot.Taken, nodes int, crashes bool) string {
	if !t.Complete {
		return ""
	}
	if len(t.Nodes) != nodes || !t.Consistent {
		return fmt.Sprintf("it is complete with %d nodes of %d, consistent: %t", len(t.Nodes), nodes, t.Consistent)
	}
	total := int64(0)
	for _, to := range t.Nodes {
		state := to.State.Body.(Purse)
		total += state.Balance
		for _, from := range t.Nodes {
			if from.Node == to.Node {
				continue
			}
			coins := coinsOn(t, from.Node, to.Node)
			for _, c := range coins {
				total += c.Amount
			}
			if why := wrongOn(from, to, coins); why != "" {
				return fmt.Sprintf("from node %d to node %d: %s", from.Node, to.Node, why)
			}
		}
	}
	if !crashes && total != 100*int64(nodes) {
		return fmt.Sprintf("all money is %d", total)
	}
	return ""
}

func coinsOn(t snapshot.Taken, from, to protocol.ID) (coins []Coin) {
	for _, c := range t.Channels {
		if c.From == from && c.To == to {
			for _, m := range c.Messages {
				coins = append(coins, m.Body.(Coin))
			}
		}
	}
	return coins
}

// wrongOn compares what a node had got with what the other had sent: between them is what was on its way. Former lives
// may have sent something too, and a node that was restarted may have missed something.
func wrongOn(from, to snapshot.NodeState, coins []Coin) string {
	sent, got := from.State.Body.(Purse).Sent[to.Node], to.State.Body.(Purse).Got[from.Node]
	for len(coins) > 0 && coins[0].Life < from.Incarnation {
		coins = coins[1:]
	}
	last := uint64(0)
	known := to.Incarnation == 1
	if got.Life == from.Incarnation {
		last, known = got.N, true
	}
	switch {
	case got.Life > from.Incarnation:
		return fmt.Sprintf("it got a coin of life %d, and the state is that of life %d", got.Life, from.Incarnation)
	case last > sent:
		return fmt.Sprintf("it got coin %d, and %d were sent", last, sent)
	case !known && len(coins) == 0:
		return ""
	case !known:
		last = coins[0].N - 1
	}
	for _, c := range coins {
		if last++; c.Life != from.Incarnation || c.N != last {
			return fmt.Sprintf("coin %d of life %d is on its way, and coin %d of life %d is next", c.N, c.Life, last, from.Incarnation)
		}
	}
	if last != sent {
		return fmt.Sprintf("coins up to %d are there or on their way, and %d were sent", last, sent)
	}
	return ""
}
