package gateway

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"

	cirandav1 "ciranda.dev/api/ciranda/v1"
)

// mostOpen is how far the newest request from an account is ahead of the oldest that has no answer. A node remembers
// some thousand answers in all; it must not forget one that is still wanted.
const mostOpen = 256

// names are the request ids of one client, a row of numbers for each account that money leaves: an account that is
// slow to answer then holds back nothing at the others.
type names struct {
	client string

	mu   sync.Mutex
	rows map[uint32]*row
}

// A row is the ids for one account.
type row struct {
	next  uint64
	open  []uint64      // those without an answer, ascending
	freed chan struct{} // closed when one gets it; nil while nobody waits
}

// newNames makes the ids of a client that nobody else is. The prefix is for people.
func newNames(prefix string) *names {
	return &names{client: prefix + "." + rand.Text()[:16], rows: map[uint32]*row{}}
}

// of is the client's name in ids for an account.
func (n *names) of(account uint32) string { return fmt.Sprintf("%s.%d", n.client, account) }

// take gives the next id for an account, or the error of ctx if that ends before there is room.
func (n *names) take(ctx context.Context, account uint32) (*cirandav1.RequestID, error) {
	for {
		id, freed := n.tryTake(account)
		if id != nil {
			return id, nil
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// tryTake gives an id, or what is closed when there may be room for another one.
func (n *names) tryTake(account uint32) (*cirandav1.RequestID, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := n.rows[account]
	if r == nil {
		r = &row{next: 1}
		n.rows[account] = r
	}
	if len(r.open) > 0 && r.next-r.open[0] >= mostOpen {
		if r.freed == nil {
			r.freed = make(chan struct{})
		}
		return nil, r.freed
	}
	id := &cirandav1.RequestID{Client: n.of(account), Number: r.next}
	r.next++
	r.open = append(r.open, id.Number)
	id.Below = r.open[0]
	return id, nil
}

// settle says that nobody will ask for the answer to a request again.
func (n *names) settle(account uint32, number uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := n.rows[account]
	if r == nil {
		return
	}
	if i, found := slices.BinarySearch(r.open, number); found {
		r.open = slices.Delete(r.open, i, i+1)
	}
	if r.freed != nil {
		close(r.freed)
		r.freed = nil
	}
}
