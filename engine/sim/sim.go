// Package sim runs a world in virtual time with seeded chance: the same configuration and seed give the same run,
// step for step, on every machine.
//
// Messages take as long as the network model draws; timers expire when they should; a [Script] brings the faults.
// What a step of a node costs is nothing, unless the node is made slow. A run can be recorded as a list of steps and
// taken again by package world, without a seed.
package sim

import (
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"ciranda.dev/engine/network"
	"ciranda.dev/engine/world"
	"ciranda.dev/protocol"
)

// A Config says what is run.
type Config struct {
	World    world.Config
	Seed     uint64
	Network  network.Link  // every link, unless the script says otherwise
	Script   []Action      // in any order
	Calm     time.Duration // from here on no fault; everything is healed. Zero: never
	Duration time.Duration // of the run, in virtual time

	// DiskLimit is how long a write may wait before the node is told that its disk has stalled. Zero means 350ms.
	DiskLimit time.Duration
	// Queue is how many messages may wait for a node that is paused or slow; more are lost. Zero means 10,000.
	Queue int
	// Oracle says that the nodes' detector is the oracle: it suspects a node that is down after a message's delay.
	Oracle bool
	// Halt, if set, is asked after every change of what nodes know; the run ends where it says so.
	Halt func() bool
}

// An Action is something done to the system.
type Action struct {
	At   time.Duration     // not before this moment
	When func(s *Sim) bool // and once this holds; nil for at once. It is asked when something changes
	Do   func(s *Sim)
}

// A Result is what came of a run.
type Result struct {
	Steps    uint64        // taken
	Messages uint64        // delivered
	Elapsed  time.Duration // virtual
	Waiting  []int         // actions of the script, by index, whose moment never came
}

// A Sim is a run.
type Sim struct {
	cfg      Config
	w        *world.World
	queue    queue
	now      time.Duration
	network  *network.Source
	faults   *network.Source
	streams  []network.Source // of the nodes
	links    map[link]*network.Link
	arrived  map[link]time.Duration // of FIFO links: when the last message arrives
	nodes    []condition
	chosen   map[link][2]protocol.Incarnation // the life of from whose oracle suspects which life of to, or is about to
	waiting  []int                            // actions that are due and whose condition does not hold yet
	hindered int                              // grows with every pause and slowness: before the first one every step is allowed
	seen     uint64
	result   Result
	onLeave  func(protocol.ID, protocol.Event)
}

type link struct{ from, to protocol.ID }

// A condition is what the simulator knows of a node beyond the world.
type condition struct {
	held  []entry       // what waits for a paused node
	queue int           // messages that wait for a slow one
	cost  time.Duration // of a step
	busy  time.Duration // until then
	disk  time.Duration // how long a sync takes; stalled for never
	told  bool          // the node knows that its disk has stalled
}

const stalled = time.Duration(-1)

// The streams of random numbers of a seed. Nodes' follow.
const (
	networkStream = iota + 1
	faultStream
	nodeStream
)

// New makes a run in which every node starts at time zero, one after the other.
func New(cfg Config) (*Sim, error) {
	if cfg.Duration <= 0 {
		return nil, fmt.Errorf("sim: a duration of %s; expected more than zero", cfg.Duration)
	}
	if err := cfg.Network.Validate(); err != nil {
		return nil, fmt.Errorf("sim: the network has %w", err)
	}
	if cfg.DiskLimit == 0 {
		cfg.DiskLimit = 350 * time.Millisecond
	}
	if cfg.Queue == 0 {
		cfg.Queue = 10_000
	}
	cfg.Script = slices.Clone(cfg.Script) // Plan adds to it
	s := &Sim{cfg: cfg, links: map[link]*network.Link{}, arrived: map[link]time.Duration{}, chosen: map[link][2]protocol.Incarnation{}}
	w, err := world.New(cfg.World, s)
	if err != nil {
		return nil, err
	}
	s.w = w
	s.network, s.faults = network.NewSource(cfg.Seed, networkStream), network.NewSource(cfg.Seed, faultStream)
	s.nodes = make([]condition, cfg.World.Nodes)
	for i := range cfg.World.Nodes {
		s.streams = append(s.streams, *network.NewSource(cfg.Seed, uint64(nodeStream+i)))
	}
	return s, nil
}

// World is the system that is run.
func (s *Sim) World() *world.World { return s.w }

// Now is the virtual time.
func (s *Sim) Now() time.Duration { return s.now }

// Faults is the stream of random numbers for scripts.
func (s *Sim) Faults() *network.Source { return s.faults }

// OnLeave gives every event that leaves the top of a node's stack to f.
func (s *Sim) OnLeave(f func(protocol.ID, protocol.Event)) { s.onLeave = f }

// Run runs to the end of the duration, or until the configuration's Halt. The error is a [*world.Cheat] or a panic of
// a handler.
func (s *Sim) Run() (result Result, err error) {
	defer s.rescue(&result, &err)
	for _, id := range s.w.Group() {
		s.w.Start(id)
	}
	for i, a := range s.cfg.Script {
		s.queue.push(a.At, entry{kind: act, ref: uint32(i)})
	}
	if s.cfg.Calm > 0 {
		s.queue.push(s.cfg.Calm, entry{kind: calm})
	}
	return s.finish()
}

// Continue goes on with a run that has ended, up to a later moment. The trace then has more than one end.
func (s *Sim) Continue(until time.Duration) (result Result, err error) {
	defer s.rescue(&result, &err)
	s.cfg.Duration = until
	return s.finish()
}

func (s *Sim) finish() (Result, error) {
	s.loop()
	s.w.End()
	s.result.Elapsed = s.now
	s.result.Waiting = s.waiting
	return s.result, s.w.Err()
}

// rescue makes an error of a handler's panic.
func (s *Sim) rescue(result *Result, err *error) {
	if p := recover(); p != nil {
		*result, *err = s.result, fmt.Errorf("sim: seed %d at %s: %v\n%s", s.cfg.Seed, s.now, p, debug.Stack())
	}
}

func (s *Sim) loop() {
	for s.queue.len() > 0 {
		first := s.queue.first()
		if (*first)[0].at > s.cfg.Duration {
			break
		}
		e := first.pop()
		s.now = e.at
		s.w.SetNow(e.at)
		s.handle(e)
		if changes := s.w.Changes(); changes != s.seen {
			s.seen = changes
			s.consultOracle()
			s.tryWaiting()
			if s.cfg.Halt != nil && s.cfg.Halt() || s.w.Err() != nil {
				return
			}
		}
	}
	s.now = s.cfg.Duration
	s.w.SetNow(s.now)
}

func (s *Sim) handle(e entry) {
	switch e.kind {
	case deliver:
		if s.hindered == 0 || s.mayStep(s.w.Flight(world.FlightRef(e.ref)).To, e) {
			s.result.Steps++
			s.result.Messages++
			s.w.Deliver(world.FlightRef(e.ref))
		}
	case timer:
		s.expire(e)
	case lose:
		s.w.Lose(world.FlightRef(e.ref))
	case double:
		s.w.Double(world.FlightRef(e.ref))
	case sync:
		s.sync(e.node)
	case watchDisk:
		s.checkDisk(e.node)
	case choose:
		s.choose(e)
	case act:
		s.waiting = append(s.waiting, int(e.ref))
		s.tryWaiting()
	case calm:
		s.Calm()
	}
}

// expire looks at a timer at the moment at which it was queued: it may have been moved or disarmed since.
func (s *Sim) expire(e entry) {
	t := world.TimerRef(e.ref)
	queued := s.w.Queued(e.node, t)
	if *queued != e.at && !e.held {
		return
	}
	*queued = -1
	at, armed := s.w.TimerAt(e.node, t)
	switch {
	case !armed:
	case at > s.now:
		s.Armed(e.node, t, at)
	case s.hindered == 0 || s.mayStep(e.node, e):
		s.result.Steps++
		s.w.Fire(e.node, t)
	}
}

// mayStep says whether a node may take a step now. If not, e is held until it may.
func (s *Sim) mayStep(id protocol.ID, e entry) bool {
	n := &s.nodes[id-1]
	if n.cost == 0 && !s.w.Paused(id) {
		return true
	}
	if !s.w.Up(id) {
		return true // to be dropped
	}
	if e.held {
		n.queue = max(0, n.queue-1)
	}
	waits := n.busy > s.now
	if (waits || s.w.Paused(id)) && n.queue+len(n.held) >= s.cfg.Queue && e.kind == deliver {
		s.w.Overflow(world.FlightRef(e.ref))
		return false
	}
	e.held = true
	if s.w.Paused(id) {
		n.held = append(n.held, e)
		return false
	}
	if waits {
		n.queue++
		s.queue.push(n.busy, e)
		return false
	}
	n.busy = s.now + n.cost
	return true
}

// tryWaiting does the actions that are due and whose conditions hold.
func (s *Sim) tryWaiting() {
	for i := 0; i < len(s.waiting); {
		a := &s.cfg.Script[s.waiting[i]]
		if a.When != nil && !a.When(s) {
			i++
			continue
		}
		s.waiting = append(s.waiting[:i:i], s.waiting[i+1:]...)
		a.Do(s)
		i = 0
	}
}

// The simulator is its world's policy.

// Sent draws what becomes of a message.
func (s *Sim) Sent(ref world.FlightRef) {
	f := s.w.Flight(ref)
	l := s.link(f.From, f.To)
	at := s.now + l.Delay.Draw(s.network)
	if f.Closed {
		s.queue.push(s.afterMessages(f, at), entry{kind: deliver, ref: uint32(ref)})
		return
	}
	if l.FIFO {
		p := link{f.From, f.To}
		at = max(at, s.arrived[p]+1)
		s.arrived[p] = at
	}
	if f.Copy == 0 && s.network.Chance(l.Duplicate) {
		s.queue.push(s.now, entry{kind: double, ref: uint32(ref)}) // before it can arrive
	}
	kind := deliver
	if s.network.Chance(l.Loss) || f.Heard && l.Mute {
		kind = lose
	}
	s.queue.push(at, entry{kind: kind, ref: uint32(ref)})
}

// afterMessages is a moment not before at and after the arrival of all messages of the closed connection.
func (s *Sim) afterMessages(closed *world.Flight, at time.Duration) time.Duration {
	for i := range s.queue.messages {
		e := &s.queue.messages[i]
		if e.kind != deliver {
			continue
		}
		if f := s.w.Flight(world.FlightRef(e.ref)); f.From == closed.From && f.To == closed.To {
			at = max(at, e.at+1)
		}
	}
	return at
}

// Armed queues a timer, unless it will be looked at before it expires anyway.
func (s *Sim) Armed(id protocol.ID, t world.TimerRef, at time.Duration) {
	if queued := s.w.Queued(id, t); *queued < 0 || *queued > at {
		*queued = at
		s.queue.push(at, entry{kind: timer, node: id, ref: uint32(t)})
	}
}

// Persisted queues the sync of a write and a look at whether it came.
func (s *Sim) Persisted(id protocol.ID) {
	if d := s.nodes[id-1].disk; d != stalled {
		s.queue.push(s.now+d, entry{kind: sync, node: id})
	}
	s.queue.push(s.now+s.cfg.DiskLimit, entry{kind: watchDisk, node: id})
}

// Left passes on what left a stack.
func (s *Sim) Left(id protocol.ID, e protocol.Event) {
	if s.onLeave != nil {
		s.onLeave(id, e)
	}
}

// Draw draws from the node's own stream.
func (s *Sim) Draw(id protocol.ID, n int) int { return s.streams[id-1].Intn(n) }
