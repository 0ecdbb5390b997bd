// Package scenarios holds the experiments that Ciranda ships, so that they can be run by name: one file each, which
// says for people what to look at.
//
// Each is run by the tests over many seeds and gives the verdict that it states. None promises anything about seeds
// that were not run.
package scenarios

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"

	"ciranda.dev/scenario"
)

//go:embed *.yaml
var files embed.FS

const ending = ".yaml"

// List gives the names of all experiments, in alphabetical order.
func List() []string {
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		panic(fmt.Sprintf("scenarios: %v", err)) // what was compiled in can be read
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = strings.TrimSuffix(e.Name(), ending)
	}
	return names
}

// Read gives the text of an experiment.
func Read(name string) ([]byte, error) {
	data, err := files.ReadFile(name + ending)
	if err != nil {
		return nil, fmt.Errorf("found no experiment %q; expected one of %s", name, strings.Join(List(), ", "))
	}
	return data, nil
}

// Open reads an experiment by its name.
func Open(name string) (*scenario.Scenario, error) {
	data, err := Read(name)
	if err != nil {
		return nil, err
	}
	return scenario.Parse(name, data)
}
