package link_test

import (
	"fmt"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/link"
)

// A ledger counts on its links: what it sends arrives once, and in order.
type ledger struct {
	protocol.Base
	balance int
}

// An Entry is a message of the ledger.
type Entry struct{ Amount int }

func (l *ledger) Receive(_ protocol.ID, m protocol.Message, _ *protocol.Out) {
	l.balance += m.(Entry).Amount
}

func (l *ledger) String() string { return fmt.Sprintf("balance %d", l.balance) }

func (l *ledger) Traits() protocol.Traits {
	return protocol.Traits{
		Channel: "ledger", Needs: protocol.FIFO | protocol.NoLoss, Messages: []protocol.Message{Entry{}},
	}
}

// Messages arrive in the wrong order, and one of them twice.
func ExampleNew() {
	self := protocol.Self{ID: 1, Incarnation: 1, Group: []protocol.ID{1, 2}}
	books := &ledger{}
	stack, err := protocol.NewStack(self, link.New(link.Options{}), books)
	if err != nil {
		fmt.Println(err)
		return
	}
	out := &protocol.Out{}
	for _, seq := range []uint64{2, 1, 1} {
		entry := protocol.Packet{Channel: 1, Body: Entry{Amount: 100 * int(seq)}}
		data := protocol.Packet{Channel: 0, Body: link.Data{To: 1, Seq: seq, Packet: entry}}
		stack.Receive(2, 1, data, protocol.Inputs{}, out)
		fmt.Println(books)
	}
	stack.Flush(protocol.Inputs{}, out) // no more input is at hand
	fmt.Printf("%+v\n", out.Effects()[0].Body)
	// Output:
	// balance 0
	// balance 300
	// balance 300
	// {To:1 Upto:2}
}
