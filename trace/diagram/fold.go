package diagram

import "slices"

// fold decides what is shown: which messages, and then which steps.
func (p *picture) fold() {
	loud := map[int]bool{} // sendings of which some copy is worth an arrow
	for _, a := range p.arrows {
		if !a.from.periodic || a.from.pin > 0 || len(a.crossings) > 0 || a.to != nil && (a.to.effect || a.to.pin > 0) {
			loud[a.event] = true
		}
	}
	if len(loud) == 0 && !slices.ContainsFunc(p.steps, func(s *step) bool { return s.weight > 0 }) {
		p.unfold()
	}
	for _, a := range p.arrows {
		if a.shown = a.shown || loud[a.event]; a.shown {
			a.from.shown = true
			if a.to != nil {
				a.to.shown = true
			}
		}
	}
	for _, s := range p.steps {
		s.shown = s.shown || s.weight > 0
	}
	p.narrow()
	for _, a := range p.arrows {
		a.shown = a.shown && a.from.shown && (a.to == nil || a.to.shown)
		if !a.shown {
			p.left[a.name]++
		} else if a.to == nil && a.lost == "" && p.overdue(a) {
			a.lost, a.lostAt = "no receipt recorded", a.from.t
		}
	}
}

// unfold shows everything: where nothing happens but beats, the beats are what there is to see.
func (p *picture) unfold() {
	for _, a := range p.arrows {
		a.shown = true
	}
	for _, s := range p.steps {
		s.shown = true
	}
}

// overdue says whether a message whose end is not known can hardly be on its way still.
func (p *picture) overdue(a *arrow) bool {
	first, last := p.steps[0].t, p.steps[len(p.steps)-1].t
	return a.from.t < last-(last-first)/20
}

// narrow leaves out steps until no more than MaxSteps are shown: those farthest from what matters most.
func (p *picture) narrow() {
	var all []*step
	for _, s := range p.steps {
		if s.shown {
			all = append(all, s)
		}
	}
	if len(all) <= p.options.MaxSteps {
		return
	}
	keep := p.around(all)
	for i, s := range all {
		if s.shown = keep[i]; !s.shown {
			p.leftSteps++
		}
	}
}

// around chooses the steps that are worth most and as many of their neighbours as fit.
func (p *picture) around(all []*step) []bool {
	var cores []int
	for weight := some; weight <= highest; weight++ {
		var c []int
		for i, s := range all {
			if s.weight >= weight {
				c = append(c, i)
			}
		}
		if len(c) > 0 {
			cores = c
		}
		if len(c) <= p.options.MaxSteps {
			break
		}
	}
	if len(cores) == 0 || len(cores) > p.options.MaxSteps {
		cores = cores[:min(len(cores), p.options.MaxSteps)]
		keep, _ := near(cores, 0, len(all))
		if len(cores) == 0 {
			keep, _ = near([]int{0}, p.options.MaxSteps-1, len(all))
		}
		return keep
	}
	keep, _ := near(cores, 0, len(all))
	for radius := 1; ; radius++ {
		more, n := near(cores, radius, len(all))
		if n > p.options.MaxSteps {
			return keep
		}
		keep = more
	}
}

// near marks what is no farther than radius from a core, and counts it.
func near(cores []int, radius, size int) (keep []bool, n int) {
	keep = make([]bool, size)
	for _, c := range cores {
		for i := max(c-radius, 0); i <= min(c+radius, size-1); i++ {
			if !keep[i] {
				keep[i] = true
				n++
			}
		}
	}
	return keep, n
}
