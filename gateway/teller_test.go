package gateway

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
)

// A hostile server does each request once, as banks do, and tells of it as rarely as it can.
type hostile struct {
	cirandav1.BankServiceClient
	store *store
	draw  *rand.Rand
	plain bool // it tells as a connection that is not gRPC
}

// A store is what servers share: by id, the transfer; by number, how often it was made.
type store struct {
	mu    sync.Mutex
	done  map[string]uint64
	below map[string]uint64
	made  int
}

type addr struct{}

func (addr) Network() string { return "test" }
func (addr) String() string  { return "test" }

// tell fills in what gRPC tells of a call.
func (h hostile) tell(opts []grpc.CallOption, left, answered bool) {
	for _, o := range opts {
		switch o := o.(type) {
		case grpc.PeerCallOption:
			if left && !h.plain {
				*o.PeerAddr = peer.Peer{Addr: addr{}}
			}
		case grpc.TrailerCallOption:
			if answered && !h.plain {
				*o.TrailerAddr = metadata.MD{"content-type": {"application/grpc"}}
			}
		case grpc.OnFinishCallOption:
			if !h.plain {
				o.OnFinish(nil)
			}
		}
	}
}

func (h hostile) Transfer(ctx context.Context, r *cirandav1.TransferRequest, opts ...grpc.CallOption) (*cirandav1.TransferResponse, error) {
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	what := h.draw.IntN(8)
	switch what {
	case 0:
		h.tell(opts, false, false)
		return nil, status.Error(codes.Unavailable, "connection refused")
	case 1:
		h.tell(opts, true, true)
		return nil, status.Error(codes.Unavailable, "the node has stopped; it did not happen")
	case 2:
		h.tell(opts, true, false)
		return nil, status.Error(codes.Unavailable, "connection lost")
	}
	answer, err := h.store.do(r)
	if what < 6 {
		h.tell(opts, true, what == 5)
		return nil, status.Error([]codes.Code{codes.Unavailable, codes.DeadlineExceeded, codes.Unknown}[what-3], "lost after it was done")
	}
	h.tell(opts, true, true)
	return answer, err
}

func (s *store) do(r *cirandav1.TransferRequest) (*cirandav1.TransferResponse, error) {
	id := r.GetId()
	key := id.GetClient() + "/" + string(rune(id.GetNumber()))
	if r.GetAmount() < 1 {
		return nil, api.Wrong("amount", "found %d", r.GetAmount())
	}
	number, known := s.done[key]
	switch {
	case !known && id.GetNumber() < s.below[id.GetClient()]:
		return nil, &api.Error{Code: codes.Unknown, Field: "id.number", Text: "forgotten"}
	case !known:
		s.made++
		number = uint64(s.made)
		s.done[key] = number
		s.below[id.GetClient()] = max(s.below[id.GetClient()], id.GetBelow())
	}
	return &cirandav1.TransferResponse{From: r.GetFrom(), To: r.GetTo(), Amount: r.GetAmount(), Number: number}, nil
}

// Whatever answers are lost, each transfer is made once, and its number comes back to who asked for it alone.
func TestTellerMakesEachTransferOnce(t *testing.T) {
	for _, plain := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := &store{done: map[string]uint64{}, below: map[string]uint64{}}
			draw := rand.New(rand.NewPCG(1, 2))
			teller := NewTeller("test", hostile{store: s, draw: draw, plain: plain}, hostile{store: s, draw: draw, plain: plain})
			var mu sync.Mutex
			numbers := map[uint64]bool{}
			var working sync.WaitGroup
			for range 8 {
				working.Go(func() {
					for range 50 {
						a, err := teller.Transfer(t.Context(), 1, 2, 3, false)
						if err != nil {
							t.Error(err)
							return
						}
						mu.Lock()
						if numbers[a.GetNumber()] {
							t.Errorf("transfer %d was told twice", a.GetNumber())
						}
						numbers[a.GetNumber()] = true
						mu.Unlock()
					}
				})
			}
			working.Wait()
			if s.made != 400 || len(numbers) != 400 {
				t.Errorf("made %d transfers and told of %d; want 400", s.made, len(numbers))
			}
			if _, err := teller.Transfer(t.Context(), 1, 2, 0, false); !errors.Is(err, ErrRefused) || api.AsError(err).Field != "amount" {
				t.Errorf("got %v", err)
			}
		})
	}
}

// scripted answers as it is told, and counts.
type scripted struct {
	cirandav1.BankServiceClient
	calls int
	do    func(ctx context.Context, call int, tell func(left, answered bool)) error
}

func (s *scripted) Transfer(ctx context.Context, r *cirandav1.TransferRequest, opts ...grpc.CallOption) (*cirandav1.TransferResponse, error) {
	s.calls++
	err := s.do(ctx, s.calls, func(left, answered bool) { hostile{}.tell(opts, left, answered) })
	if err != nil {
		return nil, err
	}
	return &cirandav1.TransferResponse{From: r.GetFrom(), To: r.GetTo(), Amount: r.GetAmount(), Number: 1}, nil
}

// What is said in the end is what follows from all attempts.
func TestTellerSaysWhatIsKnown(t *testing.T) {
	down := status.Error(codes.Unavailable, "no")
	for name, c := range map[string]struct {
		do   func(ctx context.Context, call int, tell func(left, answered bool)) error
		want error
	}{
		"nobody was reached": {func(_ context.Context, _ int, tell func(bool, bool)) error { tell(false, false); return down }, ErrUnavailable},
		"all said no":        {func(_ context.Context, _ int, tell func(bool, bool)) error { tell(true, true); return down }, ErrUnavailable},
		"one did not answer": {func(_ context.Context, call int, tell func(bool, bool)) error { tell(true, call != 2); return down }, ErrUnknown},
		"who hangs": {func(ctx context.Context, _ int, tell func(bool, bool)) error {
			<-ctx.Done()
			tell(true, false)
			return status.FromContextError(ctx.Err()).Err()
		}, ErrUnknown},
		"no answer, then not allowed": {func(_ context.Context, call int, tell func(bool, bool)) error {
			tell(true, call > 1)
			if call > 1 {
				return status.Error(codes.PermissionDenied, "no")
			}
			return down
		}, ErrUnknown},
		"not allowed": {func(_ context.Context, _ int, tell func(bool, bool)) error {
			tell(true, true)
			return status.Error(codes.PermissionDenied, "no")
		}, ErrRefused},
		"no answer, then refused": {func(_ context.Context, call int, tell func(bool, bool)) error {
			tell(true, call > 1)
			if call > 1 {
				return api.Failed("", "no money")
			}
			return down
		}, ErrRefused},
		"forgotten": {func(_ context.Context, _ int, tell func(bool, bool)) error {
			tell(true, true)
			return &api.Error{Code: codes.Unknown, Field: "id.number", Text: "forgotten"}
		}, ErrUnknown},
		"done at last": {func(_ context.Context, call int, tell func(bool, bool)) error {
			tell(true, call > 9)
			if call > 9 {
				return nil
			}
			return down
		}, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			s := &scripted{do: c.do}
			if _, err := NewTeller("test", s).Transfer(ctx, 1, 2, 3, false); !errors.Is(err, c.want) {
				t.Errorf("%s: got %v; want %v", name, err, c.want)
			}
			if s.calls == 0 || s.calls > 500 {
				t.Errorf("%s: %d calls in a minute", name, s.calls)
			}
		})
	}
}

// Ids below the oldest that is open are given up; too far ahead of it nobody gets one.
func TestNamesKeepWhatIsOpen(t *testing.T) {
	n := newNames("test")
	first, _ := n.take(t.Context(), 1)
	for range mostOpen - 1 {
		id, _ := n.take(t.Context(), 1)
		if id.GetBelow() != first.GetNumber() || id.GetClient() != first.GetClient() {
			t.Fatalf("got %v", id)
		}
		n.settle(1, id.GetNumber())
	}
	full, cancel := context.WithCancel(t.Context())
	cancel()
	if id, err := n.take(full, 1); err == nil {
		t.Errorf("got %v, far from the oldest", id)
	}
	if id, err := n.take(full, 2); err != nil || id.GetNumber() != 1 || id.GetClient() == first.GetClient() {
		t.Errorf("of another account: got %v, %v", id, err)
	}
	n.settle(1, first.GetNumber())
	if id, err := n.take(full, 1); err != nil || id.GetBelow() != id.GetNumber() || id.GetNumber() != mostOpen+1 {
		t.Errorf("got %v, %v", id, err)
	}
}

// A server that does not answer is left for the next.
func TestTellerGoesOnWithAnother(t *testing.T) {
	dead := &scripted{do: func(_ context.Context, _ int, tell func(bool, bool)) error {
		tell(false, false)
		return status.Error(codes.Unavailable, "no")
	}}
	well := &scripted{do: func(_ context.Context, _ int, tell func(bool, bool)) error { tell(true, true); return nil }}
	teller := NewTeller("test", dead, well)
	for range 10 {
		if _, err := teller.Transfer(t.Context(), 1, 2, 3, false); err != nil {
			t.Fatal(err)
		}
	}
	if dead.calls != 1 || well.calls != 10 {
		t.Errorf("asked the dead one %d times and the other %d", dead.calls, well.calls)
	}
}
