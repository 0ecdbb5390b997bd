package trace

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"

	"ciranda.dev/protocol"
)

// An Execution is a run among several in one ShiViz log.
type Execution struct {
	Label  string // unique among them; may be empty if there is only one
	Header Header
	Events []Event
}

// ShiVizOptions say what is exported. The zero value has all events of all nodes.
type ShiVizOptions struct {
	// Keep says which events are listed. Order passes through the others too. Nil keeps all.
	Keep func(e *Event) bool
	// Lives gives each life of a node a lane of its own, "n1#2", in place of one lane a node.
	Lives bool
}

// ShiVizParser and ShiVizDelimiter are the expressions with which ShiViz reads the log.
const (
	ShiVizParser    = `(?<event>.*)\n(?<host>\S*) (?<clock>{.*})`
	ShiVizDelimiter = `^=== (?<trace>.*) ===$`
)

// WriteShiViz writes a log for ShiViz (https://bestchai.bitbucket.io/shiviz/): of each event its text, and the vector
// stamp, computed over the events that are listed. Events of the network have no stamp and are left out.
func WriteShiViz(w io.Writer, runs []Execution, o ShiVizOptions) error {
	b := bufio.NewWriter(w)
	labels := map[string]bool{}
	for i, r := range runs {
		label := strings.Join(strings.Fields(r.Label), " ")
		if len(runs) > 1 && (label == "" || labels[label]) {
			return fmt.Errorf("trace: execution %d is labelled %q; expected labels that differ", i+1, label)
		}
		labels[label] = true
		if label != "" {
			fmt.Fprintf(b, "=== %s ===\n", label)
		}
		s := shiviz{run: &r, options: o, order: NewOrder(r.Events)}
		s.write(b)
	}
	return b.Flush()
}

type shiviz struct {
	run     *Execution
	options ShiVizOptions
	order   *Order
	lives   [][]stay // by lane
}

// A stay is a life of a node on its lane, with how many listed events there were up to its end.
type stay struct {
	inc protocol.Incarnation
	end uint32
}

func (s *shiviz) write(b *bufio.Writer) {
	keep := func(i int) bool { return s.options.Keep == nil || s.options.Keep(&s.run.Events[i]) }
	if s.options.Lives {
		s.findLives(keep)
	}
	var line []byte
	for i, v := range s.order.Vectors(keep) {
		e := &s.run.Events[i]
		text := Text(e, &s.run.Header) + " (t=" + ClockText(e.T) + ")"
		line = append(append(line[:0], strings.ReplaceAll(text, "\n", " ")...), '\n')
		line = append(append(line, s.host(e.Node, e.Inc)...), ' ')
		line = append(s.appendClock(line, v), '\n')
		b.Write(line) // the error stays in b
	}
}

// findLives counts the listed events of each life.
func (s *shiviz) findLives(keep func(i int) bool) {
	s.lives = make([][]stay, len(s.order.nodes))
	counts := make([]uint32, len(s.order.nodes))
	for i := range s.run.Events {
		l := s.order.lane[i]
		if l < 0 || !keep(i) {
			continue
		}
		counts[l]++
		lane := s.lives[l]
		if inc := s.run.Events[i].Inc; len(lane) == 0 || lane[len(lane)-1].inc != inc {
			s.lives[l] = append(lane, stay{inc: inc})
		}
		s.lives[l][len(s.lives[l])-1].end = counts[l]
	}
}

func (s *shiviz) host(node protocol.ID, inc protocol.Incarnation) string {
	if s.options.Lives {
		return fmt.Sprintf("n%d#%d", node, inc)
	}
	return "n" + node.String()
}

// appendClock writes a vector as JSON, without zero entries.
func (s *shiviz) appendClock(b []byte, v []uint32) []byte {
	b = append(b, '{')
	entry := func(host string, n uint32) {
		if n == 0 {
			return
		}
		if b[len(b)-1] != '{' {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), host...), `":`...)
		b = strconv.AppendUint(b, uint64(n), 10)
	}
	for l, n := range v {
		node := s.order.nodes[l]
		if !s.options.Lives {
			entry(s.host(node, 0), n)
			continue
		}
		before := uint32(0)
		for _, life := range s.lives[l] {
			entry(s.host(node, life.inc), min(n, life.end)-min(n, before))
			before = life.end
		}
	}
	return append(b, '}')
}
