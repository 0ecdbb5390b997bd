package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	cirandav1 "ciranda.dev/api/ciranda/v1"
)

func at(ms int64) *cirandav1.Event {
	return &cirandav1.Event{Time: ms * int64(time.Millisecond), Text: fmt.Sprint("at ", ms)}
}

// What arrives late by less than hold is printed in its place, and times count from the earliest.
func TestOrdered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		p := printer{out: &b, notes: io.Discard}
		o := ordered{print: p.print}
		for _, ms := range []int64{1020, 1000, 1030} {
			o.add(at(ms))
			time.Sleep(hold / 4)
		}
		time.Sleep(hold / 2) // the first of them has waited long enough, and one before it goes with it
		synctest.Wait()
		if got := "    0.000s  at 1000\n    0.020s  at 1020\n"; b.String() != got {
			t.Errorf("got %q, want %q", b.String(), got)
		}
		o.add(at(1025))
		time.Sleep(2 * hold)
		o.add(at(1050))
		if err := o.close(); err != nil {
			t.Error(err)
		}
		want := "    0.000s  at 1000\n    0.020s  at 1020\n    0.025s  at 1025\n    0.030s  at 1030\n    0.050s  at 1050\n"
		if b.String() != want {
			t.Errorf("got %q, want %q", b.String(), want)
		}
		time.Sleep(2 * hold) // nothing is printed twice
		if synctest.Wait(); b.String() != want {
			t.Errorf("got %q, want %q", b.String(), want)
		}
	})
}

func TestOrderedFails(t *testing.T) {
	broken := errors.New("broken")
	o := ordered{ends: true, print: func(*cirandav1.Event) error { return broken }}
	if err := errors.Join(o.add(at(2)), o.add(at(1))); err != nil {
		t.Error(err)
	}
	if err := o.close(); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}
