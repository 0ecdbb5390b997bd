package trace

import (
	"encoding/json"
	"fmt"

	"ciranda.dev/app/bank"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/link"
	"ciranda.dev/protocol/snapshot"
)

// ofBank is the sentence of an indication of the bank or of a link. That a transfer is settled is not worth one: that it
// arrived has been told.
func ofBank(e *Event) (sentence string, known bool) {
	switch e.Name() {
	case bank.Opened{}.Kind():
		d, ok := DataOf[bank.Opened](e)
		return fmt.Sprintf("node %d opens its account: %s", e.Node, accountText(d.Account)), ok
	case bank.Debited{}.Kind():
		d, ok := DataOf[bank.Debited](e)
		return fmt.Sprintf("node %d pays %d to node %d (transfer %s) and has %d left", e.Node, d.Amount, d.To, d.TID, d.Balance), ok
	case bank.Credited{}.Kind():
		d, ok := DataOf[bank.Credited](e)
		return fmt.Sprintf("node %d gets %d from node %d (transfer %s) and has %d", e.Node, d.Amount, d.TID.Node, d.TID, d.Balance), ok
	case bank.Settled{}.Kind():
		_, ok := DataOf[bank.Settled](e)
		return "", ok
	case link.Failed{}.Kind():
		d, ok := DataOf[link.Failed](e)
		return fmt.Sprintf("node %d gives up %s for a former life of node %d", e.Node, counted(d.Packets, "packet"), d.Node), ok
	case link.Ejected{}.Kind():
		d, ok := DataOf[link.Ejected](e)
		return fmt.Sprintf("node %d ends its link to node %d%s", e.Node, d.Node, because(ejections, d.Why)), ok
	case link.Full{}.Kind():
		d, ok := DataOf[link.Full](e)
		return fmt.Sprintf("the link from node %d to node %d is full", e.Node, d.Node), ok
	case link.Room{}.Kind():
		d, ok := DataOf[link.Room](e)
		return fmt.Sprintf("the link from node %d to node %d has room again", e.Node, d.Node), ok
	}
	return ofSnapshot(e)
}

// ofSnapshot is the sentence of an indication of a snapshot. That a node is asked for its state is not worth one, nor that
// a channel is empty.
func ofSnapshot(e *Event) (sentence string, known bool) {
	switch e.Name() {
	case snapshot.Started{}.Kind():
		d, ok := DataOf[snapshot.Started](e)
		return fmt.Sprintf("node %d is asked for a snapshot, %s", e.Node, d.ID), ok
	case snapshot.Cut{}.Kind():
		_, ok := DataOf[snapshot.Cut](e)
		return "", ok
	case snapshot.Recorded{}.Kind():
		d, ok := DataOf[snapshot.Recorded](e)
		return fmt.Sprintf("node %d records its state for snapshot %s", e.Node, d.ID), ok
	case snapshot.Closed{}.Kind():
		d, ok := DataOf[snapshot.Closed](e)
		if d.Count == 0 {
			return "", ok
		}
		return fmt.Sprintf("node %d finds %s on the way from node %d for snapshot %s", e.Node, counted(d.Count, "message"), d.From, d.ID), ok
	case snapshot.Aborted{}.Kind():
		d, ok := DataOf[snapshot.Aborted](e)
		return fmt.Sprintf("node %d drops its part of snapshot %s", e.Node, d.ID), ok
	case snapshot.Done{}.Kind():
		d, ok := DataOf[snapshot.Done](e)
		if d.Complete || len(d.Missing) == 0 {
			return fmt.Sprintf("snapshot %s is complete", d.ID), ok
		}
		return fmt.Sprintf("snapshot %s is not complete: node %d is missing, %s", d.ID, d.Missing[0].Node, d.Missing[0].Why), ok
	}
	return ofGroup(e)
}

func accountText(a bank.Account) string {
	under, money := len(a.Outgoing), int64(0)
	for _, out := range a.Outgoing {
		money += out.Amount
	}
	if under == 0 {
		return fmt.Sprintf("it has %d", a.Balance)
	}
	return fmt.Sprintf("it has %d, and %s of %d in all may not have arrived", a.Balance, counted(under, "transfer"), money)
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

var ejections = map[link.Why]string{
	link.Backlogged: "more waits for it than there is room for",
	link.Silent:     "it has acknowledged nothing for too long",
}

// answerText is what a client is told, in words. That a transfer is made is not told again: the debit has been.
func answerText(body any) string {
	raw, err := json.Marshal(body)
	var d struct {
		TID bank.TID `json:"tid"`
	}
	if isSent(body) {
		return ""
	}
	if _, ok := body.(bank.Transferred); ok || err == nil && json.Unmarshal(raw, &d) == nil && d.TID.Number > 0 {
		return ""
	}
	return DataText(body)
}

// asked is the sentence of a client's request, if it is one of those that have their own.
func asked(e *Event) (sentence string, known bool) {
	d, ok := DataOf[bank.Transfer](e)
	if !ok {
		return askedOfGroup(e)
	}
	sentence = fmt.Sprintf("node %d is asked to pay %d to node %d", e.Node, d.Amount, d.To)
	if d.Request != (bank.Request{}) {
		sentence += fmt.Sprintf(" (request %s)", d.Request)
	}
	return sentence, true
}

// answered is the sentence of a reply; empty where another one says as much.
func answered(node protocol.ID, r protocol.Reply) string {
	text := answerText(r.Body)
	if text == "" && r.Body != nil {
		return ""
	}
	return fmt.Sprintf("node %d answers request %d: %s", node, r.ID, text)
}
