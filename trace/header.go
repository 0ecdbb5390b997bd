package trace

import (
	"fmt"
	"strconv"

	"ciranda.dev/protocol"
)

// FormatVersion is the version of the file format that this package writes, and the only one that it reads.
const FormatVersion = 1

// A Header is the first line of a file: what is needed to read the events, and to do the run again.
type Header struct {
	Format   int           `json:"ciranda"`            // FormatVersion; filled in when written
	Version  string        `json:"version,omitempty"`  // of the project
	Scenario string        `json:"scenario,omitempty"` // its name
	Script   string        `json:"script,omitempty"`   // the scenario file's text
	Engine   string        `json:"engine,omitempty"`   // sim, live, …
	Level    Level         `json:"level"`
	Members  []protocol.ID `json:"members,omitempty"`
	Layers   []string      `json:"layers,omitempty"` // by [Event.Layer], from the bottom
	Timers   [][]string    `json:"timers,omitempty"` // by layer, then by [protocol.Timer].Kind
	Seed     uint64        `json:"seed,omitempty"`
	Steps    []string      `json:"steps,omitempty"`  // the run as steps; nil if there are none or too many
	Repeat   string        `json:"repeat,omitempty"` // the command that does the run again

	// Of a file of one node. T counts from a moment of the machine's monotonic clock; clocks of one Boot are the same.
	Node  protocol.ID          `json:"node,omitempty"`
	Inc   protocol.Incarnation `json:"inc,omitempty"`
	Clock string               `json:"clock,omitempty"` // what T is: virtual, steps or monotonic
	Boot  string               `json:"boot,omitempty"`  // the machine's boot id
	Zero  int64                `json:"zero,omitempty"`  // ns: the monotonic clock where T is 0
	Wall  int64                `json:"wall,omitempty"`  // ns: the wall clock there, since the Unix epoch
}

// SetStack fills in the names of layers and timers.
func (h *Header) SetStack(traits []protocol.Traits) {
	h.Layers, h.Timers = nil, nil
	for _, t := range traits {
		h.Layers = append(h.Layers, t.Channel)
		h.Timers = append(h.Timers, t.Timers)
	}
}

// LayerName is the name of a layer, or its number if the header has none.
func (h *Header) LayerName(layer uint8) string {
	if int(layer) < len(h.Layers) {
		return h.Layers[layer]
	}
	return "#" + strconv.Itoa(int(layer))
}

// TimerName is the name of a timer for people, such as "silence" or "timeout 5".
func (h *Header) TimerName(layer uint8, t protocol.Timer) string {
	name := "timer " + strconv.Itoa(int(t.Kind))
	if int(layer) < len(h.Timers) && int(t.Kind) < len(h.Timers[layer]) {
		name = h.Timers[layer][t.Kind]
	}
	if t.Arg != 0 {
		name += " " + strconv.Itoa(int(t.Arg))
	}
	return name
}

// layerIndex undoes LayerName.
func (h *Header) layerIndex(name string) (uint8, bool) {
	for i, l := range h.Layers {
		if l == name {
			return uint8(i), true
		}
	}
	if len(name) > 1 && name[0] == '#' {
		n, err := strconv.ParseUint(name[1:], 10, 8)
		return uint8(n), err == nil && int(n) >= len(h.Layers)
	}
	return 0, false
}

// validate says what is wrong with a header that was read.
func (h *Header) validate() error {
	if h.Format == 0 {
		return fmt.Errorf("trace: found no format version in the first line; expected a header with \"ciranda\":%d", FormatVersion)
	}
	if h.Format != FormatVersion {
		return fmt.Errorf("trace: found format version %d; expected %d", h.Format, FormatVersion)
	}
	if len(h.Layers) > 255 {
		return fmt.Errorf("trace: found %d layers; expected at most 255", len(h.Layers))
	}
	return nil
}

// MarshalText is String.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads off, protocol or full.
func (l *Level) UnmarshalText(text []byte) error {
	for i, name := range levelNames {
		if name == string(text) {
			*l = Level(i)
			return nil
		}
	}
	return fmt.Errorf("found level %q; expected off, protocol or full", text)
}
