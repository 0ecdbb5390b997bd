package scenario

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"ciranda.dev/app/bank"
	"ciranda.dev/protocol"
)

// The limits of clients of real processes.
const (
	leastEvery = 5 * time.Millisecond // between requests of a load: all that nodes tell of them must be gathered
	mostOpen   = 256                  // requests of a run that wait for an answer; beyond that a load leaves some out
	patience   = time.Second          // of a client that does not ask again
)

// clients are all of a run. They ask beside the run, until it ends.
type clients struct {
	cluster Live
	nodes   int
	busy    sync.WaitGroup
	places  chan struct{} // taken by requests that wait
}

func newClients(s *Scenario, cluster Live) *clients {
	return &clients{cluster: cluster, nodes: s.Cluster.Nodes, places: make(chan struct{}, mostOpen)}
}

// A liveClient asks for the transfers of a step.
type liveClient struct {
	Client
	*clients
	mu     sync.Mutex
	wallet wallet
}

func (c *clients) client(is Client, line int) *liveClient {
	return &liveClient{Client: is, clients: c, wallet: walletOf(line)}
}

// ask begins to ask for a transfer. It does not if too many wait.
func (c *liveClient) ask(ctx context.Context, node protocol.ID, t bank.Transfer) {
	select {
	case c.places <- struct{}{}:
	default:
		return
	}
	c.busy.Go(func() {
		defer func() { <-c.places }()
		if c.Again > 0 {
			c.insist(ctx, node, t)
			return
		}
		once, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		c.cluster.Transfer(once, node, t)
	})
}

// insist asks again and again until there is an answer or the run ends.
func (c *liveClient) insist(ctx context.Context, node protocol.ID, t bank.Transfer) {
	c.mu.Lock()
	number := c.wallet.next()
	c.mu.Unlock()
	for lost := rand.Float64() < c.Lost; ctx.Err() == nil; {
		answered := c.attempt(ctx, node, t, number, lost)
		if answered && !lost {
			return
		}
		lost = lost && !answered
	}
}

// attempt asks once, and says whether the node answered. If the client has not heard so, it returns when it is time to
// ask again.
func (c *liveClient) attempt(ctx context.Context, node protocol.ID, t bank.Transfer, number uint64, lost bool) bool {
	again, cancel := context.WithTimeout(ctx, c.Again)
	defer cancel()
	c.mu.Lock()
	t.Request = c.wallet.id(number)
	c.mu.Unlock()
	answered := c.cluster.Transfer(again, node, t)
	if !answered || lost {
		<-again.Done()
		return answered
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wallet.answered(number)
	return true
}

// load lets nodes pay one another for a time: who, whom and how much is drawn.
func (c *liveClient) load(ctx context.Context, every, last time.Duration) {
	c.busy.Go(func() {
		tick, end := time.NewTicker(every), time.NewTimer(last)
		defer tick.Stop()
		defer end.Stop()
		for {
			from := rand.IntN(c.nodes)
			to := (from + 1 + rand.IntN(c.nodes-1)) % c.nodes
			c.ask(ctx, protocol.ID(from+1), bank.Transfer{To: protocol.ID(to + 1), Amount: int64(1 + rand.IntN(maxLoad))})
			select {
			case <-tick.C:
			case <-end.C:
				return
			case <-ctx.Done():
				return
			}
		}
	})
}
