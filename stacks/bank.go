package stacks

import (
	"time"

	"ciranda.dev/app/bank"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/link"
	"ciranda.dev/protocol/snapshot"
	"ciranda.dev/protocol/transfer"
)

// account is the bank as a layer that asks for perfect links. It would do without; over them it need not wait for its
// own timer when a message is lost.
type account struct{ *bank.Bank }

// Traits are those of the bank.
func (a *account) Traits() protocol.Traits {
	t := a.Bank.Traits()
	t.Needs |= protocol.FIFO | protocol.NoLoss
	return t
}

// Bank are the rules of the spec's bank: it sends again after half a second, or more where a round trip takes longer.
func (s Spec) Bank() bank.Options {
	return bank.Options{Resend: max(500*ms, s.patience())}.WithDefaults()
}

func (s Spec) link() link.Options {
	resend := max(40*ms, s.patience())
	return link.Options{Resend: resend, Longest: max(time.Second, 2*resend), Trace: s.Notes}
}

// Snapshot are the rules of the spec's snapshots: a node that is suspected has half a second to show itself, or more where
// round trips take longer.
func (s Spec) Snapshot() snapshot.Options {
	return snapshot.Options{Grace: max(500*ms, 2*s.patience()), Trace: s.Notes}.WithDefaults()
}

// Pictures says whether snapshots can be taken of the spec's application: its nodes talk to one another. The board's do not,
// it is the same everywhere.
func (s Spec) Pictures() bool { return s.App == "bank" || s.App == Hosted }

// Transfers says whether members that join get the state of the spec's application.
func (s Spec) Transfers() bool { return s.Orders != "" && (s.App == "board" || s.App == Hosted) }

// Transfer are the rules of the spec's state transfers. A hosted program slows senders down: half of what is held has room for what
// eleven of them may have on its way.
func (s Spec) Transfer() transfer.Options {
	t := transfer.Options{Silence: max(time.Second, 4*s.patience())}
	if s.patience() >= time.Second { // chunks for a long way: as many as a link takes at once
		t.Window = 16
	}
	if s.App == Hosted {
		t.Hold = 48 << 20
	}
	return t.WithDefaults()
}

// patience exceeds a round trip.
func (s Spec) patience() time.Duration { return 3 * s.Filled().Profile.Delay }
