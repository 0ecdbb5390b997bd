package check

import (
	"cmp"
	"slices"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/election"
	"ciranda.dev/trace"
)

// Figures say how well a run went, where properties say whether. Times are in nanoseconds of the trace's clock. What did
// not occur is an empty list or zero.
//
// The figures of detection are those of W. Chen, S. Toueg, M. K. Aguilera, On the Quality of Service of Failure
// Detectors, IEEE Transactions on Computers 51(5), 2002. A suspicion that began before the crash and lasted counts as a
// mistake, and as a detection that took no time.
type Figures struct {
	Detections  []time.Duration `json:"detections"`  // from the end of each life until a running node suspects it for good, ascending
	Mistakes    int             `json:"mistakes"`    // suspicions of a node that runs
	Mistaken    time.Duration   `json:"mistaken"`    // their length in all
	Watched     time.Duration   `json:"watched"`     // for how long pairs of running nodes could suspect one another
	Elections   int             `json:"elections"`   // begun
	Changes     int             `json:"changes"`     // of nodes' views of the leader
	Agreements  []time.Duration `json:"agreements"`  // from the end of an agreed leader's life until the living agree on another, ascending
	Overlaps    int             `json:"overlaps"`    // pairs of reigns that overlapped
	Overlapping time.Duration   `json:"overlapping"` // their length in all
	Longest     time.Duration   `json:"longest"`     // of the overlaps
}

// Accuracy is the share of the watched time in which running nodes were trusted: 1 is perfect; 0 if nothing was watched.
func (f *Figures) Accuracy() float64 {
	if f.Watched == 0 {
		return 0
	}
	return 1 - float64(f.Mistaken)/float64(f.Watched)
}

// A Quality takes the figures of a run. It is a trace.Sink; the zero Quality is ready.
type Quality struct {
	views
	opinions
	reigns  reigns
	figures Figures
	down    map[protocol.ID]int64 // since when
	headed  int64                 // since when a leader that is gone has not been replaced; 0 if it has
	last    int64
	upPairs int64 // ordered pairs of running nodes
}

// Record takes the next event.
func (q *Quality) Record(e *trace.Event) {
	q.watch(max(e.T, q.last))
	if e.Kind > trace.Resume && e.Kind != trace.Told {
		return
	}
	e = typed(e)
	if ends(e) {
		q.over(e)
	}
	q.judge(e)
	if ended, _ := q.reigns.step(e); ended != nil {
		q.overlap(ended, e.T)
	}
	q.views.step(e)
	q.count(e)
	if begins(e) || ends(e) {
		q.pair()
	}
	if q.headed > 0 && q.agreed() != protocol.None {
		q.figures.Agreements = append(q.figures.Agreements, time.Duration(e.T-q.headed))
		q.headed = 0
	}
}

func (q *Quality) watch(now int64) {
	q.figures.Watched += time.Duration((now - q.last) * q.upPairs)
	q.last = now
}

// pair counts the pairs of running nodes. A paused node runs: to suspect it is a mistake.
func (q *Quality) pair() {
	n := int64(0)
	for id := range q.nodes {
		if q.runs(protocol.ID(id)) {
			n++
		}
	}
	q.upPairs = n * (n - 1)
}

func (q *Quality) runs(id protocol.ID) bool {
	state := q.of(id).state
	return state == up || state == paused
}

// over notes the end of a life, and of a reign if all followed it.
func (q *Quality) over(e *trace.Event) {
	if q.agreed() == e.Node {
		q.headed = e.T
	}
	for k, o := range q.by {
		if (k.q == e.Node || k.p == e.Node) && q.present(k, o) {
			q.figures.Mistaken += time.Duration(e.T - o.since)
		}
	}
	if q.down == nil {
		q.down = map[protocol.ID]int64{}
	}
	q.down[e.Node] = e.T
}

// present says that an opinion is a suspicion that stands, of a life that runs.
func (q *Quality) present(k pair, o opinion) bool {
	return q.runs(k.q) && q.stands(k, o)
}

// stands says that a running node suspects the present or last life of another.
func (q *Quality) stands(k pair, o opinion) bool {
	return o.suspected && q.runs(k.p) && q.of(k.p).inc == o.of && (o.about == 0 || o.about == q.of(k.q).inc)
}

// judge counts a mistake, or the end of one.
func (q *Quality) judge(e *trace.Event) {
	id, now, ok := readOpinion(e)
	if !ok {
		return
	}
	before, known := q.opinions.last(e.Node, id, e.Inc)
	k := pair{e.Node, id}
	if known && answers(now, before) {
		return
	}
	if known && q.present(k, before) {
		q.figures.Mistaken += time.Duration(e.T - before.since)
	}
	if q.present(k, now) {
		q.figures.Mistakes++
	}
	q.opinions.set(e, id, now)
}

func (q *Quality) count(e *trace.Event) {
	if _, ok := told[election.Begun](e); ok {
		q.figures.Elections++
	}
	if _, ok := told[election.Elected](e); ok {
		q.figures.Changes++
	}
	if begins(e) {
		delete(q.down, e.Node)
	}
}

func (q *Quality) overlap(over *reign, end int64) {
	for i := range q.reigns.open {
		length := time.Duration(end - max(over.since, q.reigns.open[i].since))
		if length > 0 && over.node != q.reigns.open[i].node {
			q.figures.Overlaps++
			q.figures.Overlapping += length
			q.figures.Longest = max(q.figures.Longest, length)
		}
	}
}

// Figures are those of the run so far. They may be asked for once, at its end.
func (q *Quality) Figures() Figures {
	for i := len(q.reigns.open) - 1; i >= 0; i-- {
		q.overlap(q.reigns.end(i), q.last)
	}
	for _, k := range ordered(q.by) {
		o := q.by[k]
		if q.present(k, o) {
			q.figures.Mistaken += time.Duration(q.last - o.since)
		}
		crashed, isDown := q.down[k.q]
		if isDown && q.stands(k, o) {
			q.figures.Detections = append(q.figures.Detections, time.Duration(max(0, o.since-crashed)))
		}
	}
	slices.Sort(q.figures.Detections)
	slices.SortFunc(q.figures.Agreements, cmp.Compare)
	return q.figures
}
