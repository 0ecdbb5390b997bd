package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"ciranda.dev/scenario"
	"ciranda.dev/scenarios"
)

// listedJSON is a line of run --list -o json.
type listedJSON struct {
	Name  string `json:"name"`
	Title string `json:"title"`
}

func listScenarios(cmd *cobra.Command, engine scenario.Engine, place scenario.Place) error {
	for _, name := range scenarios.List() {
		s, err := scenarios.Open(name)
		if err != nil {
			return err
		}
		if !s.Allows(engine) || place != nil && s.Refuses(place) != nil {
			continue
		}
		switch {
		case wantsJSON(cmd):
			err = printJSON(cmd.OutOrStdout(), listedJSON{name, s.Name})
		case onTerminal():
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%-24s %s\n", name, s.Name)
		default:
			_, err = fmt.Fprintln(cmd.OutOrStdout(), name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
