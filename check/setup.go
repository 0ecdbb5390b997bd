package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/multicast"
	"ciranda.dev/trace"
)

// An Engine is the way in which a run came about. It decides what its times are worth.
type Engine uint8

// The engines.
const (
	Simulated  Engine = iota // virtual time, the same for all nodes, exact
	OneHost                  // processes of one machine: its monotonic clock, within 5 ms
	Containers               // containers on one kernel: its monotonic clock, within 10 ms
	Untimed                  // explored without time: only the order of events counts
)

var tolerances = [...]time.Duration{OneHost: 5 * time.Millisecond, Containers: 10 * time.Millisecond, Untimed: 0}

// A Basis is what a verdict rests on.
type Basis uint8

// The bases.
const (
	Order  Basis = iota // happened-before
	Global              // time that is the same for all nodes
	Local               // the clock of the node that the instance is about
)

// A Setup is what properties must know of the run that they judge.
type Setup struct {
	Nodes     []protocol.ID // all configured nodes, ascending
	Engine    Engine        // zero means Simulated
	Level     trace.Level   // what the trace records
	Tolerance time.Duration // of times; zero means the engine's own
	Delay     time.Duration // the longest that a message takes once the network is calm; zero means 10 ms
	Election  *Election     // nil if none runs
	Detector  *Detector     // nil if none runs
	Link      bool          // a link layer runs that notes what it carries (link.Options.Trace)
	Bank      *Bank         // nil if none runs
	Snapshot  *Snapshot     // nil if no layer for snapshots runs
	Group     *Group        // nil if none runs
	Transfer  bool          // a layer brings the state of the application to those who join
	Board     bool          // the application is a board
	Calls     bool          // the application is counters that nodes increment by calls
	Registry  bool          // a registry of names runs
	// References is nil if nodes do not refer to objects of one another.
	References *References
}

// References are what properties must know of how objects are collected.
type References struct {
	Lease time.Duration // of a client at an owner; zero means 10 s
	Pin   time.Duration // for which a reference may travel; zero means two leases
}

// An Election is what properties must know of the one that runs.
type Election struct {
	Classic bool          // it has no terms
	Stable  bool          // a node that returns asks first, and a living leader stays
	Quorum  bool          // a leader needs grants from a majority of the configured nodes
	Ask     time.Duration // for how long a returning node asks before it stands (Stable); zero: that is not judged
	Silence time.Duration // the least time without a word of its leader after which a follower may take it as lost; zero: unknown
}

// A Detector is what properties must know of the one that runs.
type Detector struct {
	Interval   time.Duration // between heartbeats
	Timeout    time.Duration // of silence, before a node is suspected; zero for a detector without timers
	Verify     time.Duration // between the hint of a closed connection and a suspicion for it
	Neighbours int           // how many nodes each one watches on a ring; zero means all
}

// A Bank is what properties must know of the one that runs.
type Bank struct {
	Balance int64         // of each account at first; zero means 100
	Resend  time.Duration // after which a transfer is sent again; zero means 500 ms
}

// A Snapshot is what properties must know of the layer for snapshots that runs.
type Snapshot struct {
	Within time.Duration // for which a snapshot takes at most; zero means 10 s
}

// A Group is what properties must know of the group that runs.
type Group struct {
	// Lanes are those in which something is cast, as far as that is known. A property about an order judges those that
	// promise it; if there are others only, it judges these, and may be violated. None means any.
	Lanes []multicast.Lane
	Casts bool // a layer for multicast runs
	Notes bool // it notes what it holds (multicast.Options.Trace)
}

func (s *Setup) withDefaults() *Setup {
	c := *s
	if c.Tolerance == 0 {
		c.Tolerance = tolerances[c.Engine]
	}
	if c.Delay == 0 {
		c.Delay = 10 * time.Millisecond
	}
	if c.Bank != nil {
		b := Bank{cmp.Or(c.Bank.Balance, 100), cmp.Or(c.Bank.Resend, 500*time.Millisecond)}
		c.Bank = &b
	}
	if c.Snapshot != nil {
		c.Snapshot = &Snapshot{cmp.Or(c.Snapshot.Within, 10*time.Second)}
	}
	if c.References != nil {
		lease := cmp.Or(c.References.Lease, 10*time.Second)
		c.References = &References{lease, cmp.Or(c.References.Pin, 2*lease)}
	}
	return &c
}

// validate says what is wrong with a setup.
func (s *Setup) validate() error {
	switch {
	case len(s.Nodes) == 0 || s.Nodes[0] == protocol.None || !slices.IsSorted(s.Nodes):
		return fmt.Errorf("found the nodes %v; expected numbers from 1, ascending", s.Nodes)
	case s.Engine > Untimed:
		return fmt.Errorf("found engine %d; expected 0 to %d", s.Engine, Untimed)
	case s.Tolerance < 0 || s.Delay < 0:
		return fmt.Errorf("found a tolerance of %s and a delay of %s; expected none below zero", s.Tolerance, s.Delay)
	}
	return nil
}

func (s *Setup) basis(b Basis) string {
	switch {
	case b == Order:
		return "happened-before"
	case s.Engine == Simulated:
		return "global time, exact"
	case s.Engine == Untimed:
		return "no time"
	case b == Local:
		return fmt.Sprintf("the node's clock, within %s", s.Tolerance)
	}
	return fmt.Sprintf("one host's clock, within %s", s.Tolerance)
}

// slack is what times are forgiven.
func (s *Setup) slack() int64 { return int64(s.Tolerance) }

// exact says that all that happens is recorded, also what a node does last.
func (s *Setup) exact() bool { return s.Engine == Simulated || s.Engine == Untimed }

// judges says whether a property about an order judges a lane: see Group.Lanes.
func (s *Setup) judges(l multicast.Lane, promises func(multicast.Lane) bool) bool {
	return promises(l) || len(s.Group.Lanes) > 0 && !slices.ContainsFunc(s.Group.Lanes, promises)
}

func (s *Setup) majority() int { return len(s.Nodes)/2 + 1 }

// timeout is the detector's, or that of the reference network.
func (s *Setup) timeout() time.Duration {
	if s.Detector == nil || s.Detector.Timeout == 0 {
		return 350 * time.Millisecond
	}
	return s.Detector.Timeout
}

// wholeSeconds rounds up.
func wholeSeconds(d time.Duration) time.Duration {
	return (d + time.Second - 1).Truncate(time.Second)
}

// electionBound is within what an election ends once the network is calm: the old leader may have to be suspected
// twice, and two seconds are for the election itself.
func (s *Setup) electionBound() time.Duration { return wholeSeconds(2*s.timeout() + 2*time.Second) }

// detectionBound is within what a detector is complete and accurate once the network is calm. On a ring two blocks of
// neighbours may have to be waited for in turn, and only every tenth interval is a node held to be down told so.
func (s *Setup) detectionBound() time.Duration {
	d := s.timeout() + 2*s.Delay
	if s.Detector == nil {
		return wholeSeconds(d)
	}
	if s.Detector.Neighbours > 0 {
		d = 2*d + 20*s.Detector.Interval
	}
	return wholeSeconds(d + s.Detector.Interval)
}

// resetBound is within what a node that is taken as trusted must be heard of, or suspected again. On a ring it may have
// to be asked for its beats first, or another node must notice.
func (s *Setup) resetBound() time.Duration {
	if s.Detector != nil && s.Detector.Neighbours > 0 {
		return s.timeout() + s.Detector.Interval + 2*s.Delay
	}
	return s.timeout()
}

// bankBound is within what a transfer is applied once the network is calm.
func (s *Setup) bankBound() time.Duration { return wholeSeconds(10 * s.Bank.Resend) }

// groupBound is within what a group is in one view once the network is calm: the lost must be suspected, and two seconds are
// for who was cut off, to hear of the view and to join it again.
func (s *Setup) groupBound() time.Duration { return s.detectionBound() + 2*time.Second }

// Params are the parameters of a property, by name. One that is absent has its default.
type Params map[string]time.Duration

func (p Params) get(param Param, s *Setup) time.Duration {
	if d, ok := p[param.Name]; ok {
		return d
	}
	if param.value == nil {
		return 0
	}
	return param.value(s)
}

// New makes a property of the table by its name. It refuses, in words, a name or parameter that does not exist, and
// a property that such a cluster cannot exercise.
func New(name string, params Params, setup Setup) (Property, error) {
	spec := Lookup(name)
	if spec == nil {
		return nil, fmt.Errorf("found the property %q; expected one of %s", name, strings.Join(Names(), ", "))
	}
	if err := setup.validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := spec.checkParams(params); err != nil {
		return nil, err
	}
	if err := spec.Refuses(setup); err != nil {
		return nil, err
	}
	s := setup.withDefaults()
	b := base{spec: spec, setup: s}
	if reason := spec.blind(s); reason != "" {
		return &silent{base: b, reason: reason}, nil
	}
	var values []time.Duration
	for _, p := range spec.Params {
		values = append(values, params.get(p, s))
	}
	return spec.build(b, values), nil
}

// A silent property cannot be judged on a run of its kind.
type silent struct {
	base
	reason string `layer:"const"`
}

func (p *silent) Kinds() Kinds        { return 0 }
func (p *silent) Step(*trace.Event)   {}
func (p *silent) Result(int64) Result { return p.unexercised(p.reason) }
