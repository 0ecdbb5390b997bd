package bench

import (
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/multicast"
)

// A tally counts and checks what a member delivers. The node's goroutine feeds it.
type tally struct {
	fifo bool // a caster's messages come in the order of sending
	size int

	mu      sync.Mutex
	began   time.Time
	parts   []uint64          // deliveries in each tallyPart since then
	last    map[uint64]uint64 // the number of the last message of a caster
	lane    uint64            // of the last message
	number  uint64            // its number
	count   uint64            // since the beginning
	sum     uint64            // of a number for each message: the same in any order
	hash    uint64            // of the same numbers in their order
	problem error             // the first
}

const (
	tallyPart = 10 * time.Millisecond
	maxParts  = 10_000
)

func newTally(fifo bool, size int) *tally {
	return &tally{fifo: fifo, size: size, last: map[uint64]uint64{}}
}

// begin begins to measure. What others sent may have come before.
func (t *tally) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.began, t.parts = time.Now(), nil
}

// take takes what leaves the top of the stack.
func (t *tally) take(e protocol.Event, _ uint64) {
	d, ok := e.(multicast.Delivery)
	if !ok {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range d.Payloads {
		t.note(d.Sender, p)
	}
	t.count += uint64(len(d.Payloads))
	part := int(time.Since(t.began) / tallyPart)
	for len(t.parts) <= part && part < maxParts {
		t.parts = append(t.parts, 0)
	}
	if part < len(t.parts) {
		t.parts[part] += uint64(len(d.Payloads))
	}
}

// note checks one message, and adds it to what is compared with the other members.
func (t *tally) note(sender protocol.ID, payload []byte) {
	if len(payload) != t.size || binary.BigEndian.Uint64(payload)>>32 != uint64(sender) {
		t.fail(fmt.Errorf("a message of member %d is damaged: %d bytes", sender, len(payload)))
		return
	}
	lane, number := binary.BigEndian.Uint64(payload), binary.BigEndian.Uint64(payload[8:])
	if lane != t.lane { // they come in runs
		t.last[t.lane] = t.number
		t.lane, t.number = lane, t.last[lane]
	}
	if t.fifo && number != t.number+1 {
		t.fail(fmt.Errorf("message %d of member %d came after %d", number, sender, t.number))
	}
	t.number = number
	const odd = 0x9e3779b97f4a7c15
	x := (number ^ lane) * odd
	x ^= x >> 29
	t.sum += x
	t.hash = (t.hash ^ x) * odd
}

func (t *tally) fail(err error) {
	if t.problem == nil {
		t.problem = err
	}
}

// rate says how many messages were delivered in the beginning of so long, and how many a second after it.
func (t *tally) rate(length time.Duration) (first uint64, perSecond float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	later := uint64(0)
	for i, n := range t.parts[:min(len(t.parts), int(length/tallyPart))] {
		if time.Duration(i)*tallyPart < firstFor(length) {
			first += n
		} else {
			later += n
		}
	}
	return first, float64(later) / (length - firstFor(length)).Seconds()
}

// settle waits until so many messages were delivered, and gives what stands for them.
func (t *tally) settle(total uint64) (sum, hash uint64, err error) {
	for end := time.Now().Add(settleFor); ; time.Sleep(time.Millisecond) {
		t.mu.Lock()
		count, sum, hash, problem := t.count, t.sum, t.hash, t.problem
		t.mu.Unlock()
		switch {
		case problem != nil:
			return 0, 0, problem
		case count == total:
			return sum, hash, nil
		case count > total:
			return 0, 0, fmt.Errorf("%d messages were delivered of %d that were sent", count, total)
		case time.Now().After(end):
			return 0, 0, fmt.Errorf("only %d messages were delivered of %d that were sent, after %s", count, total, settleFor)
		}
	}
}
