package bank

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"ciranda.dev/protocol"
)

// A rig is node 1 of a group of four, whose peers the test plays.
type rig struct {
	tb    testing.TB
	stack *protocol.Stack
	bank  *Bank
	disk  map[string][]byte
	wrote int // records of the last step
	out   protocol.Out
	calls uint64
}

func newRig(tb testing.TB, opts Options) *rig {
	r := &rig{tb: tb, disk: map[string][]byte{}}
	r.build(opts, 1)
	r.stack.Start(protocol.Inputs{}, &r.out)
	r.store()
	return r
}

func (r *rig) build(opts Options, inc protocol.Incarnation) {
	r.bank = New(opts)
	s, err := protocol.NewStack(protocol.Self{ID: 1, Incarnation: inc, Group: []protocol.ID{1, 2, 3, 4}}, r.bank)
	if err != nil {
		r.tb.Fatal(err)
	}
	r.stack = s
}

// store keeps what the step persisted and gives its replies.
func (r *rig) store() (replies []any) {
	r.wrote = 0
	for _, e := range r.out.Effects() {
		switch e.Kind {
		case protocol.Persist:
			record := e.Body.(*protocol.Record)
			r.disk[record.Key] = record.Value
			r.wrote++
		case protocol.Leave:
			if reply, ok := e.Body.(protocol.Reply); ok {
				replies = append(replies, reply.Body)
			}
		}
	}
	return replies
}

func (r *rig) transfer(t Transfer) any {
	r.calls++
	r.stack.Call(protocol.Call{ID: r.calls, Body: t}, protocol.Inputs{}, &r.out)
	if replies := r.store(); len(replies) == 1 {
		return replies[0]
	}
	return nil
}

func (r *rig) receive(from protocol.ID, m protocol.Message) {
	r.stack.Receive(from, 1, protocol.Packet{Body: m}, protocol.Inputs{}, &r.out)
	r.store()
}

// recovered is a new life with the same disk.
func (r *rig) recovered() *rig {
	n := &rig{tb: r.tb, disk: maps.Clone(r.disk)}
	n.build(r.bank.opts, 2)
	n.stack.Recover(func(key string) ([]byte, bool) { v, ok := n.disk[key]; return v, ok }, protocol.Inputs{}, &n.out)
	return n
}

func (r *rig) encoded() []byte { return appendAccount(nil, 0, &r.bank.account) }

// However many steps there were, each wrote one record at most, and a life that begins then has the same account.
func TestRecoveryFindsTheSame(t *testing.T) {
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		r := newRig(t, Options{Balance: 1000, Remember: 5, Window: 40})
		settles, next := seed%2 == 0, uint64(1)
		for step := range 400 {
			r.random(rnd, settles, &next)
			if r.wrote > 1 {
				t.Fatalf("seed %d, step %d: %d records", seed, step, r.wrote)
			}
			n := r.recovered()
			if settles { // entries that are settled come back: that is not stored
				for i := range n.bank.account.peers {
					p := &n.bank.account.peers[i]
					p.window = r.bank.account.peer(p.id).window
				}
			}
			if !bytes.Equal(n.encoded(), r.encoded()) {
				t.Fatalf("seed %d, step %d:\n%+v\nrecovers as\n%+v", seed, step, r.bank.account, n.bank.account)
			}
			if rnd.IntN(20) == 0 {
				r = r.recovered()
			}
		}
		if len(r.disk) > 60 {
			t.Errorf("seed %d: %d records are stored", seed, len(r.disk))
		}
	}
}

// random does one of the things that may happen.
func (r *rig) random(rnd *rand.Rand, settles bool, next *uint64) {
	peer := protocol.ID(2 + rnd.IntN(3))
	switch rnd.IntN(4) {
	case 0:
		r.transfer(Transfer{To: peer, Amount: int64(1 + rnd.IntN(60))})
	case 1:
		n := 1 + uint64(rnd.IntN(30))
		request := Request{Client: fmt.Sprint("client ", rnd.IntN(8)), Number: n, Below: uint64(rnd.IntN(int(n)))}
		r.transfer(Transfer{Request: request, To: peer, Amount: int64(1 + rnd.IntN(60))})
	case 2:
		low := max(1, *next-min(*next, uint64(rnd.IntN(9))))
		r.receive(peer, Pay{max(low, *next-min(*next, uint64(rnd.IntN(6)))), int64(1 + rnd.IntN(50)), low})
		*next++
	case 3:
		if p := r.bank.account.peer(peer); settles && len(p.window) > 0 {
			r.receive(peer, Paid{p.window[rnd.IntN(len(p.window))].number})
		}
	}
}

// A step writes little, however much the account holds; now and then it writes the account.
func TestRecordsAreSmall(t *testing.T) {
	r := newRig(t, Options{Balance: 1 << 30})
	written, largest := 0, 0
	const transfers = 20_000
	for n := range uint64(transfers) {
		r.transfer(Transfer{Request: Request{Client: "a client with a name", Number: n + 1}, To: 2, Amount: 1})
		for _, e := range r.out.Effects() {
			if e.Kind == protocol.Persist {
				size := len(e.Body.(*protocol.Record).Value)
				written, largest = written+size, max(largest, size)
			}
		}
		r.receive(2, Paid{n + 1})
	}
	t.Logf("%d bytes a transfer, the largest record has %d", written/transfers, largest)
	if written/transfers > 200 {
		t.Errorf("%d bytes a transfer", written/transfers)
	}
	if n := len(r.bank.account.answers.held); n != 4096 {
		t.Errorf("%d answers are held; expected 4096", n)
	}
	if n := len(r.bank.account.answers.order); n > 3*4096 {
		t.Errorf("the order has %d", n)
	}
}

// A node does not begin with a record that was changed, cut, or put in the place of another.
func TestDamageIsRefused(t *testing.T) {
	full := newRig(t, Options{})
	for i := range uint64(3) {
		full.transfer(Transfer{Request: Request{Client: "me", Number: i + 1}, To: 2, Amount: 5})
	}
	full.receive(3, Pay{1, 7, 1})
	for key, record := range full.disk {
		for i := range record {
			for _, damaged := range [][]byte{record[:i], flip(record, i), append(bytes.Clone(record), 0)} {
				full.refuses(t, key, damaged, "bank: node 1: stored \""+strings.TrimPrefix(key, "bank/"))
			}
		}
	}
	full.refuses(t, "bank/log/1", full.disk["bank/log/2"], "it is record 3 and follows record 1")
	full.refuses(t, "bank/log/1", full.disk["bank/state"], "expected the kind of an operation")
	full.refuses(t, "bank/state", full.disk["bank/log/1"], "expected an account")
	again := appendOperation(nil, 2, operation{kind: debit, peer: 2, number: 1, amount: 5})
	full.refuses(t, "bank/log/1", again, "a debit of 5 as number 1, of a balance of 95 and with 2 as the next number")
	again = appendOperation(nil, 2, operation{kind: debit, peer: 2, number: 2, amount: 500})
	full.refuses(t, "bank/log/1", again, "a debit of 500 as number 2, of a balance of 95")
	again = appendOperation(nil, 2, operation{kind: debit, peer: 2, number: 2, amount: 5, request: Request{"me", 1, 0}})
	full.refuses(t, "bank/log/1", again, "an answer to request me/1, which was answered before")
	full.refuses(t, "bank/state", seal([]byte{9, 0}), "found version 9; expected 1")
}

func flip(b []byte, i int) []byte {
	c := bytes.Clone(b)
	c[i] ^= 0x10
	return c
}

func (r *rig) refuses(t *testing.T, key string, record []byte, want string) {
	t.Helper()
	kept := r.disk[key]
	defer func() {
		r.disk[key] = kept
		if text := fmt.Sprint(recover()); !strings.Contains(text, want) {
			t.Errorf("%s is %x: %s; expected %q", key, record, text, want)
		}
	}()
	r.disk[key] = record
	r.recovered()
}

// What no node of the bank sends changes nothing.
func TestStrangeMessagesAreDropped(t *testing.T) {
	r := newRig(t, Options{})
	before := r.encoded()
	for _, m := range []protocol.Message{
		Pay{1, 0, 1}, Pay{1, -5, 1}, Pay{1, 1<<63 - 1, 1}, Pay{1, ceiling - 100, 1}, Pay{1 << 63, 1, 1}, Pay{1, 1, 2}, Pay{1, 1, 0},
	} {
		r.receive(2, m)
		if r.wrote > 0 || !dropped(&r.out) {
			t.Errorf("%+v is not dropped", m)
		}
	}
	r.receive(2, Paid{77})
	if !bytes.Equal(r.encoded(), before) {
		t.Errorf("the account is %+v", r.bank.account)
	}
	for n := range uint64(mostWindow + 10) {
		r.receive(3, Pay{n + 2, 1, 1})
	}
	if n := len(r.bank.account.peer(3).also); n != mostWindow || !dropped(&r.out) {
		t.Errorf("%d numbers are remembered; expected %d", n, mostWindow)
	}
}

func dropped(o *protocol.Out) bool {
	for _, e := range o.Effects() {
		if _, ok := e.Body.(Dropped); ok {
			return true
		}
	}
	return false
}

// Whatever clients ask, what is remembered is bounded, and what was answered is never done again.
func TestAnswersAreBounded(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	a, done := answers{}, map[requestID]bool{}
	const limit = 8
	for range 20_000 {
		r := Request{Client: fmt.Sprint(rnd.IntN(6)), Number: 1 + uint64(rnd.IntN(2000))}
		r.Below = uint64(rnd.IntN(int(r.Number)))
		_, known, forgotten := a.find(r)
		id := requestID{r.Client, r.Number}
		switch {
		case known != a.holds(id) || known && !done[id]:
			t.Fatalf("%v is known", r)
		case !known && !forgotten && done[id]:
			t.Fatalf("%v would be done again", r)
		case !known && !forgotten:
			a.remember(r, answer{}, limit)
			done[id] = true
		}
		if len(a.held) > limit || len(a.order) > 2*limit+1 || len(a.clients) > 2*limit || len(a.idle) > limit {
			t.Fatalf("%d answers, %d in order, %d clients, %d idle", len(a.held), len(a.order), len(a.clients), len(a.idle))
		}
	}
	for i := range 1000 {
		a.remember(Request{Client: fmt.Sprint("client ", i), Number: 1}, answer{}, limit)
	}
	if len(a.held) != limit || len(a.clients) != 2*limit {
		t.Errorf("%d answers and %d clients", len(a.held), len(a.clients))
	}
}

func FuzzReadAccount(f *testing.F) {
	r := newRig(f, Options{})
	f.Add(unsealed(r.encoded()))
	for i := range uint64(4) {
		r.transfer(Transfer{Request: Request{fmt.Sprint("client ", i%2), i + 1, i}, To: 2 + protocol.ID(i%2), Amount: int64(40 * i)})
		r.receive(4, Pay{i*i + 1, 9, 1})
	}
	r.receive(3, Paid{2})
	f.Add(unsealed(r.encoded()))
	f.Fuzz(func(t *testing.T, body []byte) {
		record, a := seal(bytes.Clone(body)), account{}
		serial, err := readAccount(record, &a)
		if err == nil && !bytes.Equal(appendAccount(nil, serial, &a), record) {
			t.Fatalf("%x is read as %+v", record, a)
		}
		if _, err := readAccount(body, &account{}); err == nil && len(body) < 5 {
			t.Fatalf("%x is read without a checksum", body)
		}
	})
}

func FuzzReadOperation(f *testing.F) {
	for _, op := range []operation{
		{kind: debit, peer: 2, number: 7, amount: 30, request: Request{"me", 3, 1}},
		{kind: credit, peer: 3, number: 1 << 61, amount: 1, low: 5},
		{kind: refusal, peer: 4, amount: 1 << 60, request: Request{Client: "you", Number: 1}, why: "no"},
	} {
		f.Add(unsealed(appendOperation(nil, 9, op)))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		record := seal(bytes.Clone(body))
		serial, op, err := readOperation(record)
		if err != nil {
			return
		}
		if !bytes.Equal(appendOperation(nil, serial, op), record) {
			t.Fatalf("%x is read as %+v", record, op)
		}
		a := account{balance: 100, next: 1}
		if a.do(op, 5) == nil && (a.balance < 0 || a.balance >= ceiling) {
			t.Fatalf("%+v leaves a balance of %d", op, a.balance)
		}
	})
}

func unsealed(record []byte) []byte { return record[:len(record)-4] }

// Whatever peers send, the account stays sane and is found again by the next life.
func FuzzReceive(f *testing.F) {
	f.Add([]byte{0, 2, 1, 30, 1, 1, 2, 1, 0, 0, 0, 3, 2, 9, 1})
	f.Add([]byte{0, 2, 200, 30, 1, 0, 2, 200, 30, 1, 0, 2, 100, 30, 200, 2, 3, 0, 9, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		r := newRig(t, Options{Window: 3})
		for ; len(script) >= 5; script = script[5:] {
			peer := protocol.ID(2 + script[1]%3)
			number, amount, low := uint64(int8(script[2])), int64(int8(script[3])), uint64(int8(script[4]))
			switch script[0] % 3 {
			case 0:
				r.receive(peer, Pay{number, amount, low})
			case 1:
				r.receive(peer, Paid{number})
			case 2:
				r.transfer(Transfer{To: peer, Amount: amount})
			}
			if r.wrote > 1 || r.bank.account.balance < 0 {
				t.Fatalf("%d records, %s", r.wrote, r.bank)
			}
		}
		if n := r.recovered(); n.bank.account.balance != r.bank.account.balance || n.bank.account.next != r.bank.account.next {
			t.Fatalf("%s recovers as %s", r.bank, n.bank)
		}
	})
}
