package sim

// Plan adds an action to the script while the run goes on: for what comes a while after something else, whenever that
// was. An action whose time is over is done at once.
func (s *Sim) Plan(a Action) {
	s.cfg.Script = append(s.cfg.Script, a)
	s.queue.push(max(a.At, s.now), entry{kind: act, ref: uint32(len(s.cfg.Script) - 1)})
}
