package trace

import (
	"encoding/json"
	"fmt"
	"strings"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/multicast"
)

// ofGroup is the sentence of an indication of a group. How a change goes on is not worth one.
func ofGroup(e *Event) (sentence string, known bool) {
	switch e.Name() {
	case group.Installed{}.Kind():
		d, ok := DataOf[group.Installed](e)
		return fmt.Sprintf("node %d installs view %d: %s%s", e.Node, d.View.ID, membersText(d.View), changesText(d)), ok
	case group.Excluded{}.Kind():
		d, ok := DataOf[group.Excluded](e)
		return fmt.Sprintf("node %d is out of the group after view %d%s", e.Node, d.View, because(exclusions, d.Why)), ok
	case group.Blocked{}.Kind():
		d, ok := DataOf[group.Blocked](e)
		if d.Why == "" {
			return fmt.Sprintf("the group goes on at node %d", e.Node), ok
		}
		return fmt.Sprintf("the group stands still at node %d: %s", e.Node, d.Why), ok
	case multicast.Broadcasting{}.Kind():
		d, ok := DataOf[multicast.Broadcasting](e)
		if !d.Is {
			return fmt.Sprintf("node %d sends the group's messages over links: %s", e.Node, d.Why), ok
		}
		return fmt.Sprintf("node %d broadcasts the group's messages", e.Node), ok
	case group.Flush{}.Kind():
		_, ok := DataOf[group.Flush](e)
		return "", ok
	case group.Gather{}.Kind():
		_, ok := DataOf[group.Gather](e)
		return "", ok
	}
	return "", false
}

// membersText names the members, the coordinator first.
func membersText(v group.View) string {
	var ids []protocol.ID
	for _, m := range v.Members {
		ids = append(ids, m.Node)
	}
	return nodesText(ids)
}

func nodesText(ids []protocol.ID) string {
	var words []string
	for _, id := range ids {
		words = append(words, id.String())
	}
	if len(words) == 1 {
		return "node " + words[0]
	}
	return "nodes " + strings.Join(words, ", ")
}

func changesText(d group.Installed) string {
	text := ""
	if len(d.Joined) > 0 {
		text += "; " + nodesText(d.Joined) + " joined"
	}
	if len(d.Gone) > 0 {
		text += "; " + nodesText(d.Gone) + " gone"
	}
	return text
}

var exclusions = map[group.Why]string{
	group.Left:    "it has left",
	group.Abrupt:  "it has left without the others, who may lack what it sent last",
	group.Passed:  "the others go on without it",
	group.Lacking: "nobody has what it would have to deliver",
}

// ofMulticast is the sentence of a note on messages to the group; empty where that is not worth one.
func ofMulticast(e *Event) string {
	switch e.Name() {
	case multicast.Began{}.Kind():
		d, _ := DataOf[multicast.Began](e)
		return fmt.Sprintf("node %d casts %s", e.Node, messagesText(d.First, d.Count, d.Lane))
	case multicast.Delivered{}.Kind():
		d, _ := DataOf[multicast.Delivered](e)
		return fmt.Sprintf("node %d delivers %s of node %d", e.Node, messagesText(d.First, d.Count, d.Lane), d.Sender)
	case multicast.Ordered{}.Kind():
		d, _ := DataOf[multicast.Ordered](e)
		return fmt.Sprintf("node %d orders: place %d is for %s of node %d", e.Node, d.Place, messagesText(d.First, d.Count, d.Lane), d.Sender)
	case multicast.Dropped{}.Kind():
		d, _ := DataOf[multicast.Dropped](e)
		return fmt.Sprintf("node %d refuses what node %d sent to the group: %s", e.Node, d.From, d.Reason)
	}
	return ""
}

// messagesText names messages of a sender in a lane, such as "messages 3 to 7 (uniform total)".
func messagesText(first uint64, count int, l multicast.Lane) string {
	if count == 1 {
		return fmt.Sprintf("message %d (%s)", first, laneText(l))
	}
	return fmt.Sprintf("messages %d to %d (%s)", first, first+uint64(count)-1, laneText(l))
}

func laneText(l multicast.Lane) string {
	if l.Uniform {
		return "uniform " + l.Order.String()
	}
	return l.Order.String()
}

// askedOfGroup is the sentence of a client's request to a group.
func askedOfGroup(e *Event) (sentence string, known bool) {
	if d, ok := DataOf[multicast.Cast](e); ok {
		lane := multicast.Lane{Order: d.Order, Uniform: d.Uniform}
		return fmt.Sprintf("node %d is asked to cast %s (%s)", e.Node, counted(len(d.Payloads), "message"), laneText(lane)), true
	}
	switch e.MessageName() {
	case protocol.Name(group.Leave{}):
		return fmt.Sprintf("node %d is asked to leave the group", e.Node), true
	case protocol.Name(group.Join{}):
		return fmt.Sprintf("node %d is asked to join the group again", e.Node), true
	}
	return "", false
}

// isSent says whether an answer is that messages were delivered. It is not told again: the delivery has been.
func isSent(body any) bool {
	if _, ok := body.(multicast.Sent); ok {
		return true
	}
	raw, err := json.Marshal(body)
	var d multicast.Sent
	return err == nil && json.Unmarshal(raw, &d) == nil && d.First > 0 && d.Count > 0
}
