// Package ciranda lets a Go service be a member of a group: one that knows its leader, agrees on who is there, multicasts in
// order, brings its state to those who join, and has its picture taken while it runs.
//
// [Join] makes the service a member: it listens for the others, watches them, and takes part in elections. [Member.Leader]
// says who leads at the moment, [Member.Watch] tells of every change. The members are fixed: each is told all others at
// its start; who is down is waited for, not forgotten.
//
// What a leader may rely on depends on the election. With a quorum (the default of three members or more) no two
// members lead in one term, and a leader that is cut off from the majority resigns within [Member.Overlap]; for so
// long two may think that they lead. Orders of a leader should therefore carry its [Term], and whoever carries them
// out should refuse those of a lower one than it has seen. Without a quorum each side of a partition has a leader.
//
// With a [Group] the member is also part of views and their messages. [Member.Events] gives both in one row, in which they
// cannot overtake one another; [Member.Multicast] sends to all members, [Member.Send] to one. A program whose state
// follows from the messages in total order is the same everywhere; one that joins or comes back loads the state of the
// others, and then gets what was delivered since. [Member.Snapshot] takes a consistent picture of all programs. The group
// goes on as long as a majority of its last view is up and in touch.
//
// What this package does not promise: that there is a leader at every moment, or that a pause of the process is
// noticed by itself before it acts again.
//
// The protocols themselves, the simulator and the tests for protocols of one's own are in the packages below; the
// handbook is in docs.
package ciranda

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"ciranda.dev/app/hosted"
	"ciranda.dev/engine/live"
	"ciranda.dev/engine/live/disk"
	"ciranda.dev/node/member"
	"ciranda.dev/node/names"
	"ciranda.dev/pki"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/election"
	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/multicast"
	"ciranda.dev/protocol/snapshot"
	"ciranda.dev/protocol/transfer"
	"ciranda.dev/rmi"
	"ciranda.dev/stacks"
	"ciranda.dev/transport"
	"ciranda.dev/transport/tcp"
)

// A Config says who joins which group. Cluster, ID, Peers and either Credentials or Secret are needed.
type Config struct {
	Cluster string         // the group's name; members of another one are refused
	ID      int            // this member, from 1 to 65535; among members of equal claim the highest leads
	Peers   map[int]string // where each member listens, HOST:PORT, this one too

	// Credentials are those of node ID of this cluster (ciranda pki issue --role node makes them, pki.Load reads them):
	// all that members send each other is encrypted, and nobody else can join.
	Credentials *pki.Credentials
	// Secret is known to the members and nobody else, at least 16 bytes. With it and without Credentials nobody else can
	// join, but what members send each other can be read and changed on its way.
	Secret []byte

	// Dir is where the member keeps what it must not forget; no two members share one. Empty means that it forgets,
	// which an election with a quorum does not allow.
	Dir string

	// Election is bully, bully+stable, bully+quorum or bully+stable+quorum. Empty means bully+stable+quorum, or bully+stable
	// if there are fewer than three members or no Dir. All members have the same.
	Election string
	Profile  string // of timeouts: Local, LAN or WAN; empty means LAN

	Group *Group // views and messages; nil: there is a leader and nothing else. All members have one, or none

	Listener net.Listener // where to listen instead of this member's address among the Peers; may be nil
	Log      *slog.Logger // for operators; nil: nothing is logged
}

// buffer is how many bytes of messages may wait to be read.
const buffer = 64 << 20

// A Term is the number of a reign. Terms are ordered by counter, then by leader, and never go back at a member that
// keeps its Dir.
type Term = election.Term

// A Leadership is what a member believes.
type Leadership struct {
	Leader int  // 0 if the member knows of none
	Term   Term // of that leader, or of the last one
	Mine   bool // this member leads
}

// A Member is a member of the group. Its methods may be called from any goroutine.
type Member struct {
	id    protocol.ID
	node  *live.Node
	store *disk.Store // nil if there is no Dir
	spec  stacks.Spec
	log   *slog.Logger

	group *Group // nil if there is none
	casts *member.Group
	row   row
	eaten eaten // of the goroutine that reads
	names *names.Names
	rmi   rmi.Options // all that is known of them

	joined chan struct{} // closed when Join is done: node is set, or there is none

	mu      sync.Mutex
	now     Leadership
	changed chan struct{} // closed at the next change
}

// Join makes this process a member. It returns at once, before there is a leader. The error says what is wrong with
// the configuration, that the address is in use, or that Dir is another member's.
func Join(c Config) (*Member, error) {
	spec, err := c.spec()
	if err != nil {
		return nil, fmt.Errorf("ciranda: %w", err)
	}
	m := &Member{id: protocol.ID(c.ID), spec: spec, log: c.Log, group: c.Group, changed: make(chan struct{}), joined: make(chan struct{})}
	defer close(m.joined)
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	if m.group != nil {
		m.casts, m.names = member.New(member.Options{}), names.New()
		m.row.wake, m.row.limit = make(chan struct{}, 1), cmp.Or(m.group.Buffer, buffer)
	}
	group := c.group()
	if c.Dir != "" {
		stored := spec
		stored.Registry = false // names are in memory only
		shape := fmt.Sprintf("%s, members %v", stored.Text(), group)
		if m.store, err = disk.Open(c.Dir, disk.Options{Cluster: c.Cluster, Node: protocol.ID(c.ID), Shape: shape}); err != nil {
			return nil, fmt.Errorf("ciranda: %w", err)
		}
	}
	m.node, err = live.Open(live.Config{
		Cluster: c.Cluster, Stack: spec.Text(), ID: protocol.ID(c.ID), Group: group, Build: spec.Build,
		Transport: c.transport(), Disk: m.store, Leave: m.hear, Log: c.Log, Seed: uint64(time.Now().UnixNano()),
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("ciranda: %w", err), m.closeStore(context.Background()))
	}
	if m.group != nil {
		m.casts.Attach(m.node)
		if err := m.openNames(&c); err != nil {
			return nil, errors.Join(err, m.node.Close(context.Background()), m.closeStore(context.Background()))
		}
	}
	return m, nil
}

// spec is the stack that is asked for, checked with all else.
func (c *Config) spec() (stacks.Spec, error) {
	spec := stacks.Spec{Election: c.Election, Profile: stacks.LAN}
	if spec.Election == "" {
		spec.Election = "bully+stable"
		if len(c.Peers) >= 3 && c.Dir != "" {
			spec.Election = "bully+stable+quorum"
		}
	}
	if c.Profile != "" {
		p, err := stacks.ParseProfile(c.Profile)
		if err != nil {
			return spec, err
		}
		spec.Profile = p
	}
	if c.Group != nil {
		if err := c.Group.validate(c.Dir); err != nil {
			return spec, err
		}
		spec.App, spec.Orders, spec.Registry = stacks.Hosted, cmp.Or(c.Group.names(), stacks.AllOrders), true
	}
	switch {
	case c.Cluster == "":
		return spec, errors.New("the Cluster has no name")
	case c.Peers[c.ID] == "" && c.Listener == nil:
		return spec, fmt.Errorf("member %d is not among the Peers", c.ID)
	case c.Credentials == nil && len(c.Secret) < 16:
		return spec, fmt.Errorf("there are no Credentials, and the Secret has %d bytes; expected 16 or more", len(c.Secret))
	case c.Credentials != nil && c.Secret != nil:
		return spec, errors.New("there are Credentials and a Secret; expected one of them")
	case c.Credentials != nil && c.Credentials.Identity() != c.identity():
		return spec, fmt.Errorf("the Credentials are those of %s; expected %s", c.Credentials.Identity(), c.identity())
	case spec.Has("quorum") && c.Dir == "":
		return spec, fmt.Errorf("the election %s needs a Dir: a member that forgets its grants breaks it", spec.Election)
	}
	for id := range c.Peers {
		if id < 1 || id > 65535 {
			return spec, fmt.Errorf("member %d; expected numbers from 1 to 65535", id)
		}
	}
	return spec, spec.Validate()
}

// identity is what the certificate of this member says.
func (c *Config) identity() pki.Identity {
	return pki.Identity{Cluster: c.Cluster, Role: pki.Node, Name: fmt.Sprint(c.ID)}
}

// group are all members, ascending.
func (c *Config) group() []protocol.ID {
	group := []protocol.ID{protocol.ID(c.ID)}
	for id := range maps.Keys(c.Peers) {
		group = append(group, protocol.ID(id))
	}
	slices.Sort(group)
	return slices.Compact(group)
}

func (c *Config) transport() func(transport.Handler, func() transport.Hello) (transport.Transport, error) {
	others := map[protocol.ID]string{}
	for id, address := range c.Peers {
		if id != c.ID {
			others[protocol.ID(id)] = address
		}
	}
	return func(h transport.Handler, hello func() transport.Hello) (transport.Transport, error) {
		config := tcp.Config{Hello: hello, Handler: h, Listener: c.Listener, Address: c.Peers[c.ID], Peers: others, Secret: c.Secret}
		if c.Credentials != nil {
			config.TLS, config.Identify = c.Credentials.Peer(), pki.PeerID
		}
		return tcp.Open(config)
	}
}

// hear takes what leaves the top of the stack.
func (m *Member) hear(e protocol.Event, _ uint64) {
	if m.names != nil {
		m.names.Hear(e)
	}
	switch e := e.(type) {
	case election.Elected:
		m.follow(e)
	case multicast.Delivery, hosted.Received, group.Installed, group.Excluded, group.Blocked, transfer.Capture, transfer.Load,
		transfer.Anew, snapshot.Cut:
		if m.group != nil && m.row.add(e) {
			go m.quit() // not in the node's own goroutine, which must not wait for itself
		}
	}
}

// follow notes who leads.
func (m *Member) follow(elected election.Elected) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = Leadership{Leader: int(elected.Leader), Term: elected.Term, Mine: elected.Leader == m.id}
	close(m.changed)
	m.changed = make(chan struct{})
}

// Leader is what this member believes now.
func (m *Member) Leader() Leadership {
	l, _ := m.leader()
	return l
}

func (m *Member) leader() (Leadership, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now, m.changed
}

// Watch gives what this member believes now, and then what it believes after every change, until ctx or the
// membership ends. Who is slow misses what was soon over, never the last word.
func (m *Member) Watch(ctx context.Context) iter.Seq[Leadership] {
	return func(yield func(Leadership) bool) {
		last := Leadership{Leader: -1}
		for {
			now, changed := m.leader()
			if now != last && !yield(now) {
				return
			}
			last = now
			select {
			case <-changed:
			case <-ctx.Done():
				return
			case <-m.node.Done():
				return
			}
		}
	}
}

// Overlap is for how long two members may think that they lead, but for pauses of the processes. Zero means that
// there is no bound: the election has no quorum.
func (m *Member) Overlap() time.Duration { return m.spec.Bound(stacks.StepDown) }

// Campaign calls for an election now, whoever leads. It returns when the election has begun.
func (m *Member) Campaign(ctx context.Context) error {
	answer, err := m.node.Call(ctx, election.Campaign{})
	if err != nil {
		return fmt.Errorf("ciranda: %w", err)
	}
	if refused, ok := answer.(protocol.Refused); ok {
		return fmt.Errorf("ciranda: %s", refused.Why)
	}
	return nil
}

// Done is closed when the membership has ended, by Leave or by itself; Err then says why.
func (m *Member) Done() <-chan struct{} { return m.node.Done() }

// Err is why the membership ended by itself; nil if it has not.
func (m *Member) Err() error { return m.node.Err() }

// Leave ends the membership in good order, as far as there is time until ctx ends: a leader resigns first, and the group
// gets a view without this member at once. Events that are there already can still be read.
func (m *Member) Leave(ctx context.Context) error {
	m.leaveGroup(ctx)
	if m.names != nil {
		m.names.Close()
	}
	return errors.Join(m.node.Close(ctx), m.closeStore(ctx))
}

func (m *Member) closeStore(ctx context.Context) error {
	if m.store == nil {
		return nil
	}
	return m.store.Close(ctx)
}
