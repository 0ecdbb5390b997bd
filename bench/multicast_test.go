package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/multicast"
)

func TestMulticast(t *testing.T) {
	for _, o := range []MulticastOptions{
		{Order: multicast.Total, Uniform: true, Members: 3, Size: 1024},
		{Order: multicast.FIFO, Members: 2, Size: 100, Insecure: true},
	} {
		o.For = 400 * time.Millisecond
		steps := 0
		o.Progress = func(int, int) { steps++ }
		r, err := Multicast(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if r.Order != o.Order.String() || r.Uniform != o.Uniform || r.TLS == o.Insecure || r.Members != o.Members || r.Size != o.Size {
			t.Errorf("%+v is not what was asked for: %+v", r, o)
		}
		if r.Delivered <= 0 || r.Raw <= 0 || r.Ratio != r.Delivered/r.Raw || r.P50 <= 0 || r.P99 < r.P50 || r.RawRTT <= 0 || r.RawRTTFree <= 0 ||
			r.LatencyRatio != r.P50*1e3/r.RawRTT || r.FirstSecond < 0 || r.Samples == 0 || r.CPU <= 0 || r.RawCPU <= 0 || steps != 5 {
			t.Errorf("%+v, after %d steps", r, steps)
		}
	}
}

func TestMulticastIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	_, err := Multicast(ctx, MulticastOptions{Order: multicast.FIFO, Members: 2, For: time.Hour, Insecure: true,
		Progress: func(done, _ int) {
			if done == 1 {
				cancel(enough)
			}
		}})
	if !errors.Is(err, enough) {
		t.Errorf("got %v, want %v", err, enough)
	}
}

// stamped is a message of a caster.
func stamped(lane, number uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, lane), number)
}

// feed gives a tally messages of caster 1 of member 2, by their numbers.
func feed(t *tally, numbers ...uint64) *tally {
	t.begin()
	for _, n := range numbers {
		t.take(multicast.Delivery{Sender: 2, Payloads: [][]byte{stamped(2<<32|1, n)}}, 0)
	}
	return t
}

// A tally tells what is missing, doubled, damaged or out of order.
func TestTally(t *testing.T) {
	for name, test := range map[string]struct {
		tally *tally
		total uint64
		want  string
	}{
		"complete": {feed(newTally(true, 16), 1, 2, 3), 3, ""},
		"order":    {feed(newTally(true, 16), 1, 3, 2), 3, "message 3 of member 2 came after 1"},
		"doubled":  {feed(newTally(false, 16), 1, 2, 2), 2, "3 messages were delivered of 2 that were sent"},
		"damaged":  {feed(newTally(false, 17), 1), 1, "damaged: 16 bytes"},
	} {
		if _, _, err := test.tally.settle(test.total); (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}

// Members that delivered the same in another order are told apart where the order matters.
func TestAgree(t *testing.T) {
	sum := func(numbers ...uint64) report {
		sum, hash, err := feed(newTally(false, 16), numbers...).settle(uint64(len(numbers)))
		if err != nil {
			t.Fatal(err)
		}
		return report{Sum: sum, Hash: hash}
	}
	same, other, less := sum(1, 2, 3), sum(2, 1, 3), sum(1, 2, 4)
	for _, test := range []struct {
		order multicast.Order
		of    report
		ok    bool
	}{
		{multicast.Total, same, true}, {multicast.Total, other, false}, {multicast.Lamport, other, false},
		{multicast.FIFO, other, true}, {multicast.FIFO, less, false},
	} {
		m := casting{o: MulticastOptions{Order: test.order}}
		if err := m.agree([]report{sum(1, 2, 3), test.of}); (err == nil) != test.ok {
			t.Errorf("%s: %v", test.order, err)
		}
	}
}

// What leaves a node and is no delivery does not count.
func TestTallyOfAnotherEvent(t *testing.T) {
	tally := newTally(true, 16)
	tally.take(protocol.Disk{}, 0)
	if tally.count != 0 {
		t.Errorf("%d deliveries", tally.count)
	}
}
