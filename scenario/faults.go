package scenario

import (
	"slices"
	"time"

	"ciranda.dev/engine/network"
	"ciranda.dev/engine/sim"
	"ciranda.dev/protocol"
)

// What a player does to a simulated run, in words of the simulator.

func (p *player) each(n Nodes, do func(protocol.ID)) {
	ids, _ := p.cast.resolve(n)
	for _, id := range slices.Clone(ids) {
		do(id)
	}
}

func (p *player) pairs(l Links, do func(from, to protocol.ID)) {
	for _, pair := range p.cast.pairs(l) {
		do(pair.From, pair.To)
	}
}

// crash ends lives. Where there is time until something rests on it, half of them end in the middle of a step.
func (p *player) crash(a Crash) {
	var crashed []protocol.ID
	p.each(a.Nodes, func(id protocol.ID) {
		if p.sim.World().Up(id) {
			inside := !a.DiskLost && p.roomy() && p.sim.Faults().Intn(2) == 0
			p.sim.Crash(id, inside, a.DiskLost)
			crashed = append(crashed, id)
		}
	})
	if len(crashed) > 0 {
		p.cast.last = crashed
	}
}

// roomy says whether nothing is done for a second from now on. Every node takes steps more often than that.
func (p *player) roomy() bool {
	until := p.scenario.Calm
	if p.next < len(p.scenario.Steps) {
		if step := p.scenario.Steps[p.next]; step.When.Kind == "" {
			until = step.At
		} else {
			until = 0
		}
	}
	return until >= p.sim.Now()+time.Second
}

// reset closes the connections of pairs of nodes, each once.
func (p *player) reset(l Links) {
	done := map[Pair]bool{}
	p.pairs(l, func(from, to protocol.ID) {
		if pair := (Pair{min(from, to), max(from, to)}); !done[pair] {
			done[pair] = true
			p.sim.Reset(from, to)
		}
	})
}

// change gives links another quality.
func (p *player) change(to network.Link) func(protocol.ID, protocol.ID) {
	return func(a, b protocol.ID) { p.sim.SetLink(a, b, to) }
}

// mend makes a link what it was at first.
func (p *player) mend(from, to protocol.ID) {
	if p.sim.World().IsCut(from, to) {
		p.sim.Mend(from, to)
	}
	if p.sim.Link(from, to) != p.scenario.Network {
		p.sim.SetLink(from, to, p.scenario.Network)
	}
}

// healAll mends all there is to mend but crashes and pauses.
func (p *player) healAll() {
	p.sim.Heal()
	for _, id := range p.cast.all() {
		p.sim.FastDisk(id)
		if p.slow[id] {
			p.sim.Slow(id, 0)
		}
		if p.sim.World().Rated(id) {
			p.sim.SetRate(id, 0)
		}
	}
	clear(p.slow)
}

// stall lets a disk answer no more for a while. Of two stalls of one disk the longer counts.
func (p *player) stall(id protocol.ID, d time.Duration) {
	end := p.sim.Now() + d
	p.stalls[id] = max(p.stalls[id], end)
	p.sim.StallDisk(id)
	p.sim.Plan(sim.Action{At: end, Do: func(s *sim.Sim) {
		if s.Now() >= p.stalls[id] {
			s.FastDisk(id)
		}
	}})
}

func (p *player) slowDisk(id protocol.ID, write time.Duration) {
	if write == 0 {
		p.sim.FastDisk(id)
	} else {
		p.sim.SlowDisk(id, write)
	}
}
