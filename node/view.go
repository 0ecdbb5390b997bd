package node

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/app/board"
	"ciranda.dev/engine/live"
	"ciranda.dev/node/member"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/multicast"
	"ciranda.dev/protocol/transfer"
	"ciranda.dev/stacks"
)

// A membership is the group as a node serves it: its own part in it.
type membership struct {
	id      protocol.ID
	live    *live.Node
	member  *member.Group
	orders  []string      // that are run; nil: all
	largest int           // bytes of a message
	places  chan struct{} // taken by calls
	ears    chan struct{} // taken by listeners
}

// Limits of a membership.
const (
	mostCasts     = 4096 // calls that multicast, at once
	mostListeners = 64   // at once

	largestMessage = 240 << 10 // bytes; a request holds one
)

func (n *Node) membership() *membership {
	return &membership{id: n.cfg.ID, live: n.live, member: n.member, orders: run(n.cfg.Spec.Orders), largest: largestMessage,
		places: make(chan struct{}, mostCasts), ears: make(chan struct{}, mostListeners)}
}

// run lists the orders that a stack runs; nil if it is all of them.
func run(orders string) []string {
	if orders == "" || orders == stacks.AllOrders {
		return nil
	}
	return strings.Split(orders, "+")
}

// owns says that a request is for another node, if it is.
func (m *membership) owns(node uint32) error {
	if node == 0 || node == uint32(m.id) {
		return nil
	}
	return &api.Error{Code: codes.NotFound, Field: "node", Text: fmt.Sprintf("this is node %d; the request is for node %d", m.id, node),
		Hint: "ask that node, or a gateway"}
}

// View shows the view that is installed here, and how messages stand.
func (m *membership) View(ctx context.Context, r *cirandav1.ViewRequest) (*cirandav1.ViewResponse, error) {
	if err := m.owns(r.GetNode()); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	is, err := m.live.Ask(ctx, group.Query{})
	if err != nil {
		return nil, m.noGroup(ctx, err)
	}
	answer := encodeStatus(m.id, is.(group.Status))
	if is, err := m.live.Ask(ctx, multicast.Query{}); err == nil {
		answer.Backlog = encodeBacklog(is.(multicast.Status))
	}
	answer.Board = m.board(ctx)
	return answer, nil
}

// board is the notice board here; nil if there is none.
func (m *membership) board(ctx context.Context) *cirandav1.Board {
	is, err := m.live.Ask(ctx, board.Query{})
	if err != nil {
		return nil
	}
	b := encodeBoard(is.(board.Contents))
	if is, err := m.live.Ask(ctx, transfer.Query{}); err == nil {
		b.Ready = is.(transfer.Status).Ready
	}
	return b
}

// noGroup says why a node could not be asked for its view.
func (m *membership) noGroup(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, live.ErrStopped):
		return &api.Error{Code: codes.Unavailable, Text: "the node has stopped"}
	case ctx.Err() != nil:
		return &api.Error{Code: codes.DeadlineExceeded, Text: "the node stands still"}
	}
	return api.Failed("", "%s", m.inWords(untaken))
}

// untaken is how the reason begins for which a call is refused that no layer takes.
const untaken = "no layer of this node takes "

// inWords is the reason of a refusal.
func (m *membership) inWords(why string) string {
	if strings.HasPrefix(why, untaken) {
		return fmt.Sprintf("node %d runs no group", m.id)
	}
	return why
}

// Leave has the node leave the group.
func (m *membership) Leave(ctx context.Context, r *cirandav1.LeaveRequest) (*cirandav1.LeaveResponse, error) {
	reply, err := m.ask(ctx, r.GetNode(), group.Leave{})
	if err != nil {
		return nil, err
	}
	out, _ := reply.(group.Out)
	return &cirandav1.LeaveResponse{Node: uint32(m.id), View: out.View}, nil
}

// Join has the node come back.
func (m *membership) Join(ctx context.Context, r *cirandav1.JoinRequest) (*cirandav1.JoinResponse, error) {
	_, err := m.ask(ctx, r.GetNode(), group.Join{})
	return &cirandav1.JoinResponse{Node: uint32(m.id)}, err
}

// ask has the group layer do something.
func (m *membership) ask(ctx context.Context, node uint32, what any) (any, error) {
	if err := m.owns(node); err != nil {
		return nil, err
	}
	ctx, cancel := inTime(ctx)
	defer cancel()
	reply, err := m.live.Call(ctx, what)
	var refused live.Refused
	switch {
	case errors.Is(err, live.ErrMaybe):
		return nil, &api.Error{Code: codes.Unknown, Text: "no reply; it may happen yet", Hint: "group shows the view"}
	case errors.As(err, &refused):
		return nil, api.Failed("", "%s", m.inWords(refused.Why))
	}
	return reply, fromLive(err)
}

func encodeStatus(id protocol.ID, s group.Status) *cirandav1.ViewResponse {
	answer := &cirandav1.ViewResponse{Node: uint32(id), Member: s.Member, Blocked: s.Blocked}
	if s.View.ID > 0 {
		answer.View = encodeView(s.View)
	}
	for _, p := range s.History {
		answer.History = append(answer.History, &cirandav1.ViewChange{View: encodeView(p.View), Joined: numbers(p.Joined), Gone: numbers(p.Gone)})
	}
	return answer
}

// What is shown of a board.
const (
	shownNotices = 10
	shownOfOne   = 1 << 10 // bytes
)

func encodeBoard(c board.Contents) *cirandav1.Board {
	b := &cirandav1.Board{Since: c.Since, Count: c.Count, Hash: c.Hash.String()}
	for _, n := range c.Notices[max(0, len(c.Notices)-shownNotices):] {
		b.Notices = append(b.Notices, &cirandav1.Notice{Sender: uint32(n.Sender), Payload: []byte(n.Text[:min(len(n.Text), shownOfOne)])})
	}
	return b
}

func encodeView(v group.View) *cirandav1.GroupView {
	e := &cirandav1.GroupView{Id: v.ID, Coordinator: uint32(v.Coordinator())}
	for _, m := range v.Members {
		e.Members = append(e.Members, &cirandav1.GroupMember{Node: uint32(m.Node), Incarnation: uint32(m.Incarnation), Life: m.Life})
	}
	return e
}

func encodeBacklog(s multicast.Status) *cirandav1.Backlog {
	b := &cirandav1.Backlog{WaitingBytes: uint64(s.Waiting), UnstableBytes: uint64(s.Unstable), KeptBytes: uint64(s.Kept), Early: uint64(s.Early)}
	if s.Full {
		b.Slowest = uint32(s.Slowest)
	}
	for _, l := range s.Lanes {
		b.Lanes = append(b.Lanes, &cirandav1.Lane{Order: l.Order.String(), Uniform: l.Uniform})
	}
	if d := s.Broadcasts; d != nil {
		b.Datagrams = &cirandav1.Datagrams{Used: d.Is, Why: d.Why, Sent: d.Sent, Heard: d.Heard, Pleas: d.Pleas, Repairs: d.Repairs}
	}
	return b
}

func numbers(ids []protocol.ID) []uint32 {
	var all []uint32
	for _, id := range ids {
		all = append(all, uint32(id))
	}
	return all
}
