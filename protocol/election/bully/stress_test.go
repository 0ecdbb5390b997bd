package bully_test

import (
	"testing"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector/heartbeat"
	"ciranda.dev/protocol/detector/oracle"
	"ciranda.dev/protocol/detector/ring"
	"ciranda.dev/protocol/election/bully"
)

// The rules that a group can follow, and how its detectors are built.
var variants = []struct {
	name string
	opts bully.Options
}{
	{"default", bully.Options{}},
	{"stable", bully.Options{Stable: true}},
	{"quorum", bully.Options{Quorum: true}},
	{"quorum and stable", bully.Options{Quorum: true, Stable: true}},
	{"classic", bully.Options{Classic: true}},
}

// detectors are what elections run over, unchanged.
var detectors = map[string]func() protocol.Layer{
	"oracle":    func() protocol.Layer { return oracle.New(oracle.Options{}) },
	"heartbeat": func() protocol.Layer { return heartbeat.New(heartbeat.Options{}) },
	"ring":      func() protocol.Layer { return ring.New(ring.Options{}) },
}

// over builds stacks of a detector and an election.
func over(name string, opts bully.Options) func(protocol.Self) *protocol.Stack {
	return func(self protocol.Self) *protocol.Stack {
		s, err := protocol.NewStack(self, detectors[name](), bully.New(opts))
		if err != nil {
			panic(err)
		}
		return s
	}
}

const (
	stab   = 4 * time.Second        // no fault from here on
	bound  = stab + 3*time.Second   // agreement is due
	ending = bound + time.Second    // and holds until here
	beta   = 500 * time.Millisecond // Silence beats
)

// turmoil runs a group of 2 to 5 nodes through random faults and into a calm, and gives what went wrong.
func turmoil(seed uint64, opts bully.Options, build func(protocol.Self) *protocol.Stack) *network {
	return newNetwork(seed, 2+int(seed%4), opts, build).suffer()
}

func (w *network) suffer() *network {
	for _, id := range w.group {
		w.after(time.Duration(w.rng.Int64N(int64(50*ms))), func() { w.up(id) })
	}
	if w.rng.IntN(2) == 0 {
		w.loss = 0.2 * w.rng.Float64()
	}
	if w.rng.IntN(3) == 0 {
		w.falsely = 0.02
	}
	if w.rng.IntN(3) == 0 {
		w.longer = time.Duration(w.rng.Int64N(int64(100 * ms)))
	}
	w.after(200*ms, w.disturb)
	w.run(stab)
	w.calm()
	w.run(bound)
	w.judge()
	changes := w.watch.changes
	w.run(ending)
	if w.watch.changes != changes {
		w.watch.blame("EL-5", "a view changed %v after the calm", w.watch.changes-stab)
	}
	return w
}

// disturb does something to the group, again and again until the calm.
func (w *network) disturb() {
	if w.now >= stab-10*ms {
		return
	}
	p, q := w.any(w.group), w.any(w.group)
	switch n := w.nodes[p]; w.rng.IntN(11) {
	case 0, 1:
		if n.stack != nil {
			n.cutAt = 1 + w.rng.IntN(12)
		}
	case 2:
		w.down(p)
		if w.rng.IntN(2) == 0 {
			w.up(p)
		}
	case 3, 4:
		if n.stack == nil {
			w.up(p)
		}
	case 5:
		w.cut[[2]protocol.ID{p, q}] = true
	case 6:
		for _, r := range w.group {
			w.cut[[2]protocol.ID{p, r}], w.cut[[2]protocol.ID{r, p}] = true, true
		}
	case 7:
		clear(w.cut)
	case 8:
		w.call(p)
	case 9, 10:
		w.stall(n, !n.disk)
	}
	w.after(time.Duration(w.rng.Int64N(int64(400*ms))), w.disturb)
}

// calm heals the network and brings a majority up.
func (w *network) calm() {
	clear(w.cut)
	w.loss, w.falsely, w.longer = 0, 0, 0
	for _, id := range w.group {
		w.nodes[id].cutAt = 0
		w.stall(w.nodes[id], false)
	}
	for len(w.alive()) < len(w.group)/2+1 {
		if id := w.any(w.group); w.nodes[id].stack == nil {
			w.up(id)
		}
	}
}

// judge checks what must hold a while after the calm: EL-3, EL-4 where rank decides, and EL-2b.
func (w *network) judge() {
	alive := w.alive()
	first := opinion(w.nodes[alive[0]])
	for _, id := range alive {
		o := opinion(w.nodes[id])
		if o.Leader == protocol.None || o.Leader != first.Leader || o.Term != first.Term || o.Lost || w.nodes[o.Leader].stack == nil {
			w.watch.blame("EL-3", "no agreement\n%s", w)
			break
		}
	}
	if highest := alive[len(alive)-1]; !w.watch.opts.Stable && first.Leader != highest {
		w.watch.blame("EL-4", "node %d leads and %d is up", first.Leader, highest)
	}
	if longest := w.watch.overlap(w.now); w.watch.opts.Quorum && longest > beta {
		w.watch.blame("EL-2b", "two reigns overlap for %v", longest)
	}
}

// runs is how many seeds each variant goes through over each detector.
const runs = 60

func TestElectionsSurviveTurmoil(t *testing.T) {
	for _, v := range variants {
		for name := range detectors {
			t.Run(v.name+" over "+name, func(t *testing.T) { survive(t, name, v.opts) })
		}
	}
}

func survive(t *testing.T, name string, opts bully.Options) {
	begun, reigns := 0, 0
	for seed := range uint64(runs) {
		w := turmoil(seed, opts, over(name, opts))
		begun, reigns = begun+w.watch.begun, reigns+len(w.watch.reigns)
		for _, f := range w.watch.faults {
			if !opts.Classic || f.property == "storm" { // Classic promises nothing in turmoil
				t.Fatalf("seed %d: %s", seed, f.text)
			}
		}
	}
	t.Logf("%d elections, %d reigns", begun, reigns)
}

// A step depends on nothing but the state and the input, and copies share nothing that is written.
func TestStepsCanBeRepeated(t *testing.T) {
	for _, v := range variants {
		for seed := range uint64(3) {
			w := newNetwork(seed, 4, v.opts, over("oracle", v.opts))
			w.twice = true
			if w.suffer().watch.found("twice") {
				t.Fatalf("%s, seed %d: %v", v.name, seed, w.watch.faults[0].text)
			}
		}
	}
}
