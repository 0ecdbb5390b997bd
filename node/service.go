package node

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/engine/live"
	"ciranda.dev/engine/live/disk"
	"ciranda.dev/engine/network"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
	"ciranda.dev/protocol/election"
	"ciranda.dev/protocol/group"
	"ciranda.dev/trace"
)

// A service is a node as the API shows it.
type service struct{ *Node }

// fromLive turns an error of the engine into one for clients.
func fromLive(err error) error {
	var refused live.Refused
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		return api.Failed("", "%s", refused.Why)
	case errors.Is(err, live.ErrStopped):
		return &api.Error{Code: codes.Unavailable, Text: "the node has stopped"}
	case errors.Is(err, live.ErrMaybe):
		return &api.Error{Code: codes.Unknown, Text: "no reply; it may have happened"}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &api.Error{Code: codes.DeadlineExceeded, Text: "the node stands still; it did not happen"}
	default:
		return &api.Error{Code: codes.Internal, Text: err.Error()}
	}
}

// Describe says what the node is and believes. One that is frozen tells only what it is.
func (s service) Describe(ctx context.Context, _ *cirandav1.DescribeRequest) (*cirandav1.DescribeResponse, error) {
	is, err := s.live.Status()
	if err != nil {
		return nil, fromLive(err)
	}
	answer := &cirandav1.DescribeResponse{
		Cluster: s.cfg.Cluster, Status: s.status(is), Stack: s.cfg.Spec.Text(), Layers: is.State,
		Links: encodeLinks(s.links.Get()), Peers: map[uint32]string{},
	}
	for _, p := range is.Peers {
		if p.API != "" {
			answer.Peers[uint32(p.ID)] = p.API
		}
	}
	if is.Frozen {
		answer.Status.State = cirandav1.NodeState_NODE_STATE_PAUSED
		return answer, nil
	}
	return answer, s.believe(ctx, answer.Status)
}

// believe fills in what the layers believe, as far as there is one that answers.
func (s service) believe(ctx context.Context, into *cirandav1.NodeStatus) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if a, err := s.live.Ask(ctx, election.Query{}); err == nil {
		o := a.(election.Opinion)
		into.Leader, into.LeaderLost, into.Phase = uint32(o.Leader), o.Lost, o.Phase
		into.Term = &cirandav1.Term{Counter: o.Term.Counter, Leader: uint32(o.Term.Leader)}
	}
	if a, err := s.live.Ask(ctx, detector.Query{}); err == nil {
		for _, id := range a.(detector.Opinion).Suspects {
			into.Suspects = append(into.Suspects, uint32(id))
		}
	}
	if a, err := s.live.Ask(ctx, group.Query{}); err == nil {
		g := a.(group.Status)
		into.View, into.Member, into.Coordinator, into.Blocked = g.View.ID, g.Member, uint32(g.View.Coordinator()), g.Blocked
	}
	return fromLive(ctx.Err())
}

// BeginElection makes the node begin an election.
func (s service) BeginElection(ctx context.Context, _ *cirandav1.BeginElectionRequest) (*cirandav1.BeginElectionResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	reply, err := s.live.Call(ctx, election.Campaign{})
	if err != nil {
		return nil, fromLive(err)
	}
	begun, _ := reply.(election.Campaigning)
	return &cirandav1.BeginElectionResponse{Counter: begun.Counter}, nil
}

// SetLinks makes every link of the node what the request says, or perfect.
func (s service) SetLinks(_ context.Context, r *cirandav1.SetLinksRequest) (*cirandav1.SetLinksResponse, error) {
	links, err := decodeLinks(r.GetLinks(), s.group)
	if err != nil {
		return nil, err
	}
	me := s.cfg.ID
	for _, other := range s.group {
		for _, p := range []Pair{{me, other}, {other, me}} {
			if other == me {
				continue
			}
			if err := s.live.SetLink(p.From, p.To, links[p]); err != nil {
				return nil, fromLive(err)
			}
		}
	}
	s.links.Set(links)
	return &cirandav1.SetLinksResponse{}, nil
}

// BreakLinks breaks connections.
func (s service) BreakLinks(_ context.Context, r *cirandav1.BreakLinksRequest) (*cirandav1.BreakLinksResponse, error) {
	pairs := map[Pair]network.Link{}
	for _, id := range r.GetPeers() {
		if id > 65535 || !s.known(protocol.ID(id)) {
			return nil, api.Wrong("peers", "found node %d; expected others of the nodes %s", id, ranges(s.group))
		}
		pairs[Pair{s.cfg.ID, protocol.ID(id)}] = network.Link{}
	}
	for _, p := range sorted(pairs) {
		if err := s.live.Reset(p.To); err != nil {
			return nil, fromLive(err)
		}
	}
	return &cirandav1.BreakLinksResponse{}, nil
}

// SetDisk slows, stalls or heals the disk.
func (s service) SetDisk(_ context.Context, r *cirandav1.SetDiskRequest) (*cirandav1.SetDiskResponse, error) {
	if well := !r.GetStall() && r.GetSlowMs() == 0; !well {
		if _, err := diskWords(r); err != nil {
			return nil, err
		}
	}
	slow := time.Duration(r.GetSlowMs()) * time.Millisecond
	if err := s.live.SetDisk(disk.Fault{Slow: slow, Stall: r.GetStall()}); err != nil {
		return nil, fromLive(err)
	}
	return &cirandav1.SetDiskResponse{}, nil
}

// SetSlow lets each step take time.
func (s service) SetSlow(_ context.Context, r *cirandav1.SetSlowRequest) (*cirandav1.SetSlowResponse, error) {
	step := time.Duration(r.GetStepMs()) * time.Millisecond
	if step > maxSlow {
		return nil, api.Wrong("step_ms", "found %s; expected at most %s", step, maxSlow)
	}
	return &cirandav1.SetSlowResponse{}, fromLive(s.live.SetSlow(step))
}

// SetClock changes the clocks.
func (s service) SetClock(_ context.Context, r *cirandav1.SetClockRequest) (*cirandav1.SetClockResponse, error) {
	jump, err := clockJump(r)
	if err == nil && jump != 0 {
		err = fromLive(s.live.JumpClock(jump))
	}
	if err == nil && r.GetRate() != 0 {
		err = fromLive(s.live.SetRate(r.GetRate()))
	}
	return &cirandav1.SetClockResponse{}, err
}

// MakeWell ends all faults.
func (s service) MakeWell(context.Context, *cirandav1.MakeWellRequest) (*cirandav1.MakeWellResponse, error) {
	s.links.Set(nil)
	return &cirandav1.MakeWellResponse{}, fromLive(s.live.Heal())
}

// Freeze makes the node stand still from within, or go on.
func (s service) Freeze(_ context.Context, r *cirandav1.FreezeRequest) (*cirandav1.FreezeResponse, error) {
	do := s.live.Thaw
	if r.GetFrozen() {
		do = s.live.Freeze
	}
	return &cirandav1.FreezeResponse{}, fromLive(do())
}

// Follow streams the node's events.
func (s service) Follow(ctx context.Context, r *cirandav1.FollowRequest, send func(*cirandav1.FollowResponse) error) error {
	encoder := trace.NewEncoder(&s.record.header)
	return s.record.feed.Read(ctx, r.GetCursor(), r.GetAtHand(), func(at uint64, events []told, cursor string, lost uint64) error {
		answer := &cirandav1.FollowResponse{Cursor: cursor, Lost: lost}
		for i := range events {
			e := encode(encoder, &events[i].event, events[i].text)
			e.Position = at + uint64(i)
			answer.Events = append(answer.Events, e)
		}
		return send(answer)
	})
}
