package network

import (
	"testing"
	"time"
)

// What is read is within its bounds, and reads the same once written.
func FuzzParseDelay(f *testing.F) {
	for _, seed := range []string{"5ms", "1ms..20ms", "exp 5ms", "1h", "0s..0s", "..", "exp ", "2ms..1ms", "-1ms", "1e9h", "1ms..", "..1ms"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseDelay(text)
		if err != nil {
			return
		}
		if d.Bound() < 0 || d.Min < 0 || d.Mean < 0 || d.Min > d.Max && d.Law != Exponential || max(d.Min, d.Max, d.Mean) > time.Hour {
			t.Errorf("%q: out of bounds: %+v", text, d)
		}
		if err := (Link{Delay: d}).Validate(); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if again, err := ParseDelay(d.String()); err != nil || again != d {
			t.Errorf("%q: written as %q it reads %+v, %v; want %+v", text, d.String(), again, err, d)
		}
	})
}
