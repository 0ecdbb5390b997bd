package link_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/link"
)

// A talker says words to other nodes. One on perfect links counts on them; another takes what comes.
type talker struct {
	protocol.Base
	Name    string            `layer:"const"`
	Needs   protocol.Property `layer:"const"`
	polite  bool              `layer:"const"` // it says nothing to nodes to which the link is full
	stores  bool              `layer:"const"` // it makes its words durable, and that it heard one
	blocked []protocol.ID     // those nodes
	said    uint64            // words
}

type (
	// Word is a talker's message.
	Word struct{ Text string }
	// Say is a call: say a word to a node, or several that are all different and so many bytes longer.
	Say struct {
		Talker string
		To     protocol.ID
		Text   string
		Times  int
		Bytes  int
	}
	// Heard is the indication of a word.
	Heard struct {
		By   string               `json:"by"`
		From protocol.ID          `json:"from"`
		Inc  protocol.Incarnation `json:"inc"`
		Text string               `json:"text"`
	}
)

func (Heard) Kind() string { return "heard" }

func (t *talker) Request(r any, o *protocol.Out) bool {
	say, ok := r.(protocol.Call).Body.(Say)
	if !ok || say.Talker != t.Name {
		return false
	}
	to := say.To
	if to == o.Self().ID {
		to = to%protocol.ID(len(o.Self().Group)) + 1
	}
	if say.Times == 0 {
		t.say(to, say.Text, o)
	}
	for range say.Times {
		if !t.polite || !slices.Contains(t.blocked, to) {
			t.say(to, fmt.Sprintf("%d/%d%s", o.Self().Incarnation, t.said, strings.Repeat(".", say.Bytes)), o)
		}
	}
	return true
}

func (t *talker) say(to protocol.ID, text string, o *protocol.Out) {
	t.said++
	t.store(o)
	o.Send(to, Word{text})
}

// store makes what follows wait for the disk.
func (t *talker) store(o *protocol.Out) {
	if t.stores {
		o.Persist("said", binary.AppendUvarint(nil, t.said))
	}
}

// Indicate listens for links that are full.
func (t *talker) Indicate(e protocol.Event, _ *protocol.Out) bool {
	switch e := e.(type) {
	case link.Full:
		t.blocked = append(t.blocked, e.Node)
	case link.Room:
		t.blocked = slices.DeleteFunc(t.blocked, func(id protocol.ID) bool { return id == e.Node })
	}
	return false
}

func (t *talker) Receive(from protocol.ID, m protocol.Message, o *protocol.Out) {
	w := m.(Word)
	t.store(o)
	o.Indicate(Heard{t.Name, from, o.SenderIncarnation(), w.Text})
	if w.Text == "question" {
		t.say(from, "answer", o)
	}
}

func (t *talker) String() string { return fmt.Sprintf("said %d words", t.said) }

func (t *talker) Traits() protocol.Traits {
	return protocol.Traits{Channel: t.Name, Needs: t.Needs, Messages: []protocol.Message{Word{}}}
}
