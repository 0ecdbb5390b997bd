package shell

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	cirandav1 "ciranda.dev/api/ciranda/v1"
)

func tellLeader(ctx context.Context, s *shell, _ []string) error {
	r, err := s.status(ctx)
	if err != nil {
		return err
	}
	s.out.sayAs(bold, "%s", leaderText(r))
	if s.to.Events == nil {
		s.out.note("how the last election went is told by events, and %s has none; use grpc", s.via)
		return nil
	}
	events, err := s.past(ctx, ofElections)
	if err != nil {
		return err
	}
	if e := lastElection(events, r); e != nil {
		s.sayElection(e)
	} else {
		s.out.say("no election is remembered")
	}
	return nil
}

func ofElections(kind string) bool {
	switch kind {
	case crashed, paused, suspected, stood, elected, resigned, granted:
		return true
	default:
		return false
	}
}

// An electionStory is one election, as the events tell it.
type electionStory struct {
	winner uint32
	term   string
	events []*cirandav1.Event // of it and of what led to it, by time
	began  *cirandav1.Event   // somebody stood; nil if that is not known
	others []uint32           // who stood because a lower node did
	follow []uint32           // who adopted the winner
	took   int64              // ns, from the first event to the last adoption
	since  []*cirandav1.Event // who stood afterwards, in vain
}

// lastElection looks back at the election that made the leader of a status, or, where there is none or its victory is
// forgotten, at the last one that anybody won. What led to it are the events since anybody adopted another winner.
func lastElection(events []*cirandav1.Event, r *cirandav1.StatusResponse) *electionStory {
	slices.SortStableFunc(events, func(a, b *cirandav1.Event) int { return cmp.Compare(a.GetTime(), b.GetTime()) })
	won, ruling := -1, false
	for i, e := range events {
		d := dataOf(e)
		if e.GetKind() != elected || d.Leader != e.GetNode() {
			continue // only who wins says so of itself
		}
		rules := d.Leader == r.GetLeader() && d.Term.Counter == r.GetTerm().GetCounter()
		if rules || !ruling {
			won, ruling = i, rules
		}
	}
	if won < 0 {
		return nil
	}
	victory := dataOf(events[won])
	first := won
	for i := won - 1; i >= 0 && !isEarlier(events[i], victory); i-- {
		first = i
	}
	story := &electionStory{winner: victory.Leader}
	if victory.Term.Counter > 0 {
		story.term = fmt.Sprintf("%d.%d", victory.Term.Counter, victory.Term.Leader)
	}
	for i, e := range events[first:] {
		story.add(e, victory, first+i > won)
	}
	story.trim()
	return story
}

// isEarlier says whether an event adopts another winner than that of a victory: it belongs to an election before.
func isEarlier(e *cirandav1.Event, victory data) bool {
	d := dataOf(e)
	return e.GetKind() == elected && d.Leader != 0 && (d.Leader != victory.Leader || d.Term != victory.Term)
}

// add puts an event into the story, if it belongs there. After the victory only its adoptions do, one a node.
func (s *electionStory) add(e *cirandav1.Event, victory data, after bool) {
	d := dataOf(e)
	switch kind := e.GetKind(); {
	case kind == elected && d.Leader == victory.Leader && d.Term == victory.Term:
		if e.GetNode() == s.winner {
			break
		}
		if slices.Contains(s.follow, e.GetNode()) {
			return // it had been away
		}
		s.follow = append(s.follow, e.GetNode())
	case after:
		if kind == stood && d.Counter > victory.Term.Counter && victory.Term.Counter > 0 {
			s.since = append(s.since, e)
		}
		return
	case kind == stood && s.began == nil:
		s.began = e
	case kind == stood && d.Why == "outranked" && !slices.Contains(s.others, e.GetNode()):
		s.others = append(s.others, e.GetNode())
	}
	s.events = append(s.events, e)
}

// trim leaves out what was long before somebody stood, and counts.
func (s *electionStory) trim() {
	if s.began != nil {
		since := s.began.GetTime() - longBefore
		s.events = slices.DeleteFunc(s.events, func(e *cirandav1.Event) bool { return e.GetTime() < since })
	}
	slices.Sort(s.follow)
	slices.Sort(s.others)
	s.took = s.events[len(s.events)-1].GetTime() - s.events[0].GetTime()
}

// longBefore is how long before an election its cause may lie, in nanoseconds.
const longBefore = 5e9

// maxStory is how many events of an election are told.
const maxStory = 40

func (s *shell) sayElection(e *electionStory) {
	for _, line := range e.summary() {
		s.out.say("%s", line)
	}
	zero := e.events[0].GetTime()
	s.sayEvents(e.events, zero)
	if len(e.since) > 0 {
		s.out.say("Since then nobody else has won:")
		s.sayEvents(e.since, zero)
	}
}

// sayEvents tells events with their times since a moment, not more than can be read.
func (s *shell) sayEvents(events []*cirandav1.Event, zero int64) {
	for i, e := range events {
		if i == maxStory {
			s.out.note("and %d events more", len(events)-maxStory)
			return
		}
		if e.GetText() != "" {
			s.out.say("%s  %s", after(e.GetTime()-zero), e.GetText())
		}
	}
}

// after is a time since some moment, for the left margin.
func after(ns int64) string { return fmt.Sprintf("%+10.1f ms", float64(ns)/1e6) }

// summary tells an election in short.
func (e *electionStory) summary() []string {
	lines := []string{"The last election:"}
	if e.began != nil {
		line := fmt.Sprintf("  node %d began it", e.began.GetNode())
		if _, why, ok := strings.Cut(e.began.GetText(), ": "); ok {
			line += ": " + why
		}
		lines = append(lines, line)
	}
	if len(e.others) > 0 {
		lines = append(lines, "  "+nodes(e.others)+" answered by standing too")
	}
	won := fmt.Sprintf("  node %d won", e.winner)
	if e.term != "" {
		won += ", and leads in term " + e.term
	}
	if len(e.follow) > 0 {
		won += "; followed by " + nodes(e.follow)
	}
	return append(lines, won, fmt.Sprintf("It took %.1f ms, from the first to the last of", float64(e.took)/1e6))
}
