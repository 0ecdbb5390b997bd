package network_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"ciranda.dev/engine/network"
)

const ms = time.Millisecond

// Each law keeps its bounds and has about the middle that it should have.
func TestLaws(t *testing.T) {
	for _, c := range []struct {
		delay  network.Delay
		median time.Duration
	}{
		{network.Between(5*ms, 5*ms), 5 * ms},
		{network.Between(1*ms, 20*ms), 10500 * time.Microsecond},
		{network.Delay{Law: network.Exponential, Mean: 10 * ms}, 6931 * time.Microsecond},
		{network.Delay{Law: network.LogNormal, Mean: 5 * ms, Max: 80 * ms}, 5 * ms},
	} {
		random := network.NewSource(1, 1)
		drawn := make([]time.Duration, 20_000)
		for i := range drawn {
			drawn[i] = c.delay.Draw(random)
			if drawn[i] < c.delay.Min || drawn[i] > c.delay.Bound() {
				t.Fatalf("%s gives %s, outside of %s to %s", c.delay, drawn[i], c.delay.Min, c.delay.Bound())
			}
		}
		slices.Sort(drawn)
		if m := drawn[len(drawn)/2]; math.Abs(float64(m-c.median)) > 0.05*float64(c.median) {
			t.Errorf("%s has the median %s, not about %s", c.delay, m, c.median)
		}
		if c.delay.Law == network.LogNormal {
			if p99 := drawn[len(drawn)*99/100]; math.Abs(float64(p99-c.delay.Max)) > 0.15*float64(c.delay.Max) {
				t.Errorf("%s has a p99 of %s", c.delay, p99)
			}
		}
	}
}

// What a seed gives is fixed: these numbers stay as they are, or recorded seeds lose their meaning.
func ExampleNewSource() {
	s := network.NewSource(42, 1)
	fmt.Println(s.Intn(1000), s.Intn(1000), s.Intn(1000))
	fmt.Printf("%.3f %.3f %.3f\n", s.Float64(), s.Exponential(), s.Normal())
	other := network.NewSource(42, 2)
	fmt.Println(other.Intn(1000))
	// Output:
	// 845 761 756
	// 0.302 0.003 -0.072
	// 824
}
