package bank

import (
	"slices"

	"ciranda.dev/protocol"
)

// answers are what a node remembers of clients' requests. Of each client there is a number below which answers may be
// forgotten; a request below it that is not remembered is never done.
type answers struct {
	held    map[requestID]answer
	order   []requestID // the oldest first; among them some that are forgotten
	clients map[string]client
	idle    []string // clients of whom no answer is held, the one that lost its last answer first in front
}

type requestID struct {
	client string
	number uint64
}

type client struct {
	floor   uint64   // unless held, answers below are forgotten
	numbers []uint64 // of the answers held, ascending
}

// An answer is what was asked and what became of it.
type answer struct {
	to     protocol.ID
	amount int64
	number uint64 // of the transfer; 0 if it was refused
	why    string // it was refused
}

// find gives the answer to a request. It is forgotten if there may have been one.
func (a *answers) find(r Request) (found answer, known, forgotten bool) {
	found, known = a.held[requestID{r.Client, r.Number}]
	return found, known, !known && r.Number < a.clients[r.Client].floor
}

// remember keeps an answer, and forgets those that the client no longer wants and, over the limit, the oldest.
func (a *answers) remember(r Request, n answer, limit int) {
	if a.held == nil {
		a.held, a.clients = map[requestID]answer{}, map[string]client{}
	}
	c, known := a.clients[r.Client]
	if i := slices.Index(a.idle, r.Client); known && len(c.numbers) == 0 && i >= 0 {
		a.idle = slices.Delete(a.idle, i, i+1)
	}
	a.held[requestID{r.Client, r.Number}] = n
	a.order = append(a.order, requestID{r.Client, r.Number})
	i, _ := slices.BinarySearch(c.numbers, r.Number)
	c.numbers = slices.Insert(c.numbers, i, r.Number)
	for len(c.numbers) > 0 && c.numbers[0] < r.Below {
		delete(a.held, requestID{r.Client, c.numbers[0]})
		c.numbers = c.numbers[1:]
	}
	c.floor = max(c.floor, r.Below)
	a.clients[r.Client] = c
	a.trim(limit)
}

// trim forgets what is over the limit.
func (a *answers) trim(limit int) {
	for len(a.held) > limit || len(a.order) > 0 && !a.holds(a.order[0]) {
		a.forget(a.order[0])
		a.order = a.order[1:]
	}
	for len(a.idle) > limit {
		delete(a.clients, a.idle[0])
		a.idle = a.idle[1:]
	}
	if len(a.order) > 2*limit {
		a.order = slices.DeleteFunc(a.order, func(id requestID) bool { return !a.holds(id) })
	}
}

func (a *answers) holds(id requestID) bool {
	_, held := a.held[id]
	return held
}

// forget lets go of an answer, if it is held. Its client's later requests are told apart from it by the floor.
func (a *answers) forget(id requestID) {
	if !a.holds(id) {
		return
	}
	delete(a.held, id)
	c := a.clients[id.client]
	i, _ := slices.BinarySearch(c.numbers, id.number)
	c.numbers = slices.Delete(c.numbers, i, i+1)
	c.floor = max(c.floor, id.number+1)
	a.clients[id.client] = c
	if len(c.numbers) == 0 {
		a.idle = append(a.idle, id.client)
	}
}
