package cluster

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ciranda.dev/node"
	"ciranda.dev/stacks"
)

// MaxNodes is the most nodes of a cluster on one machine.
const MaxNodes = 64

// A Shape is what a cluster is made of. It is kept, so that a cluster comes back as it was. Nodes, Election, Detector
// and App cannot change without wiping what the nodes have stored.
type Shape struct {
	Nodes    int    `json:"nodes"`    // 2 to MaxNodes; 5
	Election string `json:"election"` // one of stacks.Elections; the first of them
	Detector string `json:"detector"` // one of stacks.Detectors; the first of them
	Profile  string `json:"profile"`  // the name of a profile of timeouts; Local
	Port     int    `json:"port"`     // the first of its ports; 0: some that are free
	App      string `json:"app"`      // one of Apps; the first of them
	// Orders are those in which the nodes multicast as a group: stacks.AllOrders, names joined by +, or none.
	Orders string `json:"orders"`
	// Transport is what carries messages between nodes: one of node.Transports; the first of them. It may change.
	Transport string `json:"transport"`
	Insecure  bool   `json:"insecure"` // plain text and a token in place of certificates; as it is asked for each time
}

// noApp is the app of a cluster that has none, and its orders if it has no group.
const noApp = "none"

// Apps are the applications that a cluster may run.
var Apps = append(slices.Clone(stacks.Apps), noApp)

// filled is the shape with what it leaves open taken from another.
func (s Shape) filled(from Shape) Shape {
	return Shape{cmp.Or(s.Nodes, from.Nodes), cmp.Or(s.Election, from.Election), cmp.Or(s.Detector, from.Detector),
		cmp.Or(s.Profile, from.Profile), cmp.Or(s.Port, from.Port), cmp.Or(s.App, from.App), cmp.Or(s.Orders, from.Orders), cmp.Or(s.Transport, from.Transport),
		s.Insecure}
}

// defaults is the shape where neither the user nor the past says anything.
func defaults() Shape {
	return Shape{Nodes: 5, Election: stacks.Elections[0], Detector: stacks.Detectors[0], Profile: stacks.Local.Name, App: Apps[0],
		Orders: stacks.AllOrders, Transport: node.Transports[0]}
}

// Spec is the shape's stack.
func (s Shape) Spec() (stacks.Spec, error) {
	s = s.filled(defaults())
	p, err := stacks.ParseProfile(s.Profile)
	if err != nil {
		return stacks.Spec{}, err
	}
	spec := stacks.Spec{Detector: s.Detector, Election: s.Election, Profile: p, App: s.App, Orders: s.Orders}
	if s.App == noApp {
		spec.App = ""
	}
	if s.Orders == noApp {
		spec.Orders = ""
	}
	spec.Registry = spec.Orders != ""
	return spec, spec.Validate()
}

// validate says what is wrong with a filled shape.
func (s Shape) validate() error {
	if s.Nodes < 2 || s.Nodes > MaxNodes {
		return mistake("", "found %d nodes; expected 2 to %d", s.Nodes, MaxNodes)
	}
	if s.Detector == "oracle" {
		return mistake("the oracle is for the simulator", "the detector oracle cannot be used on real processes")
	}
	if s.Port != 0 && (s.Port < 1024 || s.Port+span(s.Nodes) > 65536) {
		return mistake("", "found the port %d; expected one from 1024 to %d", s.Port, 65536-span(s.Nodes))
	}
	if !slices.Contains(node.Transports, s.Transport) {
		return mistake("", "found the transport %.40q; expected %s", s.Transport, strings.Join(node.Transports, " or "))
	}
	if _, err := s.Spec(); err != nil {
		return mistake("", "%v", err)
	}
	return nil
}

// settle decides on the shape: what was asked for, else what the cluster was, else the defaults. It refuses one that
// does not fit what the nodes have stored.
func settle(name, dir string, asked Shape, fresh bool) (Shape, error) {
	was, known, err := kept(dir)
	if err != nil && !fresh {
		return was, err
	}
	if fresh {
		was = Shape{Port: was.Port}
	}
	s := asked.filled(was).filled(defaults())
	if err := s.validate(); err != nil {
		return s, err
	}
	if !fresh && known && (s.Nodes != was.Nodes || s.Election != was.Election || s.Detector != was.Detector || s.App != was.App ||
		s.Orders != was.Orders) {
		return s, mistake("--fresh forgets what it has stored; --name starts another one beside it",
			"the cluster %q is %s; it cannot become %s", name, was, s)
	}
	return s, nil
}

// kept is the shape that the cluster of a directory had, if it was one.
func kept(dir string) (was Shape, known bool, err error) {
	path := filepath.Join(dir, shapeFile)
	err = readJSON(path, &was)
	if errors.Is(err, fs.ErrNotExist) {
		return Shape{}, false, nil
	}
	if err == nil {
		was.App, was.Orders = cmp.Or(was.App, noApp), cmp.Or(was.Orders, noApp) // it is older than the first of them
		if err = was.filled(defaults()).validate(); err != nil {
			err = fmt.Errorf("cluster: %s: %w", path, err)
		}
	}
	if err != nil {
		return Shape{}, false, failure("--fresh makes it anew, and forgets what the nodes have stored", "%v", err)
	}
	return was, true, nil
}

func (s Shape) String() string {
	text := fmt.Sprintf("%d nodes with %s + %s", s.Nodes, s.Detector, s.Election)
	if s.Orders != noApp {
		text += " + group(" + s.Orders + ")"
	}
	if s.App != noApp {
		text += " + " + s.App
	}
	return text
}

// wipe removes what nodes have stored and logged.
func wipe(dir string) error {
	return errors.Join(os.RemoveAll(filepath.Join(dir, nodesDir)), os.RemoveAll(filepath.Join(dir, logsDir)))
}
