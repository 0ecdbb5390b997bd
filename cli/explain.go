package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"ciranda.dev/cluster"
	"ciranda.dev/stacks"
)

func newExplain() *cobra.Command {
	var shape cluster.Shape
	cmd := &cobra.Command{
		Use:   "explain",
		Short: "How the timeouts follow from one another",
		Long: "Explain prints every derived timeout as a formula with its value: how long until a crash is noticed, until\n" +
			"a leader is replaced. They hold as far as messages take no longer than the profile assumes.",
		Example: "  ciranda explain\n  ciranda explain --election bully+quorum --profile WAN",
		Args:    arguments(0, 0, "none"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			spec, err := shape.Spec()
			if err != nil {
				return mistake{err.Error(), ""}
			}
			return show(cmd, explanationOf(spec), func(w io.Writer) { writeExplanation(w, spec) })
		},
	}
	stackFlags(cmd, &shape)
	return cmd
}

// explanationJSON is the object of explain -o json.
type explanationJSON struct {
	Stack   string      `json:"stack"`
	Profile string      `json:"profile"`
	Bounds  []boundJSON `json:"bounds"`
}

type boundJSON struct {
	Name    string  `json:"name"`
	Formula string  `json:"formula"`
	Seconds float64 `json:"value_s"`
	Meaning string  `json:"meaning"`
}

func explanationOf(s stacks.Spec) explanationJSON {
	e := explanationJSON{Stack: s.Text(), Profile: s.Filled().Profile.String(), Bounds: []boundJSON{}}
	for _, b := range s.Bounds() {
		e.Bounds = append(e.Bounds, boundJSON{b.Name, b.Formula, b.Value.Seconds(), b.Meaning})
	}
	return e
}

func writeExplanation(w io.Writer, s stacks.Spec) {
	p := s.Filled().Profile
	fmt.Fprintf(w, "%s, profile %s: a message takes at most %s\n\n", s.Text(), p, p.Delay)
	for _, b := range s.Bounds() {
		fmt.Fprintf(w, "%s: %s = %s\n    %s\n", b.Name, b.Value, b.Formula, b.Meaning)
	}
}
