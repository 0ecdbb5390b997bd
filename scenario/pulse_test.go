package scenario

import (
	"testing"
	"testing/synctest"
	"time"
)

// A standstill is what a beat is late.
func TestPulse(t *testing.T) {
	p := &pulse{}
	for _, now := range []time.Duration{10, 20, 1220, 1230, 1250} {
		p.at(now * time.Millisecond)
	}
	if want := 1190 * time.Millisecond; p.longest != want {
		t.Errorf("got %s, want %s", p.longest, want)
	}
	synctest.Test(t, func(t *testing.T) { // where time stands still while anybody works, nobody is late
		p := newPulse()
		time.Sleep(time.Minute)
		if late := p.end(); late != 0 {
			t.Errorf("late by %s", late)
		}
	})
}
