package trace

import (
	"fmt"
	"slices"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
	"ciranda.dev/protocol/election"
)

// A Teller turns events into a story for people: sentences such as "node 3 suspects node 5: its connections closed".
// What is not worth a sentence, such as a message, is passed over. It remembers what a later sentence needs, so it is
// given all events, in order.
type Teller struct {
	header  *Header
	leaders map[protocol.ID]protocol.ID // whom each node follows
	granted map[protocol.ID]uint64      // the counter that each node granted itself
}

// NewTeller makes a teller for a run with that header.
func NewTeller(h *Header) *Teller {
	return &Teller{h, map[protocol.ID]protocol.ID{}, map[protocol.ID]uint64{}}
}

// Tell gives the sentence of an event, or none.
func (t *Teller) Tell(e *Event) (sentence string, ok bool) {
	sentence = t.sentence(e)
	return sentence, sentence != ""
}

func (t *Teller) sentence(e *Event) string {
	switch e.Kind {
	case Start, Recover, Crash, Stop:
		delete(t.leaders, e.Node)
		delete(t.granted, e.Node)
		fallthrough
	case Pause, Resume:
		return fmt.Sprintf("node %d %s", e.Node, Text(e, t.header))
	case Call:
		if s, known := asked(e); known {
			return s
		}
		return fmt.Sprintf("node %d %s", e.Node, Text(e, t.header))
	case Fault, Calm, End:
		return Text(e, t.header)
	case Told:
		if s, known := t.told(e); known {
			return s
		}
		return fmt.Sprintf("node %d: %s", e.Node, Text(e, t.header))
	case Noted:
		return t.noted(e)
	}
	return ""
}

// told is the sentence of an indication; it is known and empty if that is not worth one.
func (t *Teller) told(e *Event) (sentence string, known bool) {
	switch e.Name() {
	case detector.Suspect{}.Kind():
		d, ok := DataOf[detector.Suspect](e)
		return fmt.Sprintf("node %d suspects node %d%s", e.Node, d.Node, because(suspicions, d.Why)), ok
	case detector.Restore{}.Kind():
		d, ok := DataOf[detector.Restore](e)
		return fmt.Sprintf("node %d trusts node %d again", e.Node, d.Node), ok
	case detector.Stalled{}.Kind():
		d, ok := DataOf[detector.Stalled](e)
		return fmt.Sprintf("node %d hears that the disk of node %d %s", e.Node, d.Node, diskText(d.On)), ok
	case election.Begun{}.Kind():
		d, ok := DataOf[election.Begun](e)
		return fmt.Sprintf("node %d calls an election%s", e.Node, because(elections, d.Why)), ok
	case election.SteppedDown{}.Kind():
		d, ok := DataOf[election.SteppedDown](e)
		return fmt.Sprintf("node %d leads no longer%s", e.Node, because(resignations, d.Why)), ok
	case protocol.Reply{}.Kind():
		d, ok := DataOf[protocol.Reply](e)
		return answered(e.Node, d), ok
	case election.Granted{}.Kind():
		d, ok := DataOf[election.Granted](e)
		return t.grants(e.Node, d), ok
	case election.Elected{}.Kind():
		d, ok := DataOf[election.Elected](e)
		return t.elected(e, d), ok
	}
	return ofBank(e)
}

func (t *Teller) grants(node protocol.ID, d election.Granted) string {
	if d.To == node {
		t.granted[node] = d.Counter
		return fmt.Sprintf("node %d asks for votes in election %d", node, d.Counter)
	}
	return fmt.Sprintf("node %d votes for node %d in election %d", node, d.To, d.Counter)
}

func (t *Teller) elected(e *Event, d election.Elected) string {
	before := t.leaders[e.Node]
	t.leaders[e.Node] = d.Leader
	switch {
	case d.Leader == protocol.None:
		return fmt.Sprintf("node %d follows nobody", e.Node)
	case d.Leader == before && d.Leader == e.Node:
		return fmt.Sprintf("node %d leads on (term %s)", e.Node, d.Term)
	case d.Leader == before:
		return fmt.Sprintf("node %d goes on with node %d (term %s)", e.Node, d.Leader, d.Term)
	case d.Leader == e.Node:
		return fmt.Sprintf("node %d leads (term %s)%s", e.Node, d.Term, t.reason(e, d.Term))
	default:
		return fmt.Sprintf("node %d follows node %d (term %s)", e.Node, d.Leader, d.Term)
	}
}

// reason says why a node won, where its protocol's rules leave only one reason.
func (t *Teller) reason(e *Event, term election.Term) string {
	switch {
	case t.granted[e.Node] == term.Counter && term.Counter != 0:
		return ": a majority voted for it"
	case t.header.LayerName(e.Layer) != "bully":
		return ""
	case len(t.header.Members) > 0 && slices.Max(t.header.Members) == e.Node:
		return ": it is the highest node"
	default:
		return ": nobody above it answered"
	}
}

// noted is the sentence of a note, for the few that people ask about.
func (t *Teller) noted(e *Event) string {
	switch e.Name() {
	case protocol.Disk{}.Kind():
		d, _ := DataOf[protocol.Disk](e)
		return fmt.Sprintf("the disk of node %d %s", e.Node, diskText(d.Stalled))
	case protocol.LinkDown{}.Kind():
		d, _ := DataOf[protocol.LinkDown](e)
		return fmt.Sprintf("node %d sees its connections to node %d close", e.Node, d.Node)
	case protocol.Steady{}.Kind():
		d, _ := DataOf[protocol.Steady](e)
		if !d.Is {
			return fmt.Sprintf("the link from node %d to node %d is steady no more", e.Node, d.Node)
		}
		return fmt.Sprintf("the link from node %d to node %d is steady", e.Node, d.Node)
	case protocol.Carries{}.Kind():
		d, _ := DataOf[protocol.Carries](e)
		if !d.Broadcasts {
			return fmt.Sprintf("the network does not carry what node %d broadcasts: %s", e.Node, d.Why)
		}
		return fmt.Sprintf("the network carries what node %d broadcasts", e.Node)
	case protocol.Stopping{}.Kind():
		return fmt.Sprintf("node %d is about to stop", e.Node)
	}
	return ofMulticast(e)
}

// because is a reason in words; one that is not known here, in its own.
func because[W ~string](words map[W]string, why W) string {
	if text := words[why]; text != "" {
		return ": " + text
	}
	if why == "" {
		return ""
	}
	return ": " + string(why)
}

func diskText(stalled bool) string {
	if stalled {
		return "does not answer"
	}
	return "answers again"
}

var suspicions = map[detector.Why]string{
	detector.Timeout:   "nothing was heard of it for too long",
	detector.Link:      "its connections closed",
	detector.Restarted: "it has restarted",
	detector.News:      "another node suspects it",
	detector.Oracle:    "the engine chose so",
}

var elections = map[election.Why]string{
	election.Started:   "it has just started",
	election.Recovered: "it has come back",
	election.Suspected: "its leader is suspected",
	election.Silent:    "it hears of no leader",
	election.Requested: "somebody asked for one",
	election.Outranked: "a lower node leads or stands",
	election.Timeout:   "a higher node took over and never finished",
	election.Renewed:   "its term is too low",
	election.Disk:      "its leader's disk does not answer",
	election.Quorum:    "the leader lost its majority",
	election.Stopped:   "the leader left",
}

var resignations = map[election.Why]string{
	election.Renewed:   "its term is too low",
	election.Disk:      "its disk does not answer",
	election.Quorum:    "it hears no majority, or has voted for another",
	election.Stopped:   "it is about to stop",
	election.Requested: "somebody asked for an election",
	election.Outranked: "a higher term is known",
}
