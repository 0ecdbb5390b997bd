// Package rumour is a protocol of one's own, as small as can be: whoever hears something new tells everybody. The
// handbook's page docs/your-own-protocol.md leads through it.
//
// It promises that a rumour heard by a node that stays up is heard by all that stay up, as long as no message is lost.
package rumour

import (
	"fmt"
	"slices"

	"ciranda.dev/protocol"
)

// Tell is a client's call: spread this.
type Tell struct{ Text string }

// News is the message.
type News struct{ Text string }

// Heard is the event of a node that hears something new.
type Heard struct {
	Text string `json:"text"`
}

// Kind is the event's name in traces.
func (Heard) Kind() string { return "rumour.heard" }

// A Node is one participant. Its fields are its state, all of it.
type Node struct {
	protocol.Base
	known []string
}

// Traits say what the layer is.
func (n *Node) Traits() protocol.Traits {
	return protocol.Traits{Channel: "rumour", Messages: []protocol.Message{News{}}, Requests: []any{Tell{}}}
}

// Request takes a client's Tell.
func (n *Node) Request(r any, o *protocol.Out) (taken bool) {
	call, ok := r.(protocol.Call)
	if !ok {
		return false
	}
	tell, ok := call.Body.(Tell)
	if ok {
		n.hear(tell.Text, o)
		o.Indicate(protocol.Reply{ID: call.ID})
	}
	return ok
}

// Receive takes the News of another node.
func (n *Node) Receive(_ protocol.ID, m protocol.Message, o *protocol.Out) { n.hear(m.(News).Text, o) }

func (n *Node) hear(text string, o *protocol.Out) {
	if slices.Contains(n.known, text) {
		return
	}
	n.known = append(n.known, text)
	o.Indicate(Heard{text})
	o.SendAll(News{text})
}

func (n *Node) String() string { return fmt.Sprintf("knows %q", n.known) }
