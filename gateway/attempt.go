package gateway

import (
	"context"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
)

// An attempt is one call, and what is known of how far it got. An error alone does not tell: gRPC says Unavailable of a
// connection that could not be made and of one that broke while the answer was on its way, and a server says it of
// itself.
type attempt struct {
	peer            peer.Peer
	header, trailer metadata.MD
	traced          bool // the connection fills these in; one that is not gRPC does not
}

// options let the call fill the attempt in.
func (a *attempt) options() []grpc.CallOption {
	return []grpc.CallOption{grpc.Peer(&a.peer), grpc.Header(&a.header), grpc.Trailer(&a.trailer),
		grpc.OnFinish(func(error) { a.traced = true })}
}

// left says whether the request may have left this process.
func (a *attempt) left() bool { return !a.traced || a.peer.Addr != nil }

// answered says whether the error is the server's own word.
func (a *attempt) answered() bool { return len(a.header)+len(a.trailer) > 0 }

// A verdict is what an attempt says of the request.
type verdict int

const (
	done    verdict = iota
	refused         // it was not done and will not be
	spared          // this attempt did nothing
	doubted         // this attempt may have done it
	lost            // it may have been done, and the server has forgotten
)

// retried are the codes after which it may help to ask again.
var retried = map[codes.Code]bool{codes.Unavailable: true, codes.DeadlineExceeded: true, codes.ResourceExhausted: true,
	codes.Canceled: true, codes.Aborted: true, codes.Unknown: true, codes.Internal: true}

// judge gives the verdict on an attempt that ended in an error or none.
func (a *attempt) judge(err error) verdict {
	if err == nil {
		return done
	}
	e := api.AsError(err)
	if e == nil {
		return doubted
	}
	switch e.Code {
	case codes.InvalidArgument, codes.NotFound, codes.FailedPrecondition,
		codes.PermissionDenied, codes.Unauthenticated, codes.Unimplemented: // only servers say so
		return refused
	case codes.Unavailable, codes.DeadlineExceeded, codes.ResourceExhausted, codes.Canceled, codes.Aborted:
		if !a.left() || a.answered() && e.Code != codes.Canceled {
			return spared
		}
	case codes.Unknown:
		if a.answered() && e.Field != "" {
			return lost
		}
	}
	return doubted
}

// Times of attempts.
const (
	firstPause   = 10 * time.Millisecond  // before the second attempt; then twice as long each time,
	longestPause = 250 * time.Millisecond // up to this
	leastTime    = 200 * time.Millisecond // for another attempt, while it is known that nothing was done
)

// tooLate says whether another attempt could hardly be answered before ctx ends. Then it would only bring doubt.
func tooLate(ctx context.Context) bool {
	end, ok := ctx.Deadline()
	return ok && time.Until(end) < leastTime
}

// A result is what became of a request in the end.
type result struct {
	answer   *cirandav1.TransferResponse
	verdict  verdict // never spared if an attempt before was doubted
	err      error   // what a server said last, or else what went wrong; nil if it is done
	attempts int
}

// insist makes attempts until one of them says for certain what became of the request, or ctx ends. Without attempts ctx
// had ended before.
func insist(ctx context.Context, call func(context.Context, *attempt) (*cirandav1.TransferResponse, error)) result {
	r := result{verdict: spared, err: ctx.Err()}
	told := false // r.err is a server's own word
	for pause := firstPause; ctx.Err() == nil; pause = min(2*pause, longestPause) {
		var a attempt
		answer, err := call(ctx, &a)
		r.attempts++
		v := a.judge(err)
		if err == nil || a.answered() || !told && (ctx.Err() == nil || r.err == nil) { // else it is only that of the end
			r.err, told = err, a.answered()
		}
		r.answer, r.verdict = answer, worse(r.verdict, v, err)
		if v != spared && v != doubted {
			break
		}
		select {
		case <-time.After(pause/2 + rand.N(pause/2)): // those who failed together need not come again together
		case <-ctx.Done():
		}
		if r.verdict == spared && tooLate(ctx) {
			break
		}
	}
	return r
}

// worse is what is known of a request after one more attempt. A refusal of the request itself holds for all attempts; one
// of the caller says nothing of those before.
func worse(before, now verdict, err error) verdict {
	mine := false
	switch e := api.AsError(err); {
	case e == nil:
	case e.Code == codes.PermissionDenied, e.Code == codes.Unauthenticated, e.Code == codes.Unimplemented:
		mine = true
	}
	if before == doubted && (now == spared || now == refused && mine) {
		return doubted
	}
	return now
}
