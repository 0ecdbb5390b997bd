package shell

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
)

// How long servers are waited for.
const (
	patience     = 10 * time.Second        // in all
	tryTime      = 5 * time.Second         // one try: a server that stands still does not say so
	silence      = 1500 * time.Millisecond // until the user is told that there is some
	firstPause   = 100 * time.Millisecond
	longestPause = time.Second
)

// read makes a call that changes nothing, again if the server is lost meanwhile.
func read[R any](ctx context.Context, s *shell, call func(context.Context, *Connection) (R, error)) (R, error) {
	began, told := time.Now(), false
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		r, err := once(ctx, s, call)
		if err == nil && told {
			s.out.note("connected again: %s", s.to.Name)
		}
		if err == nil || ctx.Err() != nil || !absent(err) {
			return r, err
		}
		if time.Since(began) > patience {
			return r, &api.Error{Code: codes.Unavailable, Text: "nothing answers at " + s.to.Name,
				Hint: "is the cluster up? the next command tries again"}
		}
		if !told {
			s.out.note("%s does not answer; trying again for %s", s.to.Name, patience)
			told = true
		}
		if err := sleep(ctx, pause); err != nil {
			return r, err
		}
		s.reconnect()
	}
}

// once makes one try of a call.
func once[R any](ctx context.Context, s *shell, call func(context.Context, *Connection) (R, error)) (R, error) {
	defer s.mindSilence()()
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	return call(ctx, s.to)
}

// mindSilence says after a while that nothing has been heard of a server, unless it is stopped before.
func (s *shell) mindSilence() (stop func() bool) {
	name := s.to.Name
	return time.AfterFunc(silence, func() { s.out.note("waiting for %s", name) }).Stop
}

// absent says whether an error is that of a server that is not there.
func absent(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	e := api.AsError(err)
	return e != nil && (e.Code == codes.Unavailable || e.Code == codes.DeadlineExceeded)
}

// reconnect makes the connection anew. Where that is not possible the old one stays.
func (s *shell) reconnect() {
	if to, err := s.cfg.Connect(s.via); err == nil {
		s.to.Close()
		s.to = to
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// status asks for the cluster's status.
func (s *shell) status(ctx context.Context) (*cirandav1.StatusResponse, error) {
	r, err := read(ctx, s, askStatus)
	if err == nil {
		s.remember(r)
	}
	return r, err
}

func askStatus(ctx context.Context, to *Connection) (*cirandav1.StatusResponse, error) {
	return to.Cluster.Status(ctx, &cirandav1.StatusRequest{})
}

// glance asks for the status once, for the answers that a question proposes.
func (s *shell) glance(ctx context.Context) error {
	r, err := once(ctx, s, askStatus)
	if err == nil {
		s.remember(r)
	}
	return err
}

// remember keeps of a status what questions, completion and the prompt need.
func (s *shell) remember(r *cirandav1.StatusResponse) {
	s.name, s.leader, s.nodes = clean(r.GetCluster()), r.GetLeader(), nil
	for _, n := range r.GetNodes() {
		s.nodes = append(s.nodes, n.GetId())
	}
}
