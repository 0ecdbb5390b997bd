package transfer

import (
	"fmt"
	"time"
)

// Options set the sizes and times of state transfer. They are each node's own affair.
type Options struct {
	// Chunk is how many bytes of a state travel at once, 1 to 2^19. Zero means 64 KiB.
	Chunk int
	// Window is how many chunks may be asked for that have not come, 1 to 64. Zero means 4.
	Window int
	// Largest is how many bytes a state may have that this node hands over or takes, 1 to 2^30. Zero means 256 MiB.
	Largest int
	// Hold is how many bytes of messages may wait for the state, 1 to 2^30. A node for which more would wait leaves the group
	// and joins anew. Of the first eighth the layers below are told that it is consumed, so that the senders do not wait
	// for the transfer, and of more as the state comes, up to half; the rest is for what is on its way. Zero means 16 MiB.
	Hold int
	// Silence is how long a member may send nothing of the state before the next one is asked, 1ms to a minute. It should
	// exceed a round trip. Zero means 1s.
	Silence time.Duration
	// Keep is how long a member keeps a state that nobody asks for, and how long a node waits for anybody to offer one
	// before it joins anew; Silence to a day. Zero means a minute, or Silence if that is more.
	Keep time.Duration
	// Mistake is a deliberate error for the tests of the checks.
	Mistake Mistake
}

// The bounds of options and offers.
const (
	mostChunk   = 1 << 19
	mostWindow  = 64
	mostLargest = 1 << 30
	mostHold    = 1 << 30
)

// WithDefaults gives the options with the defaults filled in.
func (p Options) WithDefaults() Options {
	if p.Chunk == 0 {
		p.Chunk = 64 << 10
	}
	if p.Window == 0 {
		p.Window = 4
	}
	if p.Largest == 0 {
		p.Largest = 256 << 20
	}
	if p.Hold == 0 {
		p.Hold = 16 << 20
	}
	if p.Silence == 0 {
		p.Silence = time.Second
	}
	if p.Keep == 0 {
		p.Keep = max(time.Minute, p.Silence)
	}
	return p
}

// Validate says which of the options, defaults filled in, are out of bounds.
func (p Options) Validate() error {
	p = p.WithDefaults()
	for _, b := range []struct {
		name     string
		is, most int64
	}{
		{"Chunk", int64(p.Chunk), mostChunk}, {"Window", int64(p.Window), mostWindow}, {"Largest", int64(p.Largest), mostLargest},
		{"Hold", int64(p.Hold), mostHold},
	} {
		if b.is < 1 || b.is > b.most {
			return fmt.Errorf("transfer: %s is %d; it must be between 1 and %d", b.name, b.is, b.most)
		}
	}
	if p.Silence < time.Millisecond || p.Silence > time.Minute {
		return fmt.Errorf("transfer: Silence is %v; it must be between 1ms and 1m0s", p.Silence)
	}
	if p.Keep < p.Silence || p.Keep > 24*time.Hour {
		return fmt.Errorf("transfer: Keep is %v; it must be between Silence = %v and 24h0m0s", p.Keep, p.Silence)
	}
	if p.Mistake > lastMistake {
		return fmt.Errorf("transfer: there is no mistake %d", p.Mistake)
	}
	return nil
}
