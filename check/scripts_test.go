package check_test

import (
	"time"

	"ciranda.dev/engine/sim"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/election"
)

// plan does something at a moment.
func plan(s *sim.Sim, at time.Duration, do func(s *sim.Sim)) { s.Plan(sim.Action{At: at, Do: do}) }

// deaths lets nodes crash and come back and clients ask for elections, on a network that keeps its bounds.
func deaths(s *sim.Sim) {
	var again func(s *sim.Sim)
	again = func(s *sim.Sim) {
		if s.Now() > calmAt-10*ms {
			return
		}
		f, group := s.Faults(), s.World().Group()
		p := group[f.Intn(len(group))]
		switch f.Intn(3) {
		case 0:
			s.Crash(p, true, false)
		case 1:
			s.Recover(p)
		case 2:
			s.Request(p, "elect")
		}
		plan(s, s.Now()+time.Duration(f.Intn(400))*ms, again)
	}
	plan(s, 300*ms, again)
}

// death lets the highest node crash, once all is calm.
func death(s *sim.Sim) {
	group := s.World().Group()
	plan(s, calmAt+500*ms, func(s *sim.Sim) { s.Crash(group[len(group)-1], false, false) })
}

// losses lets one message of fifty be lost, and does nothing else.
func losses(s *sim.Sim) {
	for _, p := range s.World().Group() {
		for _, q := range s.World().Group() {
			l := s.Link(p, q)
			l.Loss = 0.02
			s.SetLink(p, q, l)
		}
	}
}

// standstill stops a node for half a second, and all the others for a little less than a timeout within that time.
func standstill(s *sim.Sim) {
	group := s.World().Group()
	for i, id := range group {
		from, length := 500*ms, 500*ms
		if i > 0 {
			from, length = 650*ms, 200*ms
		}
		plan(s, from, func(s *sim.Sim) { s.Pause(id) })
		plan(s, from+length, func(s *sim.Sim) { s.Resume(id) })
	}
}

// farewell lets the highest node leave in good order. Nobody stands for that, until a client asks the lowest.
func farewell(s *sim.Sim) {
	plan(s, 2*time.Second, func(s *sim.Sim) { s.Stop(3) })
	plan(s, 3*time.Second, func(s *sim.Sim) { s.Request(1, "elect") })
}

// lateAnswer lets node 2 wait in vain for the answer of node 3, which dies and whose answer comes after 2 leads.
func lateAnswer(s *sim.Sim) {
	start := calmAt + 500*ms
	plan(s, start, func(s *sim.Sim) {
		l := s.Link(3, 2)
		l.Delay.Min, l.Delay.Max = 80*ms, 80*ms
		s.SetLink(3, 2, l)
		s.Crash(4, false, false)
	})
	plan(s, start+65*ms, func(s *sim.Sim) { s.Crash(3, false, false) })
}

// lastWords lets the leader be cut off until it is suspected, then say that it leads, and die.
func lastWords(s *sim.Sim) {
	plan(s, 2*time.Second, func(s *sim.Sim) {
		s.Cut(3, 1)
		s.Cut(3, 2)
	})
	plan(s, 2600*ms, func(s *sim.Sim) {
		s.Mend(3, 1)
		s.Mend(3, 2)
		s.Request(3, "elect")
		s.Crash(3, false, false)
	})
}

// once does something as soon as a node's opinion of the leadership is such, from a moment on and for a second.
func once(s *sim.Sim, from time.Duration, id protocol.ID, such func(o election.Opinion) bool, do func(s *sim.Sim)) {
	var look func(s *sim.Sim)
	look = func(s *sim.Sim) {
		if answer, up := s.World().Ask(id, election.Query{}); up && such(answer.(election.Opinion)) {
			do(s)
		} else if s.Now() < from+time.Second {
			plan(s, s.Now()+ms, look)
		}
	}
	plan(s, from, look)
}

func waiting(o election.Opinion) bool { return o.Phase == "waiting for the coordinator" }

func trusting(o election.Opinion) bool { return !o.Lost }

// takeover lets the leader crash, and then the node that said it would take over.
func takeover(s *sim.Sim) {
	plan(s, 2*time.Second, func(s *sim.Sim) { s.Crash(3, false, false) })
	once(s, 2*time.Second, 1, waiting, func(s *sim.Sim) { s.Crash(2, false, false) })
}

// hush lets the others suspect node 3 at once: its connections are closed, and then it is cut off.
func hush(s *sim.Sim) {
	plan(s, 2*time.Second, func(s *sim.Sim) {
		s.Reset(3, 1)
		s.Reset(3, 2)
	})
	plan(s, 2010*ms, func(s *sim.Sim) {
		s.Cut(3, 1)
		s.Cut(3, 2)
	})
}

// secondThoughts lets nodes 1 and 2 suspect the leader, and node 1 hear from it just once while it waits for node 2 to
// lead.
func secondThoughts(s *sim.Sim) {
	hush(s)
	once(s, 2*time.Second, 1, waiting, func(s *sim.Sim) {
		s.Cut(2, 1)
		s.Mend(3, 1)
		once(s, s.Now(), 1, trusting, func(s *sim.Sim) { s.Cut(3, 1) })
	})
}

// lateEchoes cuts the leader's beats off, while what its followers sent is still on its way.
func lateEchoes(s *sim.Sim) {
	hush(s)
	plan(s, 1900*ms, func(s *sim.Sim) {
		for id := range protocol.ID(2) {
			l := s.Link(id+1, 3)
			l.Delay.Min, l.Delay.Max = 400*ms, 400*ms
			s.SetLink(id+1, 3, l)
		}
	})
}

// grantorBetween cuts nodes 2 and 3 off from each other. Node 1 grants node 2 its counter and for a while hears only
// node 3, then only node 2.
func grantorBetween(s *sim.Sim) {
	plan(s, 2*time.Second, func(s *sim.Sim) {
		s.Cut(2, 3)
		s.Cut(3, 2)
	})
	once(s, 2*time.Second, 2, func(o election.Opinion) bool { return o.Leader == 2 }, func(s *sim.Sim) {
		s.Cut(2, 1)
		plan(s, s.Now()+300*ms, func(s *sim.Sim) {
			s.Mend(2, 1)
			s.Cut(1, 3)
			s.Cut(3, 1)
		})
	})
}
