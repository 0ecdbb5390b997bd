package sim

import "ciranda.dev/protocol"

// consultOracle lets the oracle of every node that runs suspect every one that is down, after a message's delay. It
// knows of crashes whatever the network does.
func (s *Sim) consultOracle() {
	if !s.cfg.Oracle {
		return
	}
	for _, q := range s.w.Group() {
		if s.w.Up(q) {
			continue
		}
		for _, p := range s.w.Group() {
			pair, lives := link{p, q}, [2]protocol.Incarnation{s.w.Incarnation(p), s.w.Incarnation(q)}
			if s.w.Up(p) && s.chosen[pair] != lives {
				s.chosen[pair] = lives
				s.queue.push(s.now+s.link(p, q).Delay.Draw(s.network), entry{kind: choose, node: p, ref: uint32(q)})
			}
		}
	}
}

// choose is the moment of a suspicion. If the node came back meanwhile there is nothing to suspect; if the one that
// should suspect is gone, it is asked again in its next life; if it is paused, when it goes on.
func (s *Sim) choose(e entry) {
	p, q := e.node, protocol.ID(e.ref)
	if s.w.Up(q) || !s.w.Up(p) {
		delete(s.chosen, link{p, q})
		return
	}
	if s.mayStep(p, e) {
		s.w.Choose(p, q, true)
	}
}
