package scenario

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"ciranda.dev/engine/network"
	"ciranda.dev/protocol"
	"ciranda.dev/trace"
)

// A liveRun is one run on real processes. It belongs to the goroutine that calls run; another one follows the events
// and hands them over.
type liveRun struct {
	scenario *Scenario
	cluster  Live
	cast     cast
	began    time.Duration // on the cluster's clock
	left     string        // the first step that was not done, and why
	calmed   bool

	clients *clients
	asking  context.Context // of the clients: they ask until it ends

	arriving chan trace.Event
	failed   chan error // of following, if it ended by itself
	events   []trace.Event

	links  map[Pair]network.Link // that are not as at first
	lost   map[protocol.ID]bool  // nodes whose disk is lost with their last crash
	disks  map[protocol.ID]bool  // that are slow or stalled
	slow   map[protocol.ID]bool
	rated  map[protocol.ID]bool
	stalls []stall // that will end by themselves, the next one first
}

// A stall is a disk's, until its end.
type stall struct {
	id  protocol.ID
	end time.Duration // since the run began
}

func newLiveRun(s *Scenario, cluster Live) *liveRun {
	return &liveRun{scenario: s, cluster: cluster, clients: newClients(s, cluster), cast: cast{view: newView(s.Cluster.Nodes)},
		arriving: make(chan trace.Event, 1024), failed: make(chan error, 1), links: map[Pair]network.Link{}, lost: map[protocol.ID]bool{},
		disks: map[protocol.ID]bool{}, slow: map[protocol.ID]bool{}, rated: map[protocol.ID]bool{}}
}

// run does the steps, calms the cluster and waits for the end.
func (r *liveRun) run(ctx context.Context) error {
	following, stop := context.WithCancel(ctx)
	go func() {
		defer close(r.arriving)
		if err := r.cluster.Follow(following, func(e trace.Event) { r.arriving <- e }); err != nil {
			r.failed <- fmt.Errorf("the events of the cluster: %w", err)
		}
	}()
	asking, quit := context.WithCancel(ctx)
	r.asking = asking
	r.began = r.cluster.Now()
	err := r.experiment(ctx)
	quit()
	r.clients.busy.Wait()
	end := r.note(trace.End, trace.Ending{})
	stop()
	for e := range r.arriving {
		if e.T <= end { // what comes later is no part of the run
			r.take(e)
		}
	}
	select {
	case failed := <-r.failed: // a run of which events are missing is none
		if err == nil {
			err = failed
		}
	default:
	}
	return err
}

func (r *liveRun) experiment(ctx context.Context) error {
	s := r.scenario
	if s.Own != (LinkChange{}) {
		all := r.cast.pairs(Links{From: Nodes{Who: All}, To: Nodes{Who: All}})
		if err := r.setLinks(ctx, "network: "+s.Own.String(), all, func(l *network.Link) { *l = r.base() }); err != nil {
			return err
		}
	}
	if err := r.steps(ctx); err != nil {
		return err
	}
	if s.Calm > 0 || r.left == "" {
		if err := r.rest(ctx); err != nil {
			return err
		}
	}
	_, err := r.until(ctx, s.Duration, nil)
	return err
}

// rest waits for the moment of calm, and calms the cluster, unless that was done.
func (r *liveRun) rest(ctx context.Context) error {
	if r.calmed {
		return nil
	}
	if _, err := r.until(ctx, r.scenario.Calm, nil); err != nil {
		return err
	}
	r.calmed = true
	return r.calm(ctx)
}

// steps does the steps that come.
func (r *liveRun) steps(ctx context.Context) error {
	for i, step := range r.scenario.Steps {
		if calm := r.scenario.Calm; calm > 0 && step.When.Kind == "" && step.At > calm { // what clients do then finds it calm
			if err := r.rest(ctx); err != nil {
				return err
			}
		}
		came, err := r.await(ctx, step)
		if err != nil {
			return err
		}
		if !came {
			r.left = leftText(r.scenario, i, &r.cast)
			return nil
		}
		if err := r.do(ctx, step.Do, step.Line); err != nil {
			return fmt.Errorf("%s:%d: %s: %w", r.scenario.File, step.Line, step.Do, err)
		}
	}
	return nil
}

// await waits until a step can be done, as long as it may.
func (r *liveRun) await(ctx context.Context, step Step) (came bool, err error) {
	deadline := r.scenario.Duration
	if calm := r.scenario.Calm; calm > 0 && !gentle(step.Do) {
		deadline = calm
	}
	at := step.At
	if step.When.Kind != "" {
		came, err := r.until(ctx, deadline, func() bool { return r.cast.holds(step.When) })
		if err != nil || !came {
			return false, err
		}
		at = r.now() + step.When.After
	}
	if at > deadline {
		return false, nil
	}
	if _, err := r.until(ctx, at, nil); err != nil {
		return false, err
	}
	return r.until(ctx, deadline, func() bool { return r.cast.knows(step.Do) })
}

// until takes events until a moment, or until holds is true if that comes first and holds is not nil.
func (r *liveRun) until(ctx context.Context, moment time.Duration, holds func() bool) (held bool, err error) {
	for {
		now := r.now()
		if err := r.endStalls(ctx, now); err != nil {
			return false, err
		}
		if holds != nil && holds() {
			return true, nil
		}
		if now >= moment {
			return false, nil
		}
		if err := r.wait(ctx, r.nextMoment(moment)-now); err != nil {
			return false, err
		}
	}
}

// wait takes the next event, if one comes in time.
func (r *liveRun) wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case e, open := <-r.arriving:
		if open {
			r.take(e)
			return nil
		}
		select {
		case err := <-r.failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *liveRun) now() time.Duration { return r.cluster.Now() - r.began }

func (r *liveRun) take(e trace.Event) {
	r.events = append(r.events, e)
	r.cast.Record(&e)
}

// note adds an event of the run itself, and gives its time.
func (r *liveRun) note(k trace.Kind, data any) int64 {
	e := trace.Event{T: int64(r.cluster.Now()), Kind: k, Data: data}
	r.events = append(r.events, e)
	return e.T
}

// nextMoment is when something is to be done, moment at the latest.
func (r *liveRun) nextMoment(moment time.Duration) time.Duration {
	if len(r.stalls) > 0 {
		return min(moment, r.stalls[0].end)
	}
	return moment
}

// endStalls lets disks answer whose stall is over.
func (r *liveRun) endStalls(ctx context.Context, now time.Duration) error {
	for len(r.stalls) > 0 && r.stalls[0].end <= now {
		id := r.stalls[0].id
		r.stalls = r.stalls[1:]
		if slices.ContainsFunc(r.stalls, func(s stall) bool { return s.id == id }) {
			continue // it stalls for longer
		}
		if err := r.setDisk(ctx, id, false, 0); err != nil {
			return err
		}
	}
	return nil
}

// merged gives the events of the run in an order in which they could have happened. Times count from the first.
func (r *liveRun) merged(h trace.Header) (*trace.Trace, error) {
	h.Clock = "monotonic"
	outside := &trace.Trace{Header: h}
	parts := []*trace.Trace{outside}
	byNode := map[protocol.ID]*trace.Trace{}
	first := int64(r.began)
	for _, e := range r.events {
		first = min(first, e.T)
		part := outside
		if e.N > 0 {
			if part = byNode[e.Node]; part == nil {
				part = &trace.Trace{Header: h}
				part.Header.Node = e.Node
				byNode[e.Node] = part
				parts = append(parts, part)
			}
		}
		part.Events = append(part.Events, e)
	}
	// What nobody's steps order came as it was heard of.
	slices.SortStableFunc(outside.Events, func(a, b trace.Event) int { return cmp.Compare(a.T, b.T) })
	merged, _, err := trace.Merge(parts)
	if err != nil {
		return nil, err
	}
	merged.Header.Zero = first
	for i := range merged.Events {
		merged.Events[i].T -= first
	}
	return merged, nil
}
