package bully

import (
	"errors"
	"fmt"
	"time"
)

// Options are the rules and timeouts of an election. All nodes of a group have the same Stable, Quorum and Classic;
// timeouts may differ. The zero value is the default rules, with timeouts for a network that delivers within 10 ms.
type Options struct {
	// Answer is how long a candidate waits for the answer of a higher node: at least two message delays, up to an
	// hour. Zero means 50ms.
	Answer time.Duration
	// Coordinator is how long it then waits for that node to lead: at least Answer and two message delays, up to an
	// hour. Zero means 100ms.
	Coordinator time.Duration
	// Beat is the time between two beats, of the leader and of its followers, up to an hour. Zero means 100ms.
	Beat time.Duration
	// Silence is after how many beats without a word of its leader a follower takes it as lost, and with Quorum after
	// how many beats that no majority has echoed a leader resigns: 1 to 10000. Times Beat it is at least the
	// detector's timeout. Zero means 5.
	Silence int
	// Ask is how long a node that starts waits for word of a leader, with Stable: at least two message delays, up to
	// an hour. Zero means 50ms.
	Ask time.Duration
	// Grant is how long a candidate waits for a majority, with Quorum: at least two message delays, up to an hour.
	// Zero means 50ms.
	Grant time.Duration

	// Stable lets a node that starts follow a living leader, whatever its rank; rank then counts only between those
	// that stand while nobody leads, or when a client asks for an election.
	Stable bool
	// Quorum lets nobody lead without the grants of a majority of the group.
	Quorum bool
	// Classic is the textbook form without terms and without the beat, for the classroom. It stands alone.
	Classic bool

	// NoBeat turns the beat off, and with it the judgement of silence, for tests: much that is wrong shows only then.
	NoBeat bool
	// Mistake is a deliberate error, for tests of the checks.
	Mistake Mistake
}

// The bounds of options.
const (
	longest     = time.Hour
	mostSilence = 10_000
)

// WithDefaults gives the options with each zero timeout replaced by its default.
func (p Options) WithDefaults() Options {
	for _, t := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&p.Answer, 50 * time.Millisecond},
		{&p.Coordinator, 100 * time.Millisecond},
		{&p.Beat, 100 * time.Millisecond},
		{&p.Ask, 50 * time.Millisecond},
		{&p.Grant, 50 * time.Millisecond},
	} {
		if *t.field == 0 {
			*t.field = t.value
		}
	}
	if p.Silence == 0 {
		p.Silence = 5
	}
	return p
}

// Validate says whether the options, with their defaults, keep the package's promises where messages and steps take
// at most delay together and the detector suspects after timeout. The error says the formula that does not hold.
func (p Options) Validate(delay, timeout time.Duration) error {
	p = p.WithDefaults()
	if err := p.check(); err != nil {
		return err
	}
	trip := 2 * delay
	rules := []struct {
		applies      bool
		value, least time.Duration
		formula      string
	}{
		{true, p.Answer, trip, "Answer >= 2*delay"},
		{true, p.Coordinator, p.Answer + trip, "Coordinator >= Answer + 2*delay"},
		{p.Stable, p.Ask, trip, "Ask >= 2*delay"},
		{p.Quorum, p.Grant, trip, "Grant >= 2*delay"},
		{!p.Classic, time.Duration(p.Silence) * p.Beat, timeout, "Silence*Beat >= the detector's timeout"},
	}
	for _, r := range rules {
		if r.applies && r.value < r.least {
			return fmt.Errorf("bully: %s does not hold: %v < %v", r.formula, r.value, r.least)
		}
	}
	return nil
}

// check says whether each option is within its bounds.
func (p Options) check() error {
	if p.Classic && (p.Stable || p.Quorum) {
		return errors.New("bully: Classic stands alone: it goes with neither Stable nor Quorum")
	}
	for _, t := range []struct {
		name  string
		value time.Duration
	}{{"Answer", p.Answer}, {"Coordinator", p.Coordinator}, {"Beat", p.Beat}, {"Ask", p.Ask}, {"Grant", p.Grant}} {
		if t.value < 0 || t.value > longest {
			return fmt.Errorf("bully: %s is %v; it must be between 0 and %v", t.name, t.value, longest)
		}
	}
	if p.Silence < 1 || p.Silence > mostSilence {
		return fmt.Errorf("bully: Silence is %d; it must be between 1 and %d beats", p.Silence, mostSilence)
	}
	if p.Mistake > lastMistake {
		return fmt.Errorf("bully: there is no mistake %d", p.Mistake)
	}
	return nil
}
