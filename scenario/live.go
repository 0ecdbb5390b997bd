package scenario

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"ciranda.dev/app/bank"
	"ciranda.dev/check"
	"ciranda.dev/engine/network"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/multicast"
	"ciranda.dev/trace"
)

// A Place is where clusters of real processes are started: this machine, or containers.
type Place interface {
	// Engine is what reports call it.
	Engine() Engine
	// Nodes is how many nodes a cluster has here, at least and at most.
	Nodes() (least, most int)
	// Supports says why something cannot be done to a cluster here; nil if it can.
	Supports(a Action) error
	// Open starts a fresh cluster that records at a level, and gives it back when all of its nodes are up.
	Open(ctx context.Context, s *Scenario, level trace.Level) (Live, error)
}

// A Live is a running cluster. Its methods return when what they were asked for is done; but for those of clients, from
// Transfer on, they are called one at a time. Nodes are those of the scenario.
type Live interface {
	// Now is the clock that stamps events.
	Now() time.Duration
	// Follow hands over the events of all nodes since they were started, as they arrive, each node's in their order.
	// When ctx ends it hands over what had happened before that, and returns.
	Follow(ctx context.Context, record func(trace.Event)) error

	Kill(ctx context.Context, id protocol.ID) error
	Recover(ctx context.Context, id protocol.ID, diskLost bool) error
	Pause(ctx context.Context, id protocol.ID) error
	Resume(ctx context.Context, id protocol.ID) error
	// SetLinks makes links what is said; text is the fault in words. The zero Link leaves messages alone.
	SetLinks(ctx context.Context, text string, links []LinkState) error
	Reset(ctx context.Context, a, b protocol.ID) error
	// SetDisk stalls a disk, or lets each write take longer; neither makes it well.
	SetDisk(ctx context.Context, id protocol.ID, stall bool, write time.Duration) error
	// SetSlow lets each step of a node take so long; 0 is as fast as it goes.
	SetSlow(ctx context.Context, id protocol.ID, step time.Duration) error
	JumpClock(ctx context.Context, id protocol.ID, by time.Duration) error
	SetRate(ctx context.Context, id protocol.ID, rate float64) error
	// Elect calls for an election at a node. That it refuses is no error.
	Elect(ctx context.Context, id protocol.ID) error
	// Transfer asks a node for a transfer from its account, once, and says whether there was an answer before ctx
	// ended; also that it refuses is one. It may be called many times at once, and while other methods run.
	Transfer(ctx context.Context, id protocol.ID, t bank.Transfer) (answered bool)
	// Cast asks a node to multicast messages in its group, and says whether it delivered them itself before ctx ended. It may
	// be called as Transfer.
	Cast(ctx context.Context, id protocol.ID, c multicast.Cast) (delivered bool)
	// Snapshot asks a node for a snapshot, and returns when that is over or refused, or ctx ends: what comes of it is in the
	// events. It may be called as Transfer.
	Snapshot(ctx context.Context, id protocol.ID)
	// Leave has a node leave its group, and Join come back, if it does not refuse. They may be called as Transfer.
	Leave(ctx context.Context, id protocol.ID)
	Join(ctx context.Context, id protocol.ID)

	// Close ends all processes.
	Close() error
}

// A LinkState is what happens to messages of a direction.
type LinkState struct {
	Pair
	Link network.Link
}

// LiveRuns says how a scenario is run on real processes.
type LiveRuns struct {
	Runs     int                  // how many; zero means one
	Level    trace.Level          // of what is recorded, at least; zero means what the properties need
	Progress func(done, runs int) // may be nil
}

// Refuses says why the scenario cannot be run in a place; nil if it can.
func (s *Scenario) Refuses(p Place) error {
	if !s.Allows(p.Engine()) {
		return fmt.Errorf("%s is not for %s; it says on: %v", s.File, p.Engine(), s.On)
	}
	if least, most := p.Nodes(); s.Cluster.Nodes < least || s.Cluster.Nodes > most {
		return fmt.Errorf("%s: found %d nodes; expected %d to %d on %s", s.File, s.Cluster.Nodes, least, most, p.Engine())
	}
	if s.Own != (LinkChange{}) {
		all := Links{From: Nodes{Who: All}, To: Nodes{Who: All}}
		if err := p.Supports(Change{all, s.Own}); err != nil {
			return fmt.Errorf("%s: the network, %s, cannot be had on %s: %w", s.File, s.Own, p.Engine(), err)
		}
	}
	for _, step := range s.Steps {
		if l, ok := step.Do.(Load); ok && l.Every < leastEvery {
			return fmt.Errorf("%s:%d: %s cannot be had on %s: found one every %s; expected %s or more",
				s.File, step.Line, l, p.Engine(), l.Every, leastEvery)
		}
		if err := cmp.Or(fitsGroup(step.Do), fitsNames(step.Do)); err != nil {
			return fmt.Errorf("%s:%d: %s cannot be had on %s: %w", s.File, step.Line, step.Do, p.Engine(), err)
		}
		if err := p.Supports(step.Do); err != nil {
			return fmt.Errorf("%s:%d: %s cannot be done on %s: %w", s.File, step.Line, step.Do, p.Engine(), err)
		}
	}
	return nil
}

// RunLive runs the scenario on real processes: a fresh cluster for each run. When ctx ends the report is that of the
// runs so far. The error says what could not be done.
func (s *Scenario) RunLive(ctx context.Context, p Place, c LiveRuns) (*Report, error) {
	if err := s.Refuses(p); err != nil {
		return nil, err
	}
	began := time.Now()
	report := newReport(s, p.Engine())
	runs := cmp.Or(c.Runs, 1)
	var err error
	for report.Runs < runs && ctx.Err() == nil && err == nil {
		if err = s.addLive(ctx, p, max(c.Level, s.Level()), report); c.Progress != nil && err == nil {
			c.Progress(report.Runs, runs)
		}
	}
	report.Interrupted = ctx.Err() != nil
	report.Elapsed = time.Since(began).Seconds()
	report.conclude()
	for i := range report.Properties {
		report.Properties[i].Seed = nil // there are none
	}
	if report.Standstill >= worthTelling.Seconds() {
		report.Reason += fmt.Sprintf("; for %.1f s the machine stood still", report.Standstill)
	}
	report.Repeat = fmt.Sprintf("ciranda run %s --on %s", s.File, p.Engine())
	if report.Interrupted {
		err = nil
	}
	return report, err
}

// addLive does one run and takes it into account. Of a run that was interrupted nothing is.
func (s *Scenario) addLive(ctx context.Context, p Place, level trace.Level, report *Report) error {
	properties, err := s.properties(s.Setup(p.Engine(), level))
	if err != nil {
		return err
	}
	cluster, err := p.Open(ctx, s, level)
	if err != nil {
		return err
	}
	r := newLiveRun(s, cluster)
	pulse := newPulse()
	err = r.run(ctx)
	report.Standstill = max(report.Standstill, pulse.end().Seconds())
	if closing := cluster.Close(); err == nil {
		err = closing
	}
	if err != nil || ctx.Err() != nil {
		return err
	}
	h, err := s.header(p.Engine(), level)
	if err != nil {
		return err
	}
	events, err := r.merged(h)
	if err != nil {
		return err
	}
	before := report.violations()
	report.add(judgeEvents(events, properties, r.left))
	if report.Trail == nil || before == 0 { // the first run that violates something, else the last
		report.Trail = events
	}
	return nil
}

func judgeEvents(t *trace.Trace, properties []check.Property, left string) outcome {
	suite := check.NewSuite(properties...)
	o := outcome{events: uint64(len(t.Events)), left: left}
	for i := range t.Events {
		suite.Record(&t.Events[i])
		if t.Events[i].Kind == trace.Receive {
			o.messages++
		}
	}
	o.results = suite.Results()
	return o
}
