package shell

import (
	"context"
	"time"

	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/cli/album"
)

// snapshotTime is how long a snapshot is waited for: it ends within ten seconds by itself.
const snapshotTime = 15 * time.Second

// takeSnapshot shows the states of all nodes, and what was on its way, in one consistent cut.
func takeSnapshot(ctx context.Context, s *shell, args []string) error {
	r := &cirandav1.TakeRequest{}
	if len(args) > 0 {
		r.Node = args[0]
	}
	answer, err := s.photograph(ctx, r)
	if err != nil && absent(err) && ctx.Err() == nil { // it changes nothing, so it can be asked for again
		s.reconnect()
		answer, err = s.photograph(ctx, r)
	}
	if err != nil {
		return err
	}
	shot := album.Of(answer.GetSnapshot())
	s.out.sayAs(bold, "snapshot %s, begun by node %d: %s, %.1f ms", shot.ID, shot.Initiator, shot.Quality(), shot.ElapsedMs)
	s.out.table(shot.States()...)
	if rows := shot.OnTheWay(); rows != nil {
		s.out.table(rows...)
	}
	for _, m := range shot.Missing {
		s.out.sayAs(bad, "node %d is missing: %s", m.Node, m.Why)
	}
	for _, c := range shot.Checks {
		s.out.sayAs(styleOf(c.Verdict), "%s %s: %s", c.Name, c.Verdict, c.Detail)
	}
	return nil
}

func (s *shell) photograph(ctx context.Context, r *cirandav1.TakeRequest) (*cirandav1.TakeResponse, error) {
	defer s.mindSilence()()
	ctx, cancel := context.WithTimeout(ctx, snapshotTime)
	defer cancel()
	return s.to.Snapshots.Take(ctx, r)
}

func styleOf(verdict string) style {
	switch verdict {
	case "holds":
		return good
	case "violated":
		return bad
	}
	return plain
}
