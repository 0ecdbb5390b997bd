package bench

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"ciranda.dev/api"
	"ciranda.dev/engine/live"
	"ciranda.dev/engine/live/disk"
	"ciranda.dev/pki"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/multicast"
	"ciranda.dev/stacks"
	"ciranda.dev/trace"
	"ciranda.dev/transport"
	"ciranda.dev/transport/tcp"
)

const (
	multicastCluster = "bench"
	// A member has so many casts under way at a time, each with messages of so many bytes in all.
	castsUnderWay = 16
	castBytes     = 64 << 10
	// settleFor is how long a member waits at most for what was sent to be delivered.
	settleFor = 5 * time.Second
)

// ServeMulticast is a member of [Multicast]: a node with its disk, its transport and the trace of a usual one, and the
// sender that is measured in the same process. It reads its configuration and tasks from in, a line each, and writes
// reports to out. It returns when in ends.
func ServeMulticast(in io.Reader, out io.Writer) error {
	tasks, reports := json.NewDecoder(in), json.NewEncoder(out)
	p := &participant{}
	if err := tasks.Decode(&p.config); err != nil {
		return err
	}
	if err := p.listen(); err != nil {
		return err
	}
	defer p.close()
	if err := reports.Encode(addresses{p.listener.Addr().String(), p.mesh.listener.Addr().String()}); err != nil {
		return err
	}
	for {
		var t task
		if err := tasks.Decode(&t); err != nil {
			if err == io.EOF {
				err = nil
			}
			return err
		}
		r, err := p.do(t)
		if err != nil {
			r.Problem = err.Error()
		}
		if err := reports.Encode(r); err != nil {
			return err
		}
	}
}

// A participant is a member, as it sees itself.
type participant struct {
	config   memberConfig
	listener net.Listener
	mesh     *mesh
	all      []addresses
	store    *disk.Store
	node     *live.Node
	tally    *tally
	lanes    uint64 // casters so far
}

func (p *participant) listen() (err error) {
	if p.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return err
	}
	p.mesh, err = newMesh()
	return err
}

func (p *participant) do(t task) (r report, err error) {
	switch t.Do {
	case "meet":
		r.Coordinator, err = p.meet(t)
	case "raw":
		r.PerSecond, r.Busy = p.mesh.run(t.For)
	case "load":
		r, err = p.load(t.For)
	case "settle":
		r.Sum, r.Hash, err = p.tally.settle(t.Total)
	case "trips":
		r.Took, err = trips(p.all[t.Peer-1].Raw, p.config.Size, t.For)
	case "casts":
		r.Took, err = p.casts(t.For)
	default:
		err = fmt.Errorf("found the task %q", t.Do)
	}
	return r, err
}

// meet connects the mesh, starts the node and waits until all are members of one group.
func (p *participant) meet(t task) (protocol.ID, error) {
	p.all = t.All
	for _, a := range p.all[p.config.ID:] {
		if err := p.mesh.dial(a.Raw); err != nil {
			return protocol.None, err
		}
	}
	if err := p.mesh.others(len(p.all)-1, t.For); err != nil {
		return protocol.None, err
	}
	if err := p.start(); err != nil {
		return protocol.None, err
	}
	return p.joined(t.For)
}

func (p *participant) start() (err error) {
	id := p.config.ID
	if p.store, err = disk.Open(p.config.Dir, disk.Options{Cluster: multicastCluster, Node: id}); err != nil {
		return err
	}
	p.tally = newTally(p.config.Order != multicast.Reliable, p.config.Size)
	ids := make([]protocol.ID, p.config.Members)
	for i := range ids {
		ids[i] = protocol.ID(i + 1)
	}
	p.node, err = live.Open(live.Config{
		Cluster: multicastCluster, Stack: p.config.stack().Text(), ID: id, Group: ids, Build: p.config.stack().Build, Transport: p.transport, Disk: p.store,
		Sink: trace.NewRing(1 << 14), Level: trace.Protocol, Leave: p.tally.take, Seed: uint64(id),
	})
	return err
}

// stack is what the nodes of a usual cluster run, without an application.
func (c *memberConfig) stack() stacks.Spec { return stacks.Spec{Orders: stacks.AllOrders} }

func (p *participant) transport(h transport.Handler, hello func() transport.Hello) (transport.Transport, error) {
	c := tcp.Config{Hello: hello, Handler: h, Listener: p.listener, Peers: map[protocol.ID]string{}}
	for i, a := range p.all {
		if id := protocol.ID(i + 1); id != p.config.ID {
			c.Peers[id] = a.Peer
		}
	}
	if p.config.Credentials == "" {
		token, err := api.ReadToken(p.config.Token)
		if err != nil {
			return nil, err
		}
		c.Secret = token.Secret("peer")
		return tcp.Open(c)
	}
	own, err := pki.Load(p.config.Credentials)
	if err != nil {
		return nil, err
	}
	c.TLS, c.Identify = own.Peer(), pki.PeerID
	return tcp.Open(c)
}

// joined waits until all members are in one view, and names its coordinator.
func (p *participant) joined(patience time.Duration) (protocol.ID, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var last any
	for ctx.Err() == nil {
		answer, err := p.node.Ask(ctx, group.Query{})
		if err != nil {
			return protocol.None, err
		}
		if s := answer.(group.Status); s.Member && len(s.View.Members) == p.config.Members {
			return s.View.Coordinator(), nil
		}
		last = answer
		time.Sleep(5 * time.Millisecond)
	}
	return protocol.None, fmt.Errorf("the members are not one group after %s: %+v", patience, last)
}

// A caster is one of a member's senders. It casts one thing after the other.
type caster struct {
	*participant
	lane   uint64 // which one it is, of all members
	number uint64 // of its last message
}

func (p *participant) casters(n int) []caster {
	all := make([]caster, n)
	for i := range all {
		p.lanes++
		all[i] = caster{participant: p, lane: uint64(p.config.ID)<<32 | p.lanes}
	}
	return all
}

// load casts for so long, as fast as casts are taken, and says what was delivered meanwhile.
func (p *participant) load(length time.Duration) (r report, err error) {
	p.tally.begin()
	began, first := time.Now(), firstFor(length)
	var senders sync.WaitGroup
	casters, errs := p.casters(castsUnderWay), make([]error, castsUnderWay)
	perCast := max(1, castBytes/p.config.Size)
	for i := range casters {
		senders.Go(func() {
			for errs[i] == nil && time.Since(began) < length {
				errs[i] = casters[i].cast(perCast)
			}
		})
	}
	time.Sleep(first - time.Since(began))
	busy := cpuTime()
	time.Sleep(length - time.Since(began))
	r.Busy = (cpuTime() - busy).Seconds() / (length - first).Seconds()
	r.First, r.PerSecond = p.tally.rate(length)
	senders.Wait()
	for _, c := range casters {
		r.Cast += c.number
	}
	return r, cmp.Or(errs...) // they fail for the same reason
}

// cast casts new messages at once and waits until they are delivered here. Each begins with its caster and its number.
func (c *caster) cast(count int) error {
	size := c.config.Size
	all := make([]byte, count*size)
	payloads := make([][]byte, count)
	for i := range payloads {
		c.number++
		payloads[i] = all[i*size : (i+1)*size : (i+1)*size]
		binary.BigEndian.PutUint64(payloads[i], c.lane)
		binary.BigEndian.PutUint64(payloads[i][8:], c.number)
	}
	answer, err := c.node.Call(context.Background(), multicast.Cast{Order: c.config.Order, Uniform: c.config.Uniform, Payloads: payloads})
	if _, ok := answer.(multicast.Sent); err == nil && !ok {
		err = fmt.Errorf("a cast was answered by %+v", answer)
	}
	return err
}

// casts casts one message after the other, and gives the microseconds until each was delivered here.
func (p *participant) casts(length time.Duration) (took []float64, err error) {
	caster := &p.casters(1)[0]
	now := time.Now()
	for end := now.Add(length); now.Before(end); {
		if err := caster.cast(1); err != nil {
			return nil, err
		}
		after := time.Now()
		took = append(took, float64(after.Sub(now))/1e3)
		now = after
	}
	return took[min(rpcWarmUp, len(took)-1):], nil
}

func (p *participant) close() {
	p.listener.Close()
	p.mesh.listener.Close()
	if p.node != nil {
		p.node.Kill() // who ends first is suspected by the others: that is no part of the measurement
	}
	if p.store != nil {
		_ = p.store.Close(context.Background()) // it is thrown away
	}
}
