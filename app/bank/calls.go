package bank

import (
	"fmt"

	"ciranda.dev/protocol"
)

// A TID names a transfer: the node whose account it left, and a number that this account never uses again.
type TID struct {
	Node   protocol.ID `json:"node"`
	Number uint64      `json:"number"`
}

func (t TID) String() string { return fmt.Sprintf("%d:%d", t.Node, t.Number) }

// A Request names a client's request, so that a node which is asked again gives the answer that it gave before and
// does nothing twice. The zero Request is none.
type Request struct {
	// Client is a name that no other client has: 1 to 64 bytes.
	Client string `json:"client,omitempty"`
	// Number is the client's own, from 1, a new one for each request.
	Number uint64 `json:"number,omitempty"`
	// Below says that the client has the answers to all its requests below this number and will not ask for them
	// again, so that they may be forgotten. At most Number.
	Below uint64 `json:"below,omitempty"`
}

func (r Request) String() string {
	if r == (Request{}) {
		return "none"
	}
	return fmt.Sprintf("%s/%d", r.Client, r.Number)
}

// What clients call, and the bodies of the replies.
type (
	// Transfer moves money from this node's account to another's. The reply is Transferred, protocol.Refused (nothing
	// has changed) or Forgotten.
	Transfer struct {
		Request Request     `json:"request,omitzero"`
		To      protocol.ID `json:"to"`
		Amount  int64       `json:"amount"`
		// Wait holds the reply back until the receiver has confirmed the transfer. Else the reply comes once the debit is
		// durable here: from then on the transfer arrives, whatever crashes.
		Wait bool `json:"wait,omitempty"`
	}
	// Transferred says that the money has left the account for good and will be at the receiver's, or is.
	Transferred struct {
		TID     TID         `json:"tid"`
		To      protocol.ID `json:"to"`
		Amount  int64       `json:"amount"`
		Settled bool        `json:"settled,omitempty"` // the receiver has confirmed it
	}
	// Forgotten says that the node no longer knows its answer to that request: it may have been done, or not.
	Forgotten struct {
		Why string `json:"why"`
	}
	// Balance asks for the node's Account.
	Balance struct{}
	// Query asks for the node's Account too, as a question from outside and between steps. The answer may be ahead of
	// the disk.
	Query struct{}
)

// An Account is the state of a node's account: all that [Total] and [Consistent] need. It is what the bank hands over for
// a snapshot.
type Account struct {
	Node     protocol.ID `json:"node"`
	Balance  int64       `json:"balance"`
	Next     uint64      `json:"next"`               // the number of the next transfer from it; they count from 1
	Outgoing []Outgoing  `json:"outgoing,omitempty"` // transfers not known to be applied, by receiver and number
	Applied  []Applied   `json:"applied,omitempty"`  // transfers that were applied, by sender
}

// An Outgoing is an entry of the outbox.
type Outgoing struct {
	Number uint64      `json:"number"`
	To     protocol.ID `json:"to"`
	Amount int64       `json:"amount"`
}

// Applied are the transfers of a sender that a node has applied: all to it that are below a number, and some more.
type Applied struct {
	From  protocol.ID `json:"from"`
	Below uint64      `json:"below"`
	Also  []uint64    `json:"also,omitempty"` // ascending
	Count uint64      `json:"count"`          // how many there are: below Below are also numbers of transfers to others
}

// Indications. They tell all that checks need.
type (
	// Opened begins a life: the account as it was made or stored.
	Opened struct {
		Account Account `json:"account"`
	}
	// Debited says that the money left the account.
	Debited struct {
		TID     TID         `json:"tid"`
		To      protocol.ID `json:"to"`
		Amount  int64       `json:"amount"`
		Balance int64       `json:"balance"` // after it
		Request Request     `json:"request,omitzero"`
	}
	// Credited says that a transfer was applied to the account.
	Credited struct {
		TID     TID   `json:"tid"`
		Amount  int64 `json:"amount"`
		Balance int64 `json:"balance"` // after it
	}
	// Settled says that the sender knows that the transfer was applied.
	Settled struct {
		TID TID `json:"tid"`
	}
	// Dropped notes a message that no node of the bank sends.
	Dropped struct {
		From protocol.ID `json:"from"`
		Why  string      `json:"why"`
	}
)

// Kind is the event's name in traces.
func (Opened) Kind() string { return "bank.open" }

// Kind is the event's name in traces.
func (Debited) Kind() string { return "bank.debit" }

// Kind is the event's name in traces.
func (Credited) Kind() string { return "bank.apply" }

// Kind is the event's name in traces.
func (Settled) Kind() string { return "bank.settled" }

// Kind is the event's name in traces.
func (Dropped) Kind() string { return "bank.drop" }

// The messages.
type (
	// Pay asks the receiver to apply a transfer of the sender.
	Pay struct {
		Number uint64
		Amount int64
		Low    uint64 // the sender's lowest transfer to this receiver that is not confirmed
	}
	// Paid confirms that it was applied, now or before.
	Paid struct{ Number uint64 }
)

// Account is no message that a bank takes, but its state in a snapshot travels as one.
var messages = []protocol.Message{Pay{}, Paid{}, Account{}}

// Size is about how many bytes the account takes on a wire.
func (a Account) Size() int {
	const number = 8
	size := 5*number + 3*number*len(a.Outgoing)
	for _, s := range a.Applied {
		size += 4*number + number*len(s.Also)
	}
	return size
}
