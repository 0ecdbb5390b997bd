package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/engine/live"
	"ciranda.dev/protocol/snapshot"
)

// A photographer takes snapshots that its node begins, and has other nodes take theirs.
type photographer struct{ *Node }

// Take takes a snapshot.
func (p photographer) Take(ctx context.Context, r *cirandav1.TakeRequest) (*cirandav1.TakeResponse, error) {
	if text := r.GetNode(); text != "" {
		id, err := p.whole.naming(ctx).one("node", text)
		if err != nil {
			return nil, err
		}
		if id != p.cfg.ID {
			return p.whole.Snapshots().Take(ctx, &cirandav1.TakeRequest{Node: id.String()})
		}
	}
	if !p.cfg.Spec.Pictures() {
		return nil, api.Failed("up --app bank starts nodes that have one", "the nodes run no application of which a snapshot can be taken")
	}
	ctx, cancel := context.WithTimeout(ctx, p.patience())
	defer cancel()
	began := time.Now()
	reply, err := p.live.Call(ctx, snapshot.Take{})
	if err != nil {
		return nil, fromSnapshot(err)
	}
	t, ok := reply.(snapshot.Taken)
	if !ok {
		return nil, fmt.Errorf("node: the layer for snapshots answers %T", reply)
	}
	picture, err := p.develop(t, time.Since(began))
	return &cirandav1.TakeResponse{Snapshot: picture}, err
}

// patience exceeds what a snapshot takes at most.
func (p photographer) patience() time.Duration { return p.cfg.Spec.Snapshot().Within + answerTime }

// fromSnapshot turns the error of a call for a snapshot into one for clients. A snapshot changes nothing, so nobody needs
// to know whether one was taken for which there is no answer.
func fromSnapshot(err error) error {
	var refused live.Refused
	switch {
	case errors.As(err, &refused) && strings.Contains(refused.Why, "under way"):
		return &api.Error{Code: codes.ResourceExhausted, Text: refused.Why, Hint: "ask again later, or another node"}
	case errors.Is(err, context.Canceled):
		return &api.Error{Code: codes.Canceled, Text: "cancelled before the snapshot was over"}
	case errors.Is(err, context.DeadlineExceeded):
		return &api.Error{Code: codes.DeadlineExceeded, Text: "the snapshot was not over in time"}
	case errors.Is(err, live.ErrMaybe):
		return &api.Error{Code: codes.Unavailable, Text: "the node ended before the snapshot was over"}
	}
	return fromLive(err)
}

// Snapshots is the service of snapshots for the whole cluster.
func (g *Group) Snapshots() api.Snapshots { return agency{g} }

// An agency passes requests for snapshots on to nodes.
type agency struct{ group *Group }

// Take has a node take a snapshot. If the request names none and one does not answer, the next one is asked.
func (a agency) Take(ctx context.Context, r *cirandav1.TakeRequest) (*cirandav1.TakeResponse, error) {
	if text := r.GetNode(); text != "" {
		m, err := a.group.candidate(ctx, text)
		if err != nil {
			return nil, err
		}
		answer, err := m.take(ctx)
		return answer, ofNode(err)
	}
	err := error(api.Failed("status says which nodes are up", "no node is up"))
	for _, m := range a.group.Dir.Members() {
		if !m.up() {
			continue
		}
		var answer *cirandav1.TakeResponse
		if answer, err = m.take(ctx); err == nil || !isGone(err) || ctx.Err() != nil {
			return answer, err
		}
	}
	return nil, ofNode(err)
}

// ofNode says that a node is gone, and not who was asked to pass the request on: that is there.
func ofNode(err error) error {
	if !isGone(err) {
		return err
	}
	return &api.Error{Code: codes.Aborted, Text: api.AsError(err).Text, Hint: "ask again, or another node"}
}

func isGone(err error) bool {
	e := api.AsError(err)
	return e != nil && e.Code == codes.Unavailable
}

// take has the node take a snapshot.
func (m Member) take(ctx context.Context) (*cirandav1.TakeResponse, error) {
	answer, err := m.Client.Snapshots.Take(ctx, &cirandav1.TakeRequest{})
	if err != nil {
		return nil, relay(ctx, m, err)
	}
	return answer, nil
}
