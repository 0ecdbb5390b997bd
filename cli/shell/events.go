package shell

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
)

// The kinds of events that the shell understands.
const (
	crashed   = "crash"
	paused    = "pause"
	suspected = "fd.suspect"
	stood     = "el.start"
	elected   = "el.leader"
	resigned  = "el.stepdown"
	granted   = "el.grant"
)

// data is what an event holds, as far as the shell understands it.
type data struct {
	Node    uint32 `json:"node"`   // of a suspicion: whose
	Leader  uint32 `json:"leader"` // of a new leader
	Why     string `json:"why"`
	Counter uint64 `json:"counter"` // of an election that begins
	Term    struct {
		Counter uint64 `json:"counter"`
		Leader  uint32 `json:"leader"`
	} `json:"term"`
}

// dataOf is the data of an event; empty if there is none that is understood.
func dataOf(e *cirandav1.Event) data {
	var line struct {
		Data data `json:"data"`
	}
	if json.Unmarshal([]byte(e.GetJson()), &line) != nil {
		return data{}
	}
	return line.Data
}

// maxPast is how many events are kept to look back at.
const maxPast = 8192

// past gives the events that have happened and are still kept, of the kinds that are wanted.
func (s *shell) past(ctx context.Context, wanted func(kind string) bool) ([]*cirandav1.Event, error) {
	return readStream(ctx, s, &cirandav1.WatchRequest{Cursor: api.FromStart, AtHand: true}, wanted)
}

func readStream(ctx context.Context, s *shell, r *cirandav1.WatchRequest, wanted func(string) bool) ([]*cirandav1.Event, error) {
	return read(ctx, s, func(ctx context.Context, to *Connection) (events []*cirandav1.Event, err error) {
		stream, err := to.Events.Watch(ctx, r)
		for err == nil {
			var batch *cirandav1.WatchResponse
			batch, err = stream.Recv()
			for _, e := range batch.GetEvents() {
				if wanted(e.GetKind()) {
					events = append(events, e)
				}
			}
			events = events[max(0, len(events)-maxPast):]
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return events, err
	})
}

// follow hands on the events behind a cursor until take wants no more or ctx ends. A stream that breaks is taken up where
// it ended, by what from gives then. Begun, if not nil, is called as soon as nothing will be missed.
func (s *shell) follow(ctx context.Context, from func() cirandav1.EventServiceClient, begun func() error, take func(*cirandav1.Event) (more bool)) error {
	r, told := &cirandav1.WatchRequest{}, false
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		before := r.GetCursor()
		again, err := s.followOnce(ctx, from(), r, &begun, take)
		if !again || ctx.Err() != nil {
			return err
		}
		if r.GetCursor() != before {
			pause, told = firstPause, false // it went on for a while
		}
		if !told {
			s.out.note("the stream of events broke off; taking it up again")
			told = true
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
		s.reconnect()
	}
}

// events are those of the connection that there is.
func (s *shell) events() cirandav1.EventServiceClient { return s.to.Events }

func (s *shell) followOnce(ctx context.Context, from cirandav1.EventServiceClient, r *cirandav1.WatchRequest, begun *func() error, take func(*cirandav1.Event) bool) (again bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := from.Watch(ctx, r)
	if err != nil {
		return absent(err), err
	}
	for {
		batch, err := stream.Recv()
		if err != nil {
			return absent(err) || errors.Is(err, io.EOF), err
		}
		if lost := batch.GetLost(); lost > 0 {
			s.out.note("%d events before this were lost", lost)
		}
		for _, e := range batch.GetEvents() {
			if !take(e) {
				return false, nil
			}
		}
		r.Cursor = batch.GetCursor()
		if start := *begun; start != nil {
			*begun = nil
			if err := start(); err != nil {
				return false, err
			}
		}
	}
}

// watch tells what happens, for so long or until it is given up.
func watch(ctx context.Context, s *shell, args []string) error {
	if err := s.streams(); err != nil {
		return err
	}
	if len(args) == 1 {
		length, err := readTime(args[0])
		if err != nil {
			return err
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, length, errEnough)
		defer cancel()
	}
	zero := int64(0)
	err := s.follow(ctx, s.events, nil, func(e *cirandav1.Event) bool {
		if e.GetText() == "" {
			return true
		}
		if zero == 0 {
			zero = e.GetTime()
		}
		s.out.say("%9.3fs  %s", time.Duration(e.GetTime()-zero).Seconds(), e.GetText())
		return true
	})
	if cause := context.Cause(ctx); errors.Is(cause, errEnough) || errors.Is(cause, errGivenUp) {
		return nil
	}
	return err
}

// errEnough ends a watch that has lasted as long as it should.
var errEnough = errors.New("enough")
