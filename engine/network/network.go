// Package network is the model of links that all engines share: how long a message takes, whether it is lost or
// doubled, whether the link is cut. The simulator draws from it; the live engine's shim applies it to real messages.
//
// A link is directed. The model knows no bandwidth and no congestion.
package network

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// A Law is the shape of a delay's distribution.
type Law string

// The laws.
const (
	Uniform     Law = "uniform"   // between Min and Max
	Exponential Law = "exp"       // Min plus an exponential one of mean Mean
	LogNormal   Law = "lognormal" // of median Mean; 1 of 100 above Max
)

// A Delay is how long a message travels. The zero Delay is none at all.
type Delay struct {
	Law  Law           `json:"law,omitempty"` // empty means Uniform
	Min  time.Duration `json:"min,omitempty"`
	Max  time.Duration `json:"max,omitempty"`
	Mean time.Duration `json:"mean,omitempty"`
}

// tail cuts the unbounded laws: no message takes longer than that many means.
const tail = 20

// Between is a delay uniform between lo and hi.
func Between(lo, hi time.Duration) Delay { return Delay{Law: Uniform, Min: lo, Max: hi} }

// ParseDelay reads "5ms", "1ms..20ms" (uniform) or "exp 5ms".
func ParseDelay(text string) (Delay, error) {
	if mean, ok := strings.CutPrefix(text, "exp "); ok {
		d, err := parseDuration(strings.TrimSpace(mean))
		return Delay{Law: Exponential, Mean: d}, err
	}
	lo, hi, isRange := strings.Cut(text, "..")
	a, err := parseDuration(lo)
	if err != nil || !isRange {
		return Between(a, a), err
	}
	b, err := parseDuration(hi)
	if err == nil && b < a {
		err = fmt.Errorf("found %q; expected the smaller delay first", text)
	}
	return Between(a, b), err
}

func parseDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > time.Hour {
		return 0, fmt.Errorf("found %q; expected a delay such as 5ms, 1ms..20ms or exp 5ms", text)
	}
	return d, nil
}

func (d Delay) String() string {
	switch d.Law {
	case Exponential:
		return "exp " + d.Mean.String()
	case LogNormal:
		return fmt.Sprintf("lognormal, median %s, p99 %s", d.Mean, d.Max)
	default:
		if d.Min == d.Max {
			return d.Min.String()
		}
		return d.Min.String() + ".." + d.Max.String()
	}
}

// Bound is the longest that a message can take.
func (d Delay) Bound() time.Duration {
	switch d.Law {
	case Exponential, LogNormal:
		return d.Min + tail*d.Mean
	default:
		return d.Max
	}
}

// Draw gives the delay of one message, in whole microseconds where the law is not uniform.
func (d *Delay) Draw(r *Source) time.Duration {
	switch d.Law {
	case Exponential:
		return d.Min + micros(min(r.Exponential()*float64(d.Mean), tail*float64(d.Mean)))
	case LogNormal:
		return d.Min + micros(min(float64(d.Mean)*math.Exp(float64(r.Normal()*d.sigma())), tail*float64(d.Mean)))
	default:
		if d.Max <= d.Min {
			return d.Min
		}
		return d.Min + time.Duration(r.Uint64n(uint64(d.Max-d.Min)+1))
	}
}

// sigma is the spread of the law's logarithm: the 99th percentile lies 2.3263 of them above the median.
func (d *Delay) sigma() float64 { return math.Log(float64(d.Max)/float64(d.Mean)) / 2.3263478740408408 }

// micros rounds to whole microseconds, so that the last bit of a floating-point number cannot change a schedule.
func micros(ns float64) time.Duration { return time.Duration(math.Round(ns/1000)) * time.Microsecond }

// A Link is what happens to messages of one direction between two nodes. The zero Link is a perfect one.
type Link struct {
	Cut       bool    `json:"cut,omitempty"` // nothing arrives
	Delay     Delay   `json:"delay"`
	Loss      float64 `json:"loss,omitempty"`      // the probability that a message is lost
	Duplicate float64 `json:"duplicate,omitempty"` // the probability that a message arrives twice
	FIFO      bool    `json:"fifo,omitempty"`      // messages arrive in the order of sending
	Mute      bool    `json:"mute,omitempty"`      // what is broadcast does not arrive
}

// Validate says what is wrong with the link.
func (l Link) Validate() error {
	switch {
	case l.Loss < 0 || l.Loss > 1 || math.IsNaN(l.Loss):
		return fmt.Errorf("a loss of %v; expected a probability from 0%% to 100%%", l.Loss)
	case l.Duplicate < 0 || l.Duplicate > 1 || math.IsNaN(l.Duplicate):
		return fmt.Errorf("a duplication of %v; expected a probability from 0%% to 100%%", l.Duplicate)
	case l.Delay.Min < 0 || l.Delay.Law == Uniform && l.Delay.Max < l.Delay.Min:
		return fmt.Errorf("a delay of %s; expected the smaller one first", l.Delay)
	case l.Delay.Law == LogNormal && (l.Delay.Mean <= 0 || l.Delay.Max < l.Delay.Mean):
		return fmt.Errorf("a delay of %s; expected a median above zero and a greater p99", l.Delay)
	}
	return nil
}

func (l Link) String() string {
	if l.Cut {
		return "cut"
	}
	parts := []string{"delay " + l.Delay.String()}
	if l.Loss > 0 {
		parts = append(parts, "loss "+Percent(l.Loss))
	}
	if l.Duplicate > 0 {
		parts = append(parts, "duplicate "+Percent(l.Duplicate))
	}
	if l.FIFO {
		parts = append(parts, "fifo")
	}
	if l.Mute {
		parts = append(parts, "mute")
	}
	return strings.Join(parts, ", ")
}

// ParsePercent reads "1%", "0.1%" or a probability such as 0.01.
func ParsePercent(text string) (float64, error) {
	number, isPercent := strings.CutSuffix(strings.TrimSpace(text), "%")
	p, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if isPercent {
		p /= 100
	}
	if err != nil || !(p >= 0 && p <= 1) {
		return 0, fmt.Errorf("found %q; expected a share from 0%% to 100%%", text)
	}
	return p, nil
}

// Percent writes a probability as ParsePercent reads it.
func Percent(p float64) string { return strconv.FormatFloat(p*100, 'g', 6, 64) + "%" }
