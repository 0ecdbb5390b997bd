// Package diagram draws a trace as a space-time diagram in SVG: a lane for each node, time to the right, an arrow for
// each message.
//
// It draws what a lecturer would: who leads when, who suspects whom, crashes, pauses, partitions, messages that are
// lost or doubled, Lamport stamps. What only keeps time, such as a heartbeat that tells nobody anything new, is left
// out, and the legend says how much. Long stretches in which nothing is shown are cut short and marked. A trace with
// more than a picture can hold is narrowed to what surrounds its crashes, suspicions and elections; a window in time
// or a choice of nodes shows the rest.
//
// The same trace and options give the same bytes. Distances to the right grow with time but are not to scale: they
// make room for text. The order of events on a lane, and that of each sending before its receipt, always holds;
// that of events on different lanes is that of their times, which several machines need not agree on.
package diagram

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/trace"
)

// Options say what is drawn. The zero value draws all that is worth it.
type Options struct {
	// Title stands above the picture. Empty means the scenario's name.
	Title string
	// Caption is a sentence below the title, such as what a check found. May be empty.
	Caption string
	// From and To bound the time that is drawn. Zero means from the beginning, and to the end.
	From, To time.Duration
	// Nodes are the lanes, from the top. Nil means all nodes, or of more than 12 those in which most happens.
	Nodes []protocol.ID
	// Highlight are events of nodes, by their index in the trace, to be pinned. What has no part in them is dimmed.
	Highlight []int
	// Background draws, faintly, the messages that are otherwise left out.
	Background bool
	// NoStamps leaves the Lamport stamps out.
	NoStamps bool
	// Width is how wide the picture should be, in pixels; it becomes wider where text needs the room. Zero means 1600.
	Width int
	// MaxSteps is how many steps of nodes are drawn. Zero means 200.
	MaxSteps int
	// Theme is "light", "dark", or empty for what the reader's system prefers.
	Theme string
}

const maxLanes = 12

func (o Options) filled() Options {
	if o.Width == 0 {
		o.Width = 1600
	}
	if o.MaxSteps == 0 {
		o.MaxSteps = 200
	}
	if o.To == 0 {
		o.To = math.MaxInt64
	}
	return o
}

func (o Options) validate(t *trace.Trace) error {
	switch {
	case o.From < 0 || o.To < o.From:
		return fmt.Errorf("diagram: a window from %s to %s; expected the earlier time first", o.From, o.To)
	case o.Width < 200 || o.Width > 100_000:
		return fmt.Errorf("diagram: a width of %d; expected 200 to 100000 pixels", o.Width)
	case o.MaxSteps < 1 || o.MaxSteps > 100_000:
		return fmt.Errorf("diagram: at most %d steps; expected 1 to 100000", o.MaxSteps)
	case o.Theme != "" && o.Theme != "light" && o.Theme != "dark":
		return fmt.Errorf("diagram: the theme %q; expected light, dark or none", o.Theme)
	}
	for _, i := range o.Highlight {
		if i < 0 || i >= len(t.Events) {
			return fmt.Errorf("diagram: event %d to be highlighted; expected 0 to %d", i, len(t.Events)-1)
		}
	}
	for i, id := range o.Nodes {
		if slices.Contains(o.Nodes[:i], id) {
			return fmt.Errorf("diagram: node %d is to have two lanes; expected each node once", id)
		}
		if !slices.ContainsFunc(t.Events, func(e trace.Event) bool { return e.OfNode() && e.Node == id }) {
			return fmt.Errorf("diagram: node %d has no events; expected nodes of the trace", id)
		}
	}
	return nil
}

// Write draws a trace.
func Write(w io.Writer, t *trace.Trace, o Options) error {
	o = o.filled()
	if err := o.validate(t); err != nil {
		return err
	}
	p := newPicture(t, o)
	if len(p.steps) == 0 {
		return errors.New("diagram: found no event of a node in that window; expected some")
	}
	p.fold()
	p.arrange()
	_, err := io.WriteString(w, p.svg())
	return err
}
