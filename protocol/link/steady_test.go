package link_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"ciranda.dev/check"
	"ciranda.dev/engine/sim"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/link"
)

// A voucher stands at the bottom in place of an engine: it says of links that they are steady, or are no more, when it
// is told to. Whether that is true is not its affair.
type voucher struct {
	protocol.Base
	lives map[protocol.ID]protocol.Incarnation
}

// Vouch is a call: say whether the link to a node is steady.
type Vouch struct {
	To protocol.ID
	Is bool
}

func (v *voucher) Traits() protocol.Traits { return protocol.Traits{Channel: "voucher"} }

// Down lets everything pass.
func (v *voucher) Down(protocol.ID, protocol.Packet, *protocol.Out) bool { return false }

func (v *voucher) Pass(from protocol.ID, _ protocol.Packet, o *protocol.Out) bool {
	if v.lives == nil {
		v.lives = map[protocol.ID]protocol.Incarnation{}
	}
	v.lives[from] = o.SenderIncarnation()
	return false
}

func (v *voucher) Request(r any, o *protocol.Out) bool {
	call, ok := r.(protocol.Call).Body.(Vouch)
	if !ok {
		return false
	}
	if life := v.lives[call.To]; life != 0 {
		o.Indicate(protocol.Steady{Node: call.To, Incarnation: life, Is: call.Is})
	}
	o.Indicate(protocol.Reply{ID: r.(protocol.Call).ID})
	return true
}

// vouching lets some engine change its mind about some link again and again.
func vouching(s *sim.Sim) {
	f, group := s.Faults(), s.World().Group()
	id, to := group[f.Intn(len(group))], group[f.Intn(len(group))]
	name := "vouch %d"
	if f.Intn(3) == 0 {
		name = "revoke %d"
	}
	s.Request(id, fmt.Sprintf(name, to))
	if next := s.Now() + time.Duration(f.Intn(80))*ms; next < calmAt-20*ms {
		s.Plan(sim.Action{At: next, Do: vouching})
	}
}

// revoke lets every engine take back what it vouched for: from here on the run is judged by the usual bounds.
func revoke(s *sim.Sim) {
	for _, id := range s.World().Group() {
		for _, to := range s.World().Group() {
			s.Request(id, fmt.Sprintf("revoke %d", to))
		}
	}
}

// Links keep their promises whatever they were told, be it false: what an engine vouches for makes them quicker or
// slower, and nothing else.
func TestCampaignWithFalseWord(t *testing.T) {
	for name, opts := range map[string]link.Options{"wide": {Trace: true}, "narrow": narrow} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(300) {
				run := trial{opts: opts, vouched: true}.run(t, seed, liars()...)
				for _, r := range run.results {
					if r.Verdict == check.Violated {
						t.Fatalf("seed %d: %s", seed, describe(r))
					}
				}
				if run.rest.owed != "" {
					t.Fatalf("seed %d: %s", seed, run.rest.owed)
				}
			}
		})
	}
}

// liars are a usual campaign with engines that vouch for links as they please.
func liars() []sim.Action {
	return []sim.Action{{At: ms, Do: turmoil}, {At: ms, Do: chat}, {At: 2 * ms, Do: vouching}, {At: calmAt, Do: revoke}}
}

// Who believes the engine's word and sends nothing again loses what was lost.
func TestTrustShows(t *testing.T) {
	opts := narrow
	opts.Mistake = link.Trusts
	for seed := range uint64(20) {
		for _, r := range (trial{opts: opts, vouched: true}).run(t, seed, liars()...).results {
			if r.Property == "link-delivers" && r.Verdict == check.Violated {
				t.Logf("after %d runs: %s", seed+1, describe(r))
				return
			}
		}
	}
	t.Error("20 runs, and link-delivers notices nothing")
}

// Over a steady link words cost one message each, and a little more for the sender to forget them.
func TestSteadyLinkCostsNothing(t *testing.T) {
	words := uint64(0)
	talk := sim.Action{At: ms, Do: func(s *sim.Sim) {
		s.Request(1, "say 2 0")
		var again func(s *sim.Sim)
		again = func(s *sim.Sim) {
			if s.Now() < calmAt {
				words++
				s.Request(1, "say 2 0")
				s.Plan(sim.Action{At: s.Now() + 2*ms, Do: again})
			}
		}
		s.Plan(sim.Action{At: 100 * ms, Do: func(s *sim.Sim) { s.Request(1, "vouch 2") }})
		s.Plan(sim.Action{At: 110 * ms, Do: again})
	}}
	run := trial{opts: link.Options{Trace: true}, vouched: true}.run(t, 1, talk)
	if extra := run.Messages - words; words < 900 || extra > 10 {
		t.Errorf("%d words took %d messages more", words, extra)
	}
	if run.rest.owed != "" {
		t.Error(run.rest.owed)
	}
}

func (v *voucher) String() string { return fmt.Sprint(v.lives) }

// waits are how long the link waits after a step until it sends again.
func waits(o *protocol.Out) (all []time.Duration) {
	for _, e := range o.Effects() {
		if e.Kind == protocol.Set && e.Layer == 0 {
			all = append(all, e.After)
		}
	}
	return all
}

// An engine may vouch for a link before the link has heard of the life at its other end. The wait for that life's answer
// is then no wait for an acknowledgement.
func TestSteadyBeforeKnown(t *testing.T) {
	self := protocol.Self{ID: 1, Incarnation: 1, Group: []protocol.ID{1, 2}}
	s, err := protocol.NewStack(self, link.New(link.Options{}), &talker{Name: "gossip"}, &talker{Name: "talk", Needs: reliable})
	if err != nil {
		t.Fatal(err)
	}
	o := &protocol.Out{}
	s.Start(protocol.Inputs{}, o)
	s.Call(protocol.Call{Body: Say{Talker: "talk", To: 2, Text: "x"}}, protocol.Inputs{}, o)
	s.Notify(protocol.Steady{Node: 2, Incarnation: 1, Is: true}, protocol.Inputs{}, o)
	s.Receive(2, 1, protocol.Packet{Channel: 1, Body: Word{"psst"}}, protocol.Inputs{}, o)
	all := waits(o)
	for range 3 {
		s.Expire(0, protocol.Timer{Arg: 2}, protocol.Inputs{}, o)
		all = append(all, waits(o)...)
	}
	if len(all) < 4 || slices.Min(all) < ms {
		t.Errorf("the waits are %v; expected four or more, none of them short", all)
	}
}

// A link that has nothing to send again does not, though the timer that watched it while it was steady still runs.
func TestNothingToSendAgain(t *testing.T) {
	s, o := one(t, link.Options{})
	s.Notify(protocol.Steady{Node: 2, Incarnation: 1, Is: true}, protocol.Inputs{}, o)
	s.Call(protocol.Call{Body: Say{Talker: "talk", To: 2, Text: "x"}}, protocol.Inputs{}, o)
	s.Receive(2, 1, protocol.Packet{Body: link.Ack{To: 1, Upto: 1}}, protocol.Inputs{}, o)
	s.Notify(protocol.Steady{Node: 2, Incarnation: 1}, protocol.Inputs{}, o)
	s.Expire(0, protocol.Timer{Arg: 2}, protocol.Inputs{}, o)
	if does := o.Effects(); len(does) > 0 {
		t.Errorf("it does %+v", does)
	}
}
