package protocoltest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"ciranda.dev/protocol"
)

// Do carries out a command and gives what it printed. The commands, where "…" may be left out:
//
//	start 1 2 …          first life of those nodes, or of all
//	deliver 1 2 last     the oldest message from 1 to 2, or the newest; without nodes all, and those that they cause
//	drop 1 2 last        the same, lost
//	duplicate 1 2 last   the same, doubled
//	fire 3 dead(1)       that timer of node 3 expires now; with two layers of such a timer, heartbeat/dead(1)
//	pass 100ms           timers expire as they come due; messages wait
//	run 100ms            the same, and messages arrive at once
//	crash 5              node 5 loses its volatile state and its timers
//	recover 5            its next life begins, with what it persisted
//	wipe 5               what it persisted is lost
//	pause 5, resume 5    while it is paused, its timers and messages wait when time passes
//	cut 1 2, heal 1 2    what node 1 sent to node 2 is lost when it arrives; heal without nodes heals all
//	down 1 5 …           node 1 is told that its connection to node 5 closed (to a former life: give its number)
//	disk 1 stalled|ok    node 1 is told so of its disk
//	stop 1               node 1 is told to leave
//	call 2 NAME …        a client calls node 2: Calls of the [Kit]
//	event 2 NAME …       the engine tells node 2 of an event: Events of the [Kit]
//	ask 2 NAME           a question to node 2: Questions of the [Kit]
//	state 1 …            the state of node 1, or of all
//	flying               the messages on their way
//	draw 1 2 …           the numbers drawn next; when there are none, draws give 0
//	hide NAME …          leave messages, timers or events of that name out of what is printed; "show" shows them again
func (b *Bench) Do(command string) (string, error) {
	words := strings.Fields(command)
	if len(words) == 0 {
		return "", nil
	}
	b.text.Reset()
	b.pending = ""
	do, known := commands[words[0]]
	if !known {
		return "", fmt.Errorf("unknown command %q", words[0])
	}
	err := do(b, words[1:])
	return b.text.String(), err
}

var commands = map[string]func(b *Bench, args []string) error{
	"start":     (*Bench).doStart,
	"recover":   (*Bench).doStart,
	"deliver":   func(b *Bench, args []string) error { return b.doMessage(args, (*Bench).deliver) },
	"drop":      func(b *Bench, args []string) error { return b.doMessage(args, (*Bench).drop) },
	"duplicate": func(b *Bench, args []string) error { return b.doMessage(args, (*Bench).duplicate) },
	"fire":      (*Bench).doFire,
	"pass":      func(b *Bench, args []string) error { return b.doPass(args, false) },
	"run":       func(b *Bench, args []string) error { return b.doPass(args, true) },
	"crash":     func(b *Bench, args []string) error { return b.each(args, func(n *node) { n.crash() }) },
	"wipe":      func(b *Bench, args []string) error { return b.each(args, func(n *node) { clear(n.stored) }) },
	"pause":     func(b *Bench, args []string) error { return b.each(args, func(n *node) { n.paused = true }) },
	"resume":    func(b *Bench, args []string) error { return b.each(args, func(n *node) { n.paused = false }) },
	"cut":       func(b *Bench, args []string) error { return b.doCut(args, true) },
	"heal":      func(b *Bench, args []string) error { return b.doCut(args, false) },
	"down":      (*Bench).doDown,
	"disk":      (*Bench).doDisk,
	"stop": func(b *Bench, args []string) error {
		return b.each(args, func(n *node) { b.notify(n, protocol.Stopping{}) })
	},
	"call":   (*Bench).doCall,
	"event":  (*Bench).doEvent,
	"ask":    (*Bench).doAsk,
	"state":  (*Bench).doState,
	"flying": (*Bench).doFlying,
	"draw":   (*Bench).doDraw,
	"hide":   func(b *Bench, args []string) error { return b.doHide(args, true) },
	"show":   func(b *Bench, args []string) error { return b.doHide(args, false) },
}

// node reads the number of a node.
func (b *Bench) node(arg string) (*node, error) {
	id, err := strconv.ParseUint(arg, 10, 16)
	if n := b.nodes[protocol.ID(id)]; err == nil && n != nil {
		return n, nil
	}
	return nil, fmt.Errorf("%q is no node of the group %v", arg, b.group)
}

// up reads the number of a node that is up, from args, of which there are at least the given number.
func (b *Bench) up(args []string, least int, usage string) (*node, error) {
	if len(args) < least {
		return nil, fmt.Errorf("usage: %s", usage)
	}
	n, err := b.node(args[0])
	if err == nil && n.stack == nil {
		err = fmt.Errorf("node %d is down", n.id)
	}
	return n, err
}

func (b *Bench) each(args []string, do func(*node)) error {
	for _, arg := range args {
		n, err := b.node(arg)
		if err != nil {
			return err
		}
		do(n)
	}
	return nil
}

func (b *Bench) doStart(args []string) error {
	if len(args) == 0 {
		for _, id := range b.group {
			args = append(args, id.String())
		}
	}
	for _, arg := range args {
		n, err := b.node(arg)
		if err != nil {
			return err
		}
		if err := b.begin(n, b.kit.options); err != nil {
			return err
		}
	}
	return nil
}

// doMessage does something to the oldest message between two nodes, or to all until there are none.
func (b *Bench) doMessage(args []string, do func(b *Bench, i int)) error {
	if len(args) == 0 {
		for range maxSteps {
			if len(b.flying) == 0 {
				return nil
			}
			do(b, 0)
		}
		return fmt.Errorf("no end after %d messages", maxSteps)
	}
	from, to, err := b.pair(args)
	if err != nil {
		return err
	}
	chosen := -1
	for i, m := range b.flying {
		if m.from == from && m.to == to && (chosen < 0 || len(args) > 2) {
			chosen = i
		}
	}
	if chosen < 0 {
		return fmt.Errorf("no message from %d to %d is on its way", from, to)
	}
	do(b, chosen)
	return nil
}

// pair reads a sender and an addressee.
func (b *Bench) pair(args []string) (from, to protocol.ID, err error) {
	if len(args) < 2 || len(args) > 2 && args[2] != "last" {
		return 0, 0, fmt.Errorf("expected the numbers of sender and addressee")
	}
	sender, err := b.node(args[0])
	if err != nil {
		return 0, 0, err
	}
	addressee, err := b.node(args[1])
	if err != nil {
		return 0, 0, err
	}
	return sender.id, addressee.id, nil
}

func (b *Bench) drop(i int) {
	m := b.flying[i]
	b.flying = slices.Delete(b.flying, i, i+1)
	b.begins(protocol.Name(m.packet.Body))
	b.input("lost %s from %d to %d", describe(m.packet.Body), m.from, m.to)
}

func (b *Bench) duplicate(i int) { b.flying = slices.Insert(b.flying, i+1, b.flying[i]) }

func (b *Bench) doFire(args []string) error {
	n, err := b.up(args, 2, "fire NODE TIMER")
	if err != nil {
		return err
	}
	layer, name, found := strings.Cut(args[1], "/")
	if !found {
		layer, name = "", args[1]
	}
	matches := []int{}
	for i, t := range n.timers {
		if timerName(n.stack, t.layer, t.timer) == name && (layer == "" || n.stack.Traits()[t.layer].Channel == layer) {
			matches = append(matches, i)
		}
	}
	if len(matches) != 1 {
		return fmt.Errorf("node %d has %d armed timers %q", n.id, len(matches), args[1])
	}
	b.expire(n, matches[0])
	return nil
}

func (b *Bench) doPass(args []string, messagesTravel bool) error {
	if len(args) != 1 {
		return fmt.Errorf("expected a duration")
	}
	d, err := time.ParseDuration(args[0])
	if err != nil {
		return err
	}
	return b.pass(d, messagesTravel)
}

func (b *Bench) doCut(args []string, cut bool) error {
	if len(args) == 0 && !cut {
		clear(b.cut)
		return nil
	}
	from, to, err := b.pair(args)
	if err == nil {
		b.cut[[2]protocol.ID{from, to}] = cut
	}
	return err
}

func (b *Bench) doDown(args []string) error {
	n, err := b.up(args, 2, "down NODE PEER [LIFE]")
	if err != nil {
		return err
	}
	peer, err := b.node(args[1])
	if err != nil {
		return err
	}
	life := peer.life
	if len(args) > 2 {
		number, err := strconv.ParseUint(args[2], 10, 32)
		if err != nil {
			return err
		}
		life = protocol.Incarnation(number)
	}
	b.notify(n, protocol.LinkDown{Node: peer.id, Incarnation: life})
	return nil
}

func (b *Bench) doDisk(args []string) error {
	n, err := b.up(args, 2, "disk NODE stalled|ok")
	if err == nil {
		b.notify(n, protocol.Disk{Stalled: args[1] == "stalled"})
	}
	return err
}

func (b *Bench) doCall(args []string) error {
	n, err := b.up(args, 2, "call NODE NAME")
	if err != nil {
		return err
	}
	read, known := b.kit.Calls[args[1]]
	if !known {
		return fmt.Errorf("the test has no call %q", args[1])
	}
	body, err := read(args[2:])
	if err == nil {
		b.call(n, body)
	}
	return err
}

func (b *Bench) doEvent(args []string) error {
	n, err := b.up(args, 2, "event NODE NAME")
	if err != nil {
		return err
	}
	read, known := b.kit.Events[args[1]]
	if !known {
		return fmt.Errorf("the test has no event %q", args[1])
	}
	e, err := read(args[2:])
	if err == nil {
		b.notify(n, e)
	}
	return err
}

func (b *Bench) doAsk(args []string) error {
	n, err := b.up(args, 2, "ask NODE NAME")
	if err != nil {
		return err
	}
	question, known := b.kit.Questions[args[1]]
	if !known {
		return fmt.Errorf("the test has no question %q", args[1])
	}
	answer, ok := n.stack.Answer(question)
	if !ok {
		return fmt.Errorf("no layer of node %d answers %s", n.id, protocol.Name(question))
	}
	b.line("%s", describe(answer))
	return nil
}

func (b *Bench) doState(args []string) error {
	for _, id := range b.group {
		n := b.nodes[id]
		switch {
		case len(args) > 0 && !slices.Contains(args, id.String()):
		case n.stack == nil:
			b.line("%d is down", id)
		default:
			for line := range strings.Lines(n.stack.String()) {
				b.line("%d %s", id, strings.TrimSpace(line))
			}
		}
	}
	return nil
}

func (b *Bench) doFlying([]string) error {
	for _, m := range b.flying {
		if !b.hides(protocol.Name(m.packet.Body)) {
			b.line("%d->%d %s", m.from, m.to, describe(m.packet.Body))
		}
	}
	return nil
}

func (b *Bench) doDraw(args []string) error {
	for _, arg := range args {
		v, err := strconv.Atoi(arg)
		if err != nil || v < 0 {
			return fmt.Errorf("%q is no number from 0", arg)
		}
		b.draws = append(b.draws, v)
	}
	return nil
}

func (b *Bench) doHide(args []string, hide bool) error {
	for _, arg := range args {
		b.hidden[arg] = hide
	}
	return nil
}
