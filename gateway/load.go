package gateway

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	cirandav1 "ciranda.dev/api/ciranda/v1"
)

// A Load says how much money is moved. Banks is needed.
type Load struct {
	Banks   []cirandav1.BankServiceClient // gateways of one bank; clients are spread over them and go on with another one
	For     time.Duration                 // how long; 0: until the context ends
	Rate    float64                       // transfers a second of all clients together; 0: as fast as they can
	Clients int                           // how many make transfers, each one at a time; zero means 16
	Settle  time.Duration                 // how long the end may take: until nothing is on its way. Zero means 30s
	// Progress is called every now and then, from one goroutine; may be nil.
	Progress func(Progress)
	Every    time.Duration // between calls of Progress. Zero means 1s
}

// Progress is how far a load is.
type Progress struct {
	Since        time.Duration
	Acknowledged int64
	Failed       int64
	Unknown      int64
	Checking     bool // the load is over, the check is under way
}

// A LoadResult is what a load did and found. What is nil is not known.
type LoadResult struct {
	Transfers    int64   `json:"transfers"`
	Acknowledged int64   `json:"acknowledged"`
	Failed       int64   `json:"failed"`  // refused, or not done for want of a node
	Unknown      int64   `json:"unknown"` // also in the end
	PerSecond    float64 `json:"per_s"`   // acknowledged
	P50          float64 `json:"p50_ms"`  // from the first attempt to the acknowledgement
	P99          float64 `json:"p99_ms"`
	Conserved    *bool   `json:"conserved"`
	Total        *int64  `json:"total"`

	Issued   int64    `json:"issued"`
	Seconds  float64  `json:"seconds"`
	Others   int64    `json:"others"`   // transfers that others made meanwhile
	Problems []string `json:"problems"` // what is wrong, or why it could not be checked
	Refusals string   `json:"last_refusal,omitempty"`
}

// transferTime is how long a client of a load insists before it makes another transfer.
const transferTime = 10 * time.Second

// openTime is how long a load tries to begin.
const openTime = 3 * time.Second

// Run moves small amounts between accounts until the time is over or ctx ends, waits until all has arrived, and checks:
// the money is all there; each transfer that was acknowledged was applied, once; none besides was made, as far as nobody
// else makes some. An error means that it did not begin.
func (l Load) Run(ctx context.Context) (*LoadResult, error) {
	if l.Clients == 0 {
		l.Clients = 16
	}
	if l.Settle == 0 {
		l.Settle = 30 * time.Second
	}
	if l.Every == 0 {
		l.Every = time.Second
	}
	before, err := l.open(ctx)
	if err != nil {
		return nil, err
	}
	r := newRun(l, before)
	work, cancel := ctx, context.CancelFunc(func() {})
	if l.For > 0 {
		work, cancel = context.WithTimeout(ctx, l.For)
	}
	defer cancel()
	reported := make(chan struct{})
	go r.report(work, reported)
	var working sync.WaitGroup
	for i := range l.Clients {
		working.Go(func() { r.client(work, r.tellers[i%len(r.tellers)]) })
	}
	working.Wait()
	r.took = time.Since(r.began)
	cancel()
	<-reported
	return r.conclude(context.WithoutCancel(ctx)), nil
}

// open reads the accounts as they are at first.
func (l Load) open(ctx context.Context) (*books, error) {
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	b := &books{banks: l.Banks}
	for err := b.read(ctx); err != nil; err = b.read(ctx) { // a node may end just now; then it is left out
		if pause(ctx, 100*time.Millisecond); ctx.Err() != nil {
			return nil, err
		}
	}
	if len(b.accounts) < 2 {
		return nil, errors.New("gateway: fewer than two accounts can be asked; expected two for money to move between")
	}
	return b, nil
}

// A run is a load under way.
type run struct {
	load    Load
	before  *books
	tellers []*Teller
	began   time.Time
	took    time.Duration
	times   histogram

	mu       sync.Mutex
	purse    map[uint32]*purse
	order    []uint32
	ledger   ledger
	counts   Progress
	refusal  string
	unknown  []unresolved
	schedule time.Time // of the next transfer, where there is a rate
}

// A purse is what a load believes of an account.
type purse struct {
	money   int64
	under   []time.Time // when the transfers under way from it began, in order
	trouble time.Time   // not used before
	after   time.Duration
}

// hanging is how long a transfer is under way before its account is left alone.
const hanging = 250 * time.Millisecond

// well says whether to move money from or to the account. It is not used by many at a time: else all clients soon wait for
// one node that is down, and nobody uses the others.
func (p *purse) well(now time.Time, most int) bool {
	return p.trouble.Before(now) && (len(p.under) == 0 || len(p.under) < most && now.Sub(p.under[0]) < hanging)
}

// An unresolved transfer is one of whose fate nothing is known.
type unresolved struct {
	teller  *Teller
	request *cirandav1.TransferRequest
}

func newRun(l Load, before *books) *run {
	r := &run{load: l, before: before, began: time.Now(), purse: map[uint32]*purse{}, ledger: newLedger(before)}
	r.schedule = r.began
	for i := range l.Banks { // each begins with another gateway
		r.tellers = append(r.tellers, NewTeller("load", append(append([]cirandav1.BankServiceClient{}, l.Banks[i:]...), l.Banks[:i]...)...))
	}
	for _, a := range before.accounts {
		r.purse[uint32(a.Node)] = &purse{money: a.Balance}
		r.order = append(r.order, uint32(a.Node))
	}
	return r
}

// client makes one transfer after the other until ctx ends.
func (r *run) client(ctx context.Context, t *Teller) {
	for r.turn(ctx) {
		began := time.Now()
		from, to, amount := r.pick(began)
		if amount == 0 { // nobody has money at hand: it is on its way
			pause(ctx, 5*time.Millisecond)
			continue
		}
		inTime, cancel := context.WithTimeout(context.WithoutCancel(ctx), transferTime) // what was begun is finished
		answer, err := t.Transfer(inTime, from, to, amount, false)
		cancel()
		if err == nil {
			r.times.add(time.Since(began))
		}
		r.note(t, began, from, to, amount, answer, err)
		if errors.Is(err, ErrRefused) {
			r.count(ctx, from)
		}
	}
}

// count looks into a purse of which too much was believed.
func (r *run) count(ctx context.Context, id uint32) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for _, bank := range r.load.Banks {
		if a, err := bank.Account(ctx, &cirandav1.AccountRequest{Account: id}); err == nil {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.purse[id].money = a.GetAccount().GetBalance()
			return
		}
	}
}

// turn waits until the next transfer is due, and says whether there is to be one.
func (r *run) turn(ctx context.Context) bool {
	if r.load.Rate > 0 {
		r.mu.Lock()
		due := r.schedule
		r.schedule = due.Add(time.Duration(float64(time.Second) / r.load.Rate))
		r.mu.Unlock()
		pause(ctx, time.Until(due))
	}
	return ctx.Err() == nil
}

func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// pick chooses a transfer and takes its money out of the sender's purse: small amounts, and of two senders the richer
// one, so that few are refused for want of money. An amount of 0 is none.
func (r *run) pick(now time.Time) (from, to uint32, amount int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var at []uint32
	for _, id := range r.order {
		if r.purse[id].well(now, 1+r.load.Clients/len(r.order)) {
			at = append(at, id)
		}
	}
	if len(at) < 2 {
		return 0, 0, 0
	}
	rand.Shuffle(len(at), func(i, j int) { at[i], at[j] = at[j], at[i] })
	if r.purse[at[0]].money < r.purse[at[1]].money {
		at[0], at[1] = at[1], at[0]
	}
	from, to = at[0], at[1+rand.IntN(len(at)-1)]
	p := r.purse[from]
	if amount = min(1+rand.Int64N(5), p.money/4); amount > 0 {
		p.money -= amount
		p.under = append(p.under, now)
	}
	return from, to, max(amount, 0)
}

// note notes what became of a transfer.
func (r *run) note(t *Teller, began time.Time, from, to uint32, amount int64, answer *cirandav1.TransferResponse, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.purse[from]
	i := slices.Index(p.under, began)
	p.under = slices.Delete(p.under, i, i+1)
	var f *Failure
	switch errors.As(err, &f); {
	case err == nil:
		p.trouble, p.after = time.Time{}, 0
		r.purse[to].money += amount
		r.acknowledge(from, to, amount, answer)
	case errors.Is(err, ErrUnknown):
		r.unknown = append(r.unknown, unresolved{t, f.Request})
		r.counts.Unknown++
		p.avoid()
	default:
		if r.counts.Failed++; f != nil {
			r.refusal = f.Cause.Text
		}
		p.money += amount
		p.avoid()
	}
}

func (r *run) acknowledge(from, to uint32, amount int64, a *cirandav1.TransferResponse) {
	r.counts.Acknowledged++
	if a.GetFrom() != from || a.GetTo() != to || a.GetAmount() != amount {
		r.ledger.problem("asked for %d from %d to %d, and got %d from %d to %d", amount, from, to, a.GetAmount(), a.GetFrom(), a.GetTo())
		return
	}
	r.ledger.enter(from, to, a.GetNumber())
}

// avoid keeps clients away from an account for a while, longer each time.
func (p *purse) avoid() {
	p.after = min(max(2*p.after, 50*time.Millisecond), 2*time.Second)
	p.trouble = time.Now().Add(p.after)
}

// report tells how far the load is until ctx ends.
func (r *run) report(ctx context.Context, over chan struct{}) {
	defer close(over)
	if r.load.Progress == nil {
		return
	}
	tick := time.NewTicker(r.load.Every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.load.Progress(r.progress(false))
		case <-ctx.Done():
			return
		}
	}
}

func (r *run) progress(checking bool) Progress {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.counts
	p.Since, p.Checking = time.Since(r.began), checking
	return p
}

// conclude finds out what is not known, waits until nothing is on its way, and checks.
func (r *run) conclude(ctx context.Context) *LoadResult {
	if r.load.Progress != nil {
		r.load.Progress(r.progress(true))
	}
	begun := time.Now()
	resolving, cancel := context.WithTimeout(ctx, r.load.Settle)
	defer cancel()
	r.resolve(resolving)
	left := max(r.load.Settle-time.Since(begun), leastLook) // a node that is down may have cost all of it
	settling, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	after := &books{banks: r.load.Banks}
	err := after.settle(settling)
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.counts
	result := &LoadResult{Transfers: c.Acknowledged + c.Failed + c.Unknown, Acknowledged: c.Acknowledged, Failed: c.Failed,
		Unknown: c.Unknown, PerSecond: float64(c.Acknowledged) / r.took.Seconds(), Seconds: r.took.Seconds(),
		P50: r.times.quantile(0.5), P99: r.times.quantile(0.99), Total: after.total, Issued: after.issued, Refusals: r.refusal}
	r.ledger.check(after, err, c.Unknown, result)
	return result
}

// leastLook is what a last look at the balances may take, even if there is no time left.
const leastLook = 4 * time.Second

// resolve asks again for what is not known, with the same ids, all at once.
func (r *run) resolve(ctx context.Context) {
	var asking sync.WaitGroup
	places := make(chan struct{}, r.load.Clients)
	for _, u := range r.unknown {
		asking.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			answer, err := u.teller.Again(ctx, u.request)
			r.mu.Lock()
			defer r.mu.Unlock()
			switch {
			case err == nil:
				r.counts.Unknown--
				r.acknowledge(u.request.GetFrom(), u.request.GetTo(), u.request.GetAmount(), answer)
			case errors.Is(err, ErrRefused):
				r.counts.Unknown--
				r.counts.Failed++
			}
		})
	}
	asking.Wait()
}

// String describes a result for people.
func (r *LoadResult) String() string {
	s := fmt.Sprintf("%d transfers in %.1fs: %d acknowledged (%.0f a second, p50 %.1f ms, p99 %.1f ms), %d failed, %d unknown\n",
		r.Transfers, r.Seconds, r.Acknowledged, r.PerSecond, r.P50, r.P99, r.Failed, r.Unknown)
	if r.Others > 0 {
		s += fmt.Sprintf("%d transfers besides were made by others\n", r.Others)
	}
	for _, p := range r.Problems {
		s += p + "\n"
	}
	switch {
	case r.Conserved == nil:
		s += "It could not be checked whether all money is there.\n"
	case *r.Conserved:
		s += fmt.Sprintf("All money is there: %d. Each acknowledged transfer was applied, once.\n", *r.Total)
	default:
		s += "Something is wrong.\n"
	}
	return s
}
