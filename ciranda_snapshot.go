package ciranda

import (
	"context"
	"fmt"

	"ciranda.dev/app/hosted"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/snapshot"
)

func sendTo(to int, data []byte) hosted.Send { return hosted.Send{To: protocol.ID(to), Data: data} }

// A Picture is a snapshot: the states of all members' programs, and what was on its way between them. No effect is in it
// without its cause, as far as programs act on what they [Member.Send] each other. Multicasts are not recorded on their way.
type Picture struct {
	ID string
	// Complete says that every member has its part in it. If not, Missing says who has not and why, and nothing should be
	// added up over it.
	Complete bool
	Missing  map[int]string
	// Consistent says that the counters of the links agree with the picture. If not, something is wrong with Ciranda.
	Consistent bool
	States     map[int][]byte // by member
	Flying     []Flight       // by sender and receiver
}

// A Flight is what was on its way from one member to another, in order.
type Flight struct {
	From, To int
	Data     [][]byte
}

// Snapshot takes a picture of all members, while they go on. It needs all configured members to be up and to read their
// events, and takes at most about ten seconds; then what is missing is left out. Whoever reads the events must not wait for
// it.
func (m *Member) Snapshot(ctx context.Context) (*Picture, error) {
	answer, err := m.ask(ctx, snapshot.Take{})
	if err != nil {
		return nil, fmt.Errorf("ciranda: no snapshot was taken: %w", err)
	}
	t, ok := answer.(snapshot.Taken)
	if !ok {
		return nil, fmt.Errorf("ciranda: the node answers %T", answer)
	}
	p := &Picture{ID: t.ID.String(), Complete: t.Complete, Consistent: t.Consistent, Missing: map[int]string{}, States: map[int][]byte{}}
	for _, missing := range t.Missing {
		p.Missing[int(missing.Node)] = missing.Why
	}
	for i := range t.Nodes {
		p.States[int(t.Nodes[i].Node)] = hosted.StateOf(&t.Nodes[i])
	}
	for _, f := range hosted.Flying(&t) {
		p.Flying = append(p.Flying, Flight{int(f.From), int(f.To), f.Data})
	}
	return p, nil
}
