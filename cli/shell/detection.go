package shell

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
)

// How a node is stopped.
const (
	pauseIt = "pause"
	killIt  = "kill"
)

// How long a test of the detection waits.
const (
	noticeTime  = 30 * time.Second // for all that should notice
	outsideTime = 2 * time.Minute  // the same, where the user has to stop the node
	undoTime    = 20 * time.Second // for the node to come back
)

// testDetection stops a node and tells who notices, and when. Then it lets the node go on.
func testDetection(ctx context.Context, s *shell, args []string) error {
	word, way := "leader", pauseIt
	if len(args) > 0 {
		word = args[0]
	}
	if len(args) > 1 {
		way = args[1]
	}
	if way != pauseIt && way != killIt {
		return api.Wrong("", "found %q; expected %s or %s", way, pauseIt, killIt)
	}
	n, r, err := s.find(ctx, word)
	if err != nil {
		return err
	}
	if state(n) != "up" {
		return api.Failed("choose one that is up", "node %d is %s", n.GetId(), state(n))
	}
	t := newDetection(s, n.GetId(), r)
	if t.supervisor() != nil {
		return t.inside(ctx, way)
	}
	if err := s.streams(); err != nil {
		return err
	}
	return t.watchOutside(ctx)
}

// A detection is one such test going on.
type detection struct {
	s       *shell
	status  *cirandav1.StatusResponse // before
	id      uint32                    // of the node that stops
	led     bool                      // it was the leader
	others  []uint32                  // who should notice
	zero    int64                     // when it stopped, or else when that was first noticed; 0 while that is not known
	early   []*cirandav1.Event        // that came before the one of zero
	noticed map[uint32]bool
	follow  map[uint32]uint32 // whom they follow since
}

func newDetection(s *shell, id uint32, r *cirandav1.StatusResponse) *detection {
	t := &detection{s: s, status: r, id: id, led: r.GetLeader() == id, noticed: map[uint32]bool{}, follow: map[uint32]uint32{}}
	for _, n := range r.GetNodes() {
		if n.GetId() != id && state(n) == "up" {
			t.others = append(t.others, n.GetId())
		}
	}
	return t
}

// supervisor is who can stop the node; nil if nobody here can.
func (t *detection) supervisor() *Supervisor { return t.s.to.supervisor(t.status) }

// inside stops the node by its supervisor, and undoes that in any case.
func (t *detection) inside(ctx context.Context, way string) (err error) {
	what := "the leader, "
	if !t.led {
		what = ""
	}
	if ok, err := t.s.in.confirm(fmt.Sprintf("%s %snode %d for a while?", way, what, t.id)); err != nil || !ok {
		return err
	}
	stopped := false
	defer func() {
		if stopped {
			err = errors.Join(err, t.undo(ctx, way))
		}
	}()
	return t.observe(ctx, noticeTime, func() error {
		err := t.stop(ctx, way)
		stopped = err == nil || absent(err) || ctx.Err() != nil // perhaps, without an answer
		return err
	})
}

func (t *detection) stop(ctx context.Context, way string) (err error) {
	name := number(t.id)
	if way == killIt {
		_, err = t.supervisor().Processes.Kill(ctx, &cirandav1.KillRequest{Nodes: name})
	} else {
		_, err = t.supervisor().Processes.Pause(ctx, &cirandav1.PauseRequest{Nodes: name})
	}
	return err
}

func (t *detection) undo(ctx context.Context, way string) (err error) {
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), undoTime, errEnough)
	defer cancel()
	name := number(t.id)
	if way == killIt {
		_, err = t.supervisor().Processes.Restart(ctx, &cirandav1.RestartRequest{Nodes: name})
	} else {
		_, err = t.supervisor().Processes.Resume(ctx, &cirandav1.ResumeRequest{Nodes: name})
	}
	if err != nil {
		return err
	}
	t.s.out.say("node %d goes on", t.id)
	return t.s.sayWinner(ctx, 0)
}

// watchOutside lets the user stop the node, where nobody here can.
func (t *detection) watchOutside(ctx context.Context) error {
	t.s.out.say("Nothing here can stop a process. Do it outside, such as, where the containers run, by")
	t.s.out.say("  docker compose pause node%d    (or kill; afterwards unpause, or start)", t.id)
	t.s.out.say("Watching who suspects node %d, for %s at most; Ctrl-C ends it.", t.id, outsideTime)
	return t.observe(ctx, outsideTime, nil)
}

// observe tells what happens until all have noticed.
func (t *detection) observe(ctx context.Context, length time.Duration, stop func() error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, length, errEnough)
	defer cancel()
	atOnce, from := stop != nil, t.s.events
	if t.supervisor() != nil { // only it sees a process end
		from = func() cirandav1.EventServiceClient { return t.supervisor().Events }
	}
	err := t.s.follow(ctx, from, stop, func(e *cirandav1.Event) bool {
		t.take(e, atOnce)
		return !t.complete()
	})
	if errors.Is(context.Cause(ctx), errEnough) {
		return &api.Error{Text: fmt.Sprintf("after %s: %s", length, t.missing())}
	}
	return err
}

// take tells an event, if it is of the test. Times count from the moment at which the node stopped; where its end is
// not seen, from the first suspicion.
func (t *detection) take(e *cirandav1.Event, endIsSeen bool) {
	ended := e.GetNode() == t.id && (e.GetKind() == crashed || e.GetKind() == paused)
	if t.zero == 0 && (ended || !endIsSeen && t.isSuspicion(e)) {
		t.zero = e.GetTime()
		t.s.out.say("%s  %s", after(0), e.GetText())
		for _, early := range t.early {
			t.tell(early)
		}
		if !ended {
			t.tell(e)
		}
		return
	}
	if t.zero == 0 {
		t.early = append(t.early, e)
		return
	}
	t.tell(e)
}

func (t *detection) isSuspicion(e *cirandav1.Event) bool {
	return e.GetKind() == suspected && dataOf(e).Node == t.id
}

func (t *detection) tell(e *cirandav1.Event) {
	adopts := t.led && e.GetKind() == elected && dataOf(e).Leader != t.id && dataOf(e).Leader != 0
	switch {
	case t.isSuspicion(e) && !t.noticed[e.GetNode()]:
		t.noticed[e.GetNode()] = true
	case adopts:
		t.follow[e.GetNode()] = dataOf(e).Leader
	default:
		return
	}
	if at := e.GetTime() - t.zero; at > 0 {
		t.s.out.say("%s  %s", after(at), e.GetText())
	}
}

// complete says whether all have noticed, and follow the same new leader where one is needed.
func (t *detection) complete() bool { return t.zero != 0 && t.missing() == "" }

// missing says who has not noticed yet, or has no new leader; nothing if that is nobody.
func (t *detection) missing() string {
	unaware := slices.DeleteFunc(slices.Clone(t.others), func(id uint32) bool { return t.noticed[id] })
	if len(unaware) > 0 {
		return fmt.Sprintf("%s did not suspect node %d", nodes(unaware), t.id)
	}
	if !t.led {
		return ""
	}
	leader := uint32(0)
	for _, id := range t.others {
		switch f := t.follow[id]; {
		case f == 0:
			return fmt.Sprintf("node %d follows no new leader", id)
		case leader != 0 && f != leader:
			return fmt.Sprintf("node %d follows node %d, another one node %d", id, f, leader)
		default:
			leader = f
		}
	}
	return ""
}
