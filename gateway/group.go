package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/node"
	"ciranda.dev/protocol"
)

// A Router serves the group as a whole: it passes each call on to a node that is a member, and stays with that one as
// long as it answers, so that messages of one client keep their order. A call that did nothing there is passed to the
// next member. A message that may have been sent is not sent again. It is an [api.Group].
type Router struct {
	dir     node.Directory
	dial    func(address string) (*api.Client, error)
	at      atomic.Uint32 // the node that it stays with; 0: none yet
	stats   GroupStats
	ctx     context.Context // of the streams
	cancel  context.CancelFunc
	mu      sync.Mutex
	clients map[string]*api.Client // by address
}

// GroupStats are what a router counts: calls that multicast by how they ended, and how often it asked another node.
type GroupStats struct {
	Done, Refused, Unavailable, Unknown, Moved atomic.Uint64
}

// NewRouter makes a router to the nodes of a directory. What is multicast and listened to goes over connections of its own,
// which dial makes. Close ends it.
func NewRouter(dir node.Directory, dial func(address string) (*api.Client, error)) *Router {
	g := &Router{dir: dir, dial: dial, clients: map[string]*api.Client{}}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	return g
}

// endStreams ends what would not end by itself.
func (g *Router) endStreams() { g.cancel() }

// Close ends the streams and connections.
func (g *Router) Close() error {
	g.endStreams()
	g.mu.Lock()
	defer g.mu.Unlock()
	var errs []error
	for _, c := range g.clients {
		errs = append(errs, c.Close())
	}
	clear(g.clients)
	return errors.Join(errs...)
}

// Stats are what the router counts.
func (g *Router) Stats() *GroupStats { return &g.stats }

// A station is a node that calls are passed to.
type station struct {
	id     uint32
	client *api.Client
}

// station is a node that is up.
func (g *Router) station(known *cirandav1.NodeStatus) (station, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	address := known.GetGrpcAddress()
	c := g.clients[address]
	if c == nil && g.ctx.Err() == nil {
		var err error
		if c, err = g.dial(address); err != nil {
			return station{}, err
		}
		g.clients[address] = c
	}
	if c == nil {
		return station{}, &api.Error{Code: codes.Unavailable, Text: "the gateway ends", Hint: "ask another one"}
	}
	return station{known.GetId(), c}, nil
}

// stations are the nodes that are up, or the one of a number.
func (g *Router) stations(number uint32) ([]station, error) {
	var all []station
	var ids []protocol.ID
	found := false
	for _, m := range g.dir.Members() {
		ids = append(ids, protocol.ID(m.Known.GetId()))
		if number != 0 && m.Known.GetId() != number {
			continue
		}
		found = true
		if m.Known.GetState() != cirandav1.NodeState_NODE_STATE_UP || m.Known.GetGrpcAddress() == "" {
			continue
		}
		s, err := g.station(m.Known)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	switch {
	case !found && number != 0:
		e := api.Wrong("node", "there is no node %d; expected one of %s", number, listed(ids))
		e.Code = codes.NotFound
		return nil, e
	case len(all) == 0 && number != 0:
		return nil, &api.Error{Code: codes.Unavailable, Text: fmt.Sprintf("node %d is not up", number), Hint: "status says which nodes are up"}
	case len(all) == 0:
		return nil, &api.Error{Code: codes.Unavailable, Text: "no node is up", Hint: "status says which nodes are up"}
	}
	return all, nil
}

// lookTime is how long nodes may take to show their views.
const lookTime = time.Second

// A sight is a node, with what it shows.
type sight struct {
	station
	view *cirandav1.ViewResponse
	err  error
}

// rank says how good a node is for those who have no wish: a member that goes on, another member, one that runs a group, any.
func (s *sight) rank() int {
	switch {
	case s.err != nil:
		return 0
	case !s.view.GetMember():
		return 1
	case s.view.GetBlocked() != "":
		return 2
	default:
		return 3
	}
}

// look asks nodes for their views, and gives the first that is a member and goes on, or else the best. Nodes that were tried
// are left out.
func (g *Router) look(ctx context.Context, number uint32, tried map[uint32]bool) (*sight, error) {
	all, err := g.stations(number)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	seen, asked := make(chan *sight, len(all)), 0
	for _, s := range all {
		if !tried[s.id] {
			asked++
			go func() {
				view, err := s.client.Group.View(ctx, &cirandav1.ViewRequest{})
				seen <- &sight{s, view, relayed(s.id, err)}
			}()
		}
	}
	if asked == 0 {
		return nil, errNoMore
	}
	best := <-seen
	for range asked - 1 {
		if best.rank() == 3 && (best.id == g.at.Load() || g.at.Load() == 0 || tried[g.at.Load()]) {
			break
		}
		if s := <-seen; s.rank() > best.rank() || s.rank() == best.rank() && s.id == g.at.Load() {
			best = s
		}
	}
	if best.err != nil {
		return nil, best.err
	}
	return best, nil
}

// errNoMore says that all nodes were tried.
var errNoMore = &api.Error{Code: codes.Unavailable, Text: "no node is a member of the group", Hint: "group shows the view"}

// relayed is an error of a node, with its number.
func relayed(id uint32, err error) error {
	e := api.AsError(err)
	if e == nil {
		return err
	}
	if name := fmt.Sprintf("node %d", id); !strings.HasPrefix(e.Text, name) {
		e.Text = name + ": " + e.Text
	}
	return e
}

// View shows the view of a node, or of some member.
func (g *Router) View(ctx context.Context, r *cirandav1.ViewRequest) (*cirandav1.ViewResponse, error) {
	s, err := g.look(ctx, r.GetNode(), nil)
	if err != nil {
		return nil, err
	}
	return s.view, nil
}

// choose gives the node that a call is passed to: the one that it is for, the one that the router stays with, or a member.
func (g *Router) choose(ctx context.Context, number uint32, tried map[uint32]bool) (station, error) {
	at := number
	if at == 0 {
		at = g.at.Load()
	}
	if at != 0 && !tried[at] {
		all, err := g.stations(at)
		if err == nil {
			return all[0], nil
		}
		if number != 0 {
			return station{}, err
		}
	}
	if number != 0 {
		return station{}, errNoMore
	}
	s, err := g.look(ctx, 0, tried)
	switch {
	case err != nil:
		return station{}, err
	case s.rank() < 2:
		return station{}, errNoMore
	}
	return s.station, nil
}

// Leave has a node leave the group.
func (g *Router) Leave(ctx context.Context, r *cirandav1.LeaveRequest) (*cirandav1.LeaveResponse, error) {
	s, err := g.named(r.GetNode())
	if err != nil {
		return nil, err
	}
	answer, err := s.client.Group.Leave(ctx, r)
	return answer, relayed(s.id, err)
}

// Join has a node come back.
func (g *Router) Join(ctx context.Context, r *cirandav1.JoinRequest) (*cirandav1.JoinResponse, error) {
	s, err := g.named(r.GetNode())
	if err != nil {
		return nil, err
	}
	answer, err := s.client.Group.Join(ctx, r)
	return answer, relayed(s.id, err)
}

// named is the node of a number, which must be given.
func (g *Router) named(number uint32) (station, error) {
	if number == 0 {
		return station{}, api.Wrong("node", "found no node; expected the number of one")
	}
	all, err := g.stations(number)
	if err != nil {
		return station{}, err
	}
	return all[0], nil
}

var _ api.Group = (*Router)(nil)
