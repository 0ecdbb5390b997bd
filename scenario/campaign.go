package scenario

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// A Campaign says how a scenario is simulated.
type Campaign struct {
	FirstSeed uint64 // the seeds are this one and those that follow; zero means 1
	Runs      int    // how many; zero means the scenario's
	Workers   int    // how many at once; zero means one a core
	StopEarly bool   // no further than the lowest seed that violates what is expected
	Twice     bool   // every step is done twice, to find protocols that cheat; half as fast

	// Progress, if set, is told now and then how many runs are done. It is called by one goroutine at a time.
	Progress func(done, of int)
}

// Simulate runs the scenario over many seeds, on all cores. The report depends on the seeds alone, not on the order in
// which they were done. When ctx ends it is that of the runs so far. The error is one of the code: a handler that
// panicked, or cheated.
func (s *Scenario) Simulate(ctx context.Context, c Campaign) (*Report, error) {
	if !s.Allows(Sim) {
		return nil, fmt.Errorf("%s is not for the simulator; it says on: %v", s.File, s.On)
	}
	c.FirstSeed, c.Runs = cmp.Or(c.FirstSeed, 1), cmp.Or(c.Runs, s.Runs)
	c.Workers = min(cmp.Or(c.Workers, runtime.GOMAXPROCS(0)), c.Runs)
	began := time.Now()
	report := newReport(s, Sim)
	report.FirstSeed = c.FirstSeed
	err := s.campaign(ctx, c, report)
	report.Elapsed = time.Since(began).Seconds()
	report.Interrupted = ctx.Err() != nil
	report.conclude()
	seed := report.show()
	report.Seed, report.Repeat = &seed, fmt.Sprintf("ciranda run %s --seed %d --runs 1", s.File, seed)
	return report, err
}

// campaign hands seeds to workers and takes their outcomes into the report in the order of the seeds.
func (s *Scenario) campaign(ctx context.Context, c Campaign, report *Report) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	results := make(chan finished, c.Workers)
	var next atomic.Int64
	var workers sync.WaitGroup
	for range c.Workers {
		workers.Go(func() { s.work(ctx, c, &next, results) })
	}
	go func() {
		workers.Wait()
		close(results)
	}()
	in := inOrder{report: report, campaign: c, early: map[int]finished{}}
	for f := range results {
		if in.take(f); in.ended {
			stop()
		}
	}
	return in.err
}

// work does runs until there are none left.
func (s *Scenario) work(ctx context.Context, c Campaign, next *atomic.Int64, results chan<- finished) {
	for ctx.Err() == nil {
		i := int(next.Add(1)) - 1
		if i >= c.Runs {
			return
		}
		o, err := s.run(ctx, c.FirstSeed+uint64(i), recording{twice: c.Twice})
		if ctx.Err() != nil {
			return // it was cut short
		}
		results <- finished{i, o, err}
	}
}

// A finished run is one of the campaign's, by its place in it.
type finished struct {
	index int
	outcome
	err error
}

// inOrder takes runs into the report in the order of their seeds, though they end in any.
type inOrder struct {
	report   *Report
	campaign Campaign
	early    map[int]finished // those that wait for one before them
	ended    bool             // nothing more is taken
	err      error
}

func (in *inOrder) take(f finished) {
	in.early[f.index] = f
	for !in.ended {
		f, ok := in.early[in.report.Runs]
		if !ok {
			return
		}
		delete(in.early, f.index)
		if f.err != nil {
			in.ended, in.err = true, f.err
			return
		}
		in.report.add(f.outcome)
		in.ended = in.campaign.StopEarly && in.report.violated()
		if in.campaign.Progress != nil {
			in.campaign.Progress(in.report.Runs, in.campaign.Runs)
		}
	}
}
