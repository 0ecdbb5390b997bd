package ciranda

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"ciranda.dev/engine/live"
	"ciranda.dev/node/member"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/multicast"
)

// An Order says in which order the messages of a group are delivered.
type Order = multicast.Order

// The orders.
const (
	Reliable = multicast.Reliable // as they come
	FIFO     = multicast.FIFO     // those of one member in the order of sending
	Causal   = multicast.Causal   // FIFO, and none before one that its sender had got when it sent it
	Total    = multicast.Total    // causal, and the same at all members: the eldest decides it
	Lamport  = multicast.Lamport  // the same by Lamport's time stamps
)

// A Group says how a member takes part in the group's views and messages. The functions are called by whoever reads
// [Member.Events], between two events: they see the program as it is after all events before, and none of those after. Nil
// functions stand for a program without a state.
type Group struct {
	// Orders are those that the group runs; nil stands for all. All members have the same.
	Orders []Order
	// Save gives the program's state, for a member that joins. Equal states should give equal bytes, so that another
	// member can go on with a transfer. The bytes are not changed afterwards. They are at most 256 MiB.
	Save func() []byte
	// Load makes a state the program's own, in place of the one it has. Nil is the initial one: nobody has another.
	Load func(state []byte)
	// Picture gives the program's state for a snapshot, at most 64 MiB with what is on its way. Nil stands for Save.
	Picture func() []byte
	// Buffer is how many bytes of messages may wait to be read, beyond which the member gives the group up. Zero means
	// 64 MiB. Well before that the senders are slowed down, and a member that reads nothing for long is excluded. One that
	// joins under load gets up to 48 MiB at once, of what came while its state did: for that less may be too little.
	Buffer int
}

// The outcomes of Multicast and Send, beside nil: it was delivered, or is on its way. For [errors.Is].
var (
	// ErrNotSent says that nothing was sent and nothing will be.
	ErrNotSent = errors.New("ciranda: not sent")
	// ErrUnknown says that something may have been sent: others may get it, now or later, or nobody ever will.
	ErrUnknown = errors.New("ciranda: perhaps sent")
	// ErrSlow says that the program read its events too slowly: see Group.Buffer. The member is out of the group from then on,
	// and takes part in elections only. To come back it leaves, and joins once more.
	ErrSlow = errors.New("ciranda: the events were read too slowly")
	// ErrNoGroup says that the member was made without a Group.
	ErrNoGroup = errors.New("ciranda: this member takes part in no group")
)

// names are the orders as stacks name them.
func (g *Group) names() string {
	names := make([]string, len(g.Orders))
	for i, r := range g.Orders {
		names[i] = r.String()
	}
	return strings.Join(names, "+")
}

// validate says what is wrong with the options, for a member that keeps its disk or does not.
func (g *Group) validate(dir string) error {
	switch {
	case dir == "":
		return errors.New("the Group needs a Dir: a member that forgets its votes breaks it")
	case g.Buffer < 0:
		return fmt.Errorf("the Group has a Buffer of %d bytes; expected 0 or more", g.Buffer)
	case (g.Save == nil) != (g.Load == nil):
		return errors.New("the Group has one of Save and Load; expected both or none")
	}
	return nil
}

// Multicast sends a message to all members of the group, this one too, and waits until the node has it delivered: it is
// among the events then, or about to be. A uniform message is delivered only once more than half of the members hold it,
// so that whatever one of them delivers, all that go on do. The payload must not be changed any more. Messages that one
// goroutine sends one after the other in an order keep it; those of many goroutines travel together.
//
// While there is no view it waits. Whoever reads the events should send from another goroutine, since what waits to be
// read may hold up what is sent. The error is ErrNotSent or ErrUnknown, with the reason.
func (m *Member) Multicast(ctx context.Context, order Order, uniform bool, payload []byte) error {
	if m.group == nil {
		return fmt.Errorf("%w: %w", ErrNotSent, ErrNoGroup)
	}
	_, err := m.casts.Cast(ctx, multicast.Lane{Order: order, Uniform: uniform}, payload)
	return outcome(err, member.ErrUnknown)
}

// outcome says in our words what became of a message. Unknown is the error of one that may have been sent.
func outcome(err, unknown error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unknown):
		return fmt.Errorf("%w: %w", ErrUnknown, err)
	default:
		return fmt.Errorf("%w: %w", ErrNotSent, err)
	}
}

// ask makes a call, and gives its answer.
func (m *Member) ask(ctx context.Context, body any) (any, error) {
	if m.group == nil {
		return nil, ErrNoGroup
	}
	return m.node.Call(ctx, body)
}

// Send sends bytes to the program of one other member: those arrive once and in the order of sending as long as neither of
// the two restarts. It returns when they are in the row. While the other program does not read, the row gets longer; when
// it is full, at 1 MiB, the error is ErrNotSent. A message has at most 256 KiB. The data must not be changed any more.
func (m *Member) Send(ctx context.Context, to int, data []byte) error {
	if to < 1 || to > 65535 {
		return fmt.Errorf("%w: found member %d; expected a number from 1 to 65535", ErrNotSent, to)
	}
	_, err := m.ask(ctx, sendTo(to, data))
	return outcome(err, live.ErrMaybe)
}

// leaveGroup ends the membership in the present view in good order, as far as there is time.
func (m *Member) leaveGroup(ctx context.Context) {
	if m.group != nil {
		_, _ = m.node.Call(ctx, group.Leave{}) // without an answer the others exclude this node
	}
}

// ids are numbers of members as programs know them.
func ids(nodes []protocol.ID) []int {
	all := make([]int, len(nodes))
	for i, id := range nodes {
		all[i] = int(id)
	}
	return all
}
