package scenario

import (
	"fmt"
	"slices"

	"ciranda.dev/app/bank"
	"ciranda.dev/engine/sim"
	"ciranda.dev/protocol"
)

// A wallet gives the requests of a client their ids, and knows which of them have no answer yet.
type wallet struct {
	name string
	last uint64
	open []uint64 // ascending
}

// walletOf is that of the client of a step.
func walletOf(line int) wallet { return wallet{name: fmt.Sprintf("step-%d", line)} }

// next is the id of a new request.
func (w *wallet) next() uint64 {
	w.last++
	w.open = append(w.open, w.last)
	return w.last
}

// id is that of a request as it is made now. A request that has an answer is not made again.
func (w *wallet) id(number uint64) bank.Request {
	return bank.Request{Client: w.name, Number: number, Below: w.open[0]}
}

// answered notes that there is an answer.
func (w *wallet) answered(number uint64) {
	if i, found := slices.BinarySearch(w.open, number); found {
		w.open = slices.Delete(w.open, i, i+1)
	}
}

// waits says whether there is none.
func (w *wallet) waits(number uint64) bool {
	_, found := slices.BinarySearch(w.open, number)
	return found
}

// A simClient is one in the simulator. It asks at once and hears at once.
type simClient struct {
	Client
	*player
	wallet wallet
}

// A callID names a call in a run.
type callID struct {
	node protocol.ID
	call uint64
}

// An awaited answer is one that a client waits for.
type awaited struct {
	client *simClient
	number uint64
	lost   bool // it gets lost on its way
}

func (p *player) client(c Client) *simClient {
	return &simClient{Client: c, player: p, wallet: walletOf(p.scenario.Steps[p.next-1].Line)}
}

// ask asks for a transfer, as often as it takes if the client asks again.
func (c *simClient) ask(node protocol.ID, t bank.Transfer) {
	if c.Again == 0 {
		c.sim.Request(node, transferName(t))
		return
	}
	lost := c.Lost > 0 && c.sim.Faults().Chance(c.Lost)
	c.attempt(node, t, c.wallet.next(), lost)
}

func (c *simClient) attempt(node protocol.ID, t bank.Transfer, number uint64, lost bool) {
	if !c.wallet.waits(number) {
		return
	}
	if w := c.sim.World(); w.Up(node) && !w.Paused(node) {
		t.Request = c.wallet.id(number)
		c.awaited[callID{node, w.NextCall(node)}] = awaited{c, number, lost}
		c.sim.Request(node, transferName(t))
		lost = false
	}
	c.sim.Plan(sim.Action{At: c.sim.Now() + c.Again, Do: func(*sim.Sim) { c.attempt(node, t, number, lost) }})
}

// hear takes an answer to a client.
func (p *player) hear(node protocol.ID, e protocol.Event) {
	reply, ok := e.(protocol.Reply)
	if !ok {
		return
	}
	id := callID{node, reply.ID}
	if a, ok := p.awaited[id]; ok && !a.lost {
		a.client.wallet.answered(a.number)
	}
	delete(p.awaited, id)
}
