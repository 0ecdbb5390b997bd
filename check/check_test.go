package check

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
	"ciranda.dev/protocol/election"
	"ciranda.dev/protocol/link"
	"ciranda.dev/trace"
	"github.com/cockroachdb/datadriven"
)

// TestProperties judges traces written by hand. A line is a time, a node if it is a node's event, what happens, and
// fields of the event that are to differ from what a true engine would record.
func TestProperties(t *testing.T) {
	datadriven.Walk(t, "testdata/properties", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			p, err := parseProperty(d)
			if err != nil {
				return "error: " + err.Error()
			}
			events := parseTrace(t, d)
			checkClones(t, d, p, events)
			suite := NewSuite(p)
			for i := range events {
				suite.Record(&events[i])
			}
			return resultText(suite.Results()[0])
		})
	})
}

// checkClones finds that a property judges the same when it is cloned on its way, and that both have one key.
func checkClones(t *testing.T, d *datadriven.TestData, p Property, events []trace.Event) {
	t.Helper()
	first := NewSuite(Clone(p))
	for i := range events {
		copied := first.Clone()
		if i%2 == 0 {
			first, copied = copied, first
		}
		first.Record(&events[i])
		copied.Record(&events[i])
		if a, b := first.AppendKey(nil), copied.AppendKey(nil); string(a) != string(b) {
			d.Fatalf(t, "after event %d a clone has another key", i)
		}
		if a, b := resultText(first.Results()[0]), resultText(copied.Results()[0]); a != b {
			d.Fatalf(t, "after event %d a clone judges differently: %s and %s", i, a, b)
		}
	}
}

func resultText(r Result) string {
	var b strings.Builder
	fmt.Fprint(&b, r.Verdict)
	if r.Verdict != Unexercised {
		fmt.Fprintf(&b, ", %d examined, by %s", r.Examined, r.Basis)
	}
	if r.Why != "" {
		fmt.Fprintf(&b, ": %s", r.Why)
	}
	b.WriteByte('\n')
	for i := range r.Witnesses {
		fmt.Fprintf(&b, "  %s\n", eventText(&r.Witnesses[i]))
	}
	return b.String()
}

func eventText(e *trace.Event) string {
	text := time.Duration(e.T).String()
	if e.Node != protocol.None {
		text += fmt.Sprintf(" %d#%d", e.Node, e.Inc)
	}
	text += " " + e.Kind.String()
	if p, ok := e.Data.(protocol.Event); ok {
		text += fmt.Sprintf(" %s %v", p.Kind(), e.Data)
	}
	if e.Seq > 0 {
		text += fmt.Sprintf(" %s %d", e.Message(), e.Lamport)
	}
	return text
}

// parseProperty reads the command: the property's name, its parameters, and what differs from a cluster of three
// nodes with a heartbeat detector and Bully in the simulator.
func parseProperty(d *datadriven.TestData) (Property, error) {
	setup := Setup{Level: trace.Full, Link: true, Transfer: true, Board: true, Calls: true, References: &References{}, Group: &Group{Casts: true, Notes: true}, Election: &Election{}, Detector: &Detector{
		Interval: 100 * time.Millisecond, Timeout: 350 * time.Millisecond, Verify: 30 * time.Millisecond}}
	params, n := Params{}, 3
	for _, a := range d.CmdArgs {
		value := strings.Join(a.Vals, ",")
		span, _ := time.ParseDuration(value)
		switch a.Key {
		case "nodes":
			n, _ = strconv.Atoi(value)
		case "classic":
			setup.Election.Classic = true
		case "stable":
			setup.Election.Stable = true
		case "quorum":
			setup.Election.Quorum = true
		case "silence":
			setup.Election.Silence = span
		case "ask":
			setup.Election.Ask = span
		case "oracle":
			setup.Detector = &Detector{}
		case "ring":
			setup.Detector.Neighbours = 2
		case "no-election":
			setup.Election = nil
		case "no-detector":
			setup.Detector = nil
		case "no-group":
			setup.Group = nil
		case "no-transfer":
			setup.Transfer = false
		case "no-board":
			setup.Board = false
		case "no-calls":
			setup.Calls = false
		case "no-references":
			setup.References = nil
		case "no-casts":
			setup.Group.Casts = false
		case "no-notes":
			setup.Group.Notes = false
		case "lanes":
			setup.Group.Lanes = append(setup.Group.Lanes, parseLane(value))
		case "no-link":
			setup.Link = false
		case "protocol":
			setup.Level = trace.Protocol
		case "host":
			setup.Engine = OneHost
		case "untimed":
			setup.Engine = Untimed
		default:
			params[a.Key] = span
		}
	}
	setup.Nodes = ids(n)
	return New(d.Cmd, params, setup)
}

// A scribe writes events as a true engine would record them.
type scribe struct {
	nodes map[protocol.ID]*written
	stamp map[trace.MessageID]uint64
}

type written struct {
	inc               protocol.Incarnation
	n, lamport, cause uint64
	seq               uint64
}

func parseTrace(t *testing.T, d *datadriven.TestData) []trace.Event {
	t.Helper()
	s := scribe{map[protocol.ID]*written{}, map[trace.MessageID]uint64{}}
	var events []trace.Event
	for line := range strings.Lines(d.Input) {
		line, _, _ = strings.Cut(line, "#!")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		e, err := s.write(line)
		if err != nil {
			d.Fatalf(t, "%q: %v", line, err)
		}
		events = append(events, e)
	}
	return events
}

func (s *scribe) write(line string) (trace.Event, error) {
	words := strings.Fields(line)
	span, err := time.ParseDuration(words[0])
	if err != nil {
		return trace.Event{}, err
	}
	e := trace.Event{T: int64(span)}
	words = words[1:]
	if id, err := strconv.Atoi(words[0]); err == nil {
		e.Node, words = protocol.ID(id), words[1:]
	}
	if err := describe(&e, words); err != nil {
		return e, err
	}
	if e.Kind <= trace.Noted {
		s.stampNode(&e)
	}
	return e, override(&e, words)
}

// stampNode fills in what an engine counts.
func (s *scribe) stampNode(e *trace.Event) {
	w := s.nodes[e.Node]
	if w == nil {
		w = &written{inc: 1}
		s.nodes[e.Node] = w
	}
	if e.Kind == trace.Recover {
		*w = written{inc: w.inc + 1, lamport: w.lamport}
	}
	w.n++
	w.lamport++
	if e.Kind == trace.Receive {
		w.lamport = max(w.lamport, s.stamp[e.Message()]+1)
	}
	e.Inc, e.N, e.Lamport = w.inc, w.n, w.lamport
	switch e.Kind {
	case trace.Start, trace.Recover, trace.Receive, trace.TimerFire, trace.Call:
		w.cause = e.N
	default:
		e.Cause = w.cause
	}
	if e.Kind == trace.Send {
		w.seq++
		e.Seq = w.seq
		s.stamp[e.Message()] = e.Lamport
	}
}

// describe fills in what happens.
func describe(e *trace.Event, words []string) error {
	arg := func(i int) string {
		if i < len(words) {
			return words[i]
		}
		return ""
	}
	num := func(i int) uint64 {
		v, _ := strconv.ParseUint(arg(i), 10, 64)
		return v
	}
	told := func(v protocol.Event) { e.Kind, e.Data = trace.Told, v }
	plain := map[string]trace.Kind{"crash": trace.Crash, "stop": trace.Stop, "pause": trace.Pause, "resume": trace.Resume,
		"calm": trace.Calm}
	timers := map[string]trace.Kind{"set": trace.TimerSet, "fire": trace.TimerFire, "cancel": trace.TimerCancel}
	switch words[0] {
	case "crash", "stop", "pause", "resume", "calm":
		e.Kind = plain[words[0]]
	case "start":
		e.Kind, e.Data = trace.Start, trace.Life{}
	case "recover": // [durable N | lost]
		e.Kind, e.Data = trace.Recover, trace.Life{Stored: arg(1) != "lost", Durable: num(2)}
	case "fault":
		e.Kind, e.Data = trace.Fault, trace.FaultNote{Text: strings.Join(words[1:], " ")}
	case "end": // [in-flight]
		e.Kind, e.Data = trace.End, trace.Ending{InFlight: int(num(1))}
	case "leader": // leader counter.leader
		l, _ := strconv.Atoi(arg(1))
		told(election.Elected{Leader: protocol.ID(l), Term: parseTerm(arg(2))})
	case "stepdown":
		told(election.SteppedDown{Term: parseTerm(arg(1)), Why: election.Quorum})
	case "begun": // counter why
		told(election.Begun{Counter: num(1), Why: election.Why(arg(2))})
	case "grant": // counter to
		told(election.Granted{Counter: num(1), To: protocol.ID(num(2))})
	case "suspect": // node#life why
		id, inc := parseLife(arg(1))
		told(detector.Suspect{Node: id, Incarnation: inc, Why: detector.Why(arg(2))})
	case "restore":
		id, inc := parseLife(arg(1))
		told(detector.Restore{Node: id, Incarnation: inc})
	case "hint":
		id, inc := parseLife(arg(1))
		e.Kind, e.Data = trace.Noted, detector.Hint{Node: id, Incarnation: inc}
	case "carry": // addressee#life mark
		id, inc := parseLife(arg(1))
		e.Kind, e.Data = trace.Noted, link.Sent{To: id, Incarnation: inc, Mark: uint32(num(2))}
	case "open": // addressee#life
		id, inc := parseLife(arg(1))
		e.Kind, e.Data = trace.Noted, link.Opened{Node: id, Incarnation: inc}
	case "deliver": // sender#life mark
		id, inc := parseLife(arg(1))
		e.Kind, e.Data = trace.Noted, link.Delivered{From: id, Incarnation: inc, Mark: uint32(num(2))}
	case "eject": // node#life
		id, inc := parseLife(arg(1))
		told(link.Ejected{Node: id, Incarnation: inc, Why: link.Backlogged})
	case "send": // addressee#life layer
		e.Kind, e.Layer = trace.Send, uint8(num(2))
		e.Peer, e.PeerInc = parseLife(arg(1))
	case "recv", "drop", "dup": // sender#life number; of drop and dup the node is the addressee
		e.Kind, e.Seq = trace.Receive, num(2)
		e.Peer, e.PeerInc = parseLife(arg(1))
		if words[0] != "recv" {
			e.Kind, e.Node, e.Inc, e.Peer, e.PeerInc = trace.Drop, e.Peer, e.PeerInc, e.Node, 1
			e.Data = trace.Loss{Reason: "loss"}
		}
		if words[0] == "dup" {
			e.Kind, e.Data = trace.Duplicate, nil
		}
	case "persist":
		e.Kind, e.Data = trace.Persisted, trace.Record{Key: arg(1)}
	case "set", "fire", "cancel": // timer after
		after, _ := time.ParseDuration(arg(2))
		e.Kind, e.Timer, e.After = timers[words[0]], protocol.Timer{Kind: uint32(num(1))}, int64(after)
	default:
		return describeGroup(e, words)
	}
	return nil
}

// override sets fields that are wrong on purpose: lam=7 n=3 inc=1 cause=2.
func override(e *trace.Event, words []string) error {
	for _, w := range words {
		key, value, found := strings.Cut(w, "=")
		if !found {
			continue
		}
		v, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			return err
		}
		switch key {
		case "layer":
			e.Layer = uint8(v)
		case "lam":
			e.Lamport = v
		case "n":
			e.N = v
		case "inc":
			e.Inc = protocol.Incarnation(v)
		case "cause":
			e.Cause = v
		}
	}
	return nil
}

func parseTerm(text string) election.Term {
	counter, leader, _ := strings.Cut(text, ".")
	c, _ := strconv.ParseUint(counter, 10, 64)
	l, _ := strconv.ParseUint(leader, 10, 16)
	return election.Term{Counter: c, Leader: protocol.ID(l)}
}

// parseLife reads a node and its life, 1 if it is not given.
func parseLife(text string) (protocol.ID, protocol.Incarnation) {
	id, inc, found := strings.Cut(text, "#")
	n, _ := strconv.ParseUint(id, 10, 16)
	i, _ := strconv.ParseUint(inc, 10, 32)
	if !found {
		i = 1
	}
	return protocol.ID(n), protocol.Incarnation(i)
}

// ids are the nodes 1 to n.
func ids(n int) []protocol.ID {
	all := make([]protocol.ID, n)
	for i := range all {
		all[i] = protocol.ID(i + 1)
	}
	return all
}
