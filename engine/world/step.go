package world

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"ciranda.dev/protocol"
)

// A Verb is what a step does.
type Verb string

// The verbs. Those about a message name its sender, its addressee and its type.
const (
	Deliver   Verb = "deliver"   // 1→5 bully.Election: the message arrives
	Lose      Verb = "lose"      // 1→5 bully.Election: it does not
	Overflow  Verb = "overflow"  // 1→5 bully.Election: there is no room for it
	Duplicate Verb = "duplicate" // 1→5 bully.Election: a copy is put in flight
	Fire      Verb = "fire"      // 3 bully.answer: the timer expires
	Draw      Verb = "draw"      // 117: what the step before drew
	Request   Verb = "request"   // 2 elect: a client asks for it
	Start     Verb = "start"     // 1
	Crash     Verb = "crash"     // 5; 5 after 2: in its next step, after two effects
	Recover   Verb = "recover"   // 5
	Wipe      Verb = "wipe"      // 5: its disk is lost
	Stop      Verb = "stop"      // 5: in good order
	Pause     Verb = "pause"     // 5
	Resume    Verb = "resume"    // 5
	Cut       Verb = "cut"       // 1→5
	Mend      Verb = "mend"      // 1→5
	Partition Verb = "partition" // 1,2/3,4,5: nothing gets through between sides
	Isolate   Verb = "isolate"   // 1,2: nothing gets through to or from them
	Heal      Verb = "heal"      // all that is cut is mended
	Reset     Verb = "reset"     // 1→5: the connection of the two is closed
	Suspect   Verb = "suspect"   // 1→5: the oracle of 1 suspects 5
	Restore   Verb = "restore"   // 1→5: and trusts it again
	SlowDisk  Verb = "slow-disk" // 5: writes wait for sync
	FastDisk  Verb = "fast-disk" // 5
	Sync      Verb = "sync"      // 5: what it wrote is durable now
	Stalls    Verb = "stalls"    // 5: the node is told that its disk does not answer
	Answers   Verb = "answers"   // 5: the node is told that its disk answers
	Jump      Verb = "jump"      // 5 3s: its wall clock
	Rate      Verb = "rate"      // 5 100ppm: its clocks run that much too fast
	Say       Verb = "say"       // a fault of the policy's own, in words
	Calm      Verb = "calm"
	End       Verb = "end"
)

// A Step is one thing that happens in a world. A run is a list of them.
type Step struct {
	At    time.Duration // virtual time
	Do    Verb
	Node  protocol.ID // whose step, or the sender
	Peer  protocol.ID // the addressee
	What  string      // a message type, a timer, a request, sides, words
	Nth   int         // which of several such messages, in the order of sending, from 0
	Value int64       // a number drawn, effects before a crash, ns, millionths
}

// about says what a verb is followed by.
var about = map[Verb]string{
	Deliver: "message", Lose: "message", Overflow: "message", Duplicate: "message",
	Fire: "name", Request: "name", Draw: "number", Crash: "fuse", Jump: "duration", Rate: "ppm",
	Start: "node", Recover: "node", Wipe: "node", Stop: "node", Pause: "node", Resume: "node",
	SlowDisk: "node", FastDisk: "node", Sync: "node", Stalls: "node", Answers: "node",
	Cut: "pair", Mend: "pair", Reset: "pair", Suspect: "pair", Restore: "pair", Say: "words", Calm: "", End: "",
	Partition: "sides", Isolate: "sides", Heal: "",
}

// String writes the step in a line that ParseStep reads.
func (s Step) String() string {
	text := s.At.String() + " " + string(s.Do)
	switch about[s.Do] {
	case "message":
		text += fmt.Sprintf(" %d→%d %s", s.Node, s.Peer, s.What)
		if s.Nth > 0 {
			text += " +" + strconv.Itoa(s.Nth)
		}
	case "pair":
		text += fmt.Sprintf(" %d→%d", s.Node, s.Peer)
	case "name":
		text += fmt.Sprintf(" %d %s", s.Node, s.What)
	case "node":
		text += " " + s.Node.String()
	case "fuse":
		text += " " + s.Node.String()
		if s.Value >= 0 {
			text += " after " + strconv.FormatInt(s.Value, 10)
		}
	case "sides":
		text += " " + s.What
	case "number":
		text += " " + strconv.FormatInt(s.Value, 10)
	case "duration":
		text += fmt.Sprintf(" %d %s", s.Node, time.Duration(s.Value))
	case "ppm":
		text += fmt.Sprintf(" %d %dppm", s.Node, s.Value)
	case "words":
		text += fmt.Sprintf(" %d→%d %s", s.Node, s.Peer, s.What)
	}
	return text
}

// MarshalText writes the step as String does.
func (s Step) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the step as ParseStep does.
func (s *Step) UnmarshalText(text []byte) (err error) {
	*s, err = ParseStep(string(text))
	return err
}

// ParseStep reads a line that String wrote.
func ParseStep(text string) (Step, error) {
	words := strings.SplitN(strings.TrimSpace(text), " ", 4)
	bad := func(expected string) (Step, error) {
		return Step{}, fmt.Errorf("found the step %q; expected %s", text, expected)
	}
	if len(words) < 2 {
		return bad("a time and a verb, such as 2s crash 5")
	}
	at, err := time.ParseDuration(words[0])
	if err != nil || at < 0 {
		return bad("a time first, such as 2.5s")
	}
	s := Step{At: at, Do: Verb(words[1])}
	form, known := about[s.Do]
	if !known {
		return bad("a verb such as deliver, fire or crash")
	}
	if err := s.parseAbout(form, append(words[2:], "", "")); err != nil {
		return bad(err.Error())
	}
	return s, nil
}

func (s *Step) parseAbout(form string, words []string) (err error) {
	first, rest := words[0], words[1]
	switch form {
	case "message", "words", "pair":
		if s.Node, s.Peer, err = parsePair(first); err != nil || form == "pair" {
			return err
		}
		s.What = rest
		if what, nth, found := strings.Cut(rest, " +"); found && form == "message" {
			s.What = what
			if s.Nth, err = strconv.Atoi(nth); err != nil || s.Nth < 0 {
				return fmt.Errorf("a number after the +, from 0")
			}
		}
		return nil
	case "sides":
		sides, err := parseSides(first)
		if wrong := s.Do == Isolate && len(sides) != 1; err == nil && wrong {
			err = fmt.Errorf("nodes such as 1,2")
		}
		s.What = sidesText(sides)
		return err
	case "number":
		s.Value, err = strconv.ParseInt(first, 10, 64)
		return err
	case "":
		return nil
	}
	if s.Node, err = parseNode(first); err != nil {
		return err
	}
	switch form {
	case "name":
		s.What = rest
	case "fuse":
		s.Value = -1
		if after, found := strings.CutPrefix(rest, "after "); found {
			s.Value, err = strconv.ParseInt(after, 10, 64)
		}
	case "duration":
		var d time.Duration
		d, err = time.ParseDuration(rest)
		s.Value = int64(d)
	case "ppm":
		s.Value, err = strconv.ParseInt(strings.TrimSuffix(rest, "ppm"), 10, 64)
	}
	return err
}

func parseNode(text string) (protocol.ID, error) {
	id, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("a node's number, not %q", text)
	}
	return protocol.ID(id), nil
}

func parsePair(text string) (from, to protocol.ID, err error) {
	a, b, found := strings.Cut(text, "→")
	if !found {
		return 0, 0, fmt.Errorf("two nodes such as 1→5, not %q", text)
	}
	if from, err = parseNode(a); err == nil {
		to, err = parseNode(b)
	}
	return from, to, err
}

// note gives a step to whoever records the run.
func (w *World) note(s Step) {
	if w.recorder != nil {
		s.At = w.now
		w.recorder(s)
	}
}

func (w *World) recordDraws() {
	for _, d := range w.draws {
		w.note(Step{Do: Draw, Value: int64(d)})
	}
}

// timerName is what steps call a timer: layer, name, and a peer or slot if there is one.
func (w *World) timerName(n *node, k timerKey) string {
	return TimerName(n.stack.Traits()[k.layer], k.timer)
}

// TimerName is a timer's name for people, such as heartbeat.dead(5).
func TimerName(t protocol.Traits, timer protocol.Timer) string {
	name := t.Channel + "." + strconv.Itoa(int(timer.Kind))
	if int(timer.Kind) < len(t.Timers) {
		name = t.Channel + "." + t.Timers[timer.Kind]
	}
	if timer.Arg != 0 {
		name += "(" + strconv.Itoa(int(timer.Arg)) + ")"
	}
	return name
}
