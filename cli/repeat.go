package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"ciranda.dev/replay"
	"ciranda.dev/trace"
)

// replayRun does a recorded run again and says what it shows.
func replayRun(cmd *cobra.Command, path string) error {
	t, err := readTrace(path)
	if err != nil {
		return err
	}
	if len(t.Header.Steps) == 0 || t.Header.Script == "" {
		return mistake{fmt.Sprintf("%s does not hold the steps of a run; expected a trace of the simulator", path),
			"ciranda replay shows any trace"}
	}
	p, err := replay.New(t)
	if err != nil {
		return err
	}
	if err := p.Repeats(); err != nil {
		return err
	}
	if err := show(cmd, repeatedOf(p), func(w io.Writer) { writeRepeated(w, p) }); err != nil {
		return err
	}
	if p.Violation != nil {
		return errShown
	}
	return nil
}

// repeatedJSON is the object of run --replay -o json.
type repeatedJSON struct {
	Steps     int      `json:"steps"`    // all of them led to the same trace again
	Violated  *string  `json:"violated"` // a property
	Why       *string  `json:"why"`
	Witnesses []string `json:"witnesses"` // the events that show it
}

func repeatedOf(p *replay.Player) repeatedJSON {
	h := &p.Trace.Header
	r := repeatedJSON{Steps: len(h.Steps), Witnesses: []string{}}
	if v := p.Violation; v != nil {
		r.Violated, r.Why = &v.Property, &v.Why
		for _, e := range v.Witnesses {
			r.Witnesses = append(r.Witnesses, trace.Line(&e, h))
		}
	}
	return r
}

func writeRepeated(w io.Writer, p *replay.Player) {
	r := repeatedOf(p)
	if r.Violated == nil {
		fmt.Fprintf(w, "%d steps, the same trace again; nothing is violated\n", r.Steps)
		return
	}
	fmt.Fprintf(w, "%d steps, the same trace again\nviolated: %s: %s\n", r.Steps, *r.Violated, *r.Why)
	for _, line := range r.Witnesses {
		fmt.Fprintln(w, "  "+line)
	}
}
