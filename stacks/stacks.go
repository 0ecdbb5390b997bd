// Package stacks builds the stacks that Ciranda ships, by name: a failure detector and an election over it, with the
// timeouts of a profile, and an application on top if one is asked for. An application talks over perfect links, and
// snapshots can be taken of it; what the detector and the election send does not wait for the links.
//
// It refuses settings that contradict one another, with the formula that they break, and tells every derived bound as
// a formula with its value ([Spec.Bounds]). The bounds hold as far as the profile's delay does.
package stacks

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"ciranda.dev/app/bank"
	"ciranda.dev/app/board"
	"ciranda.dev/app/counter"
	"ciranda.dev/app/hosted"
	"ciranda.dev/app/references"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector/heartbeat"
	"ciranda.dev/protocol/detector/oracle"
	"ciranda.dev/protocol/detector/ring"
	"ciranda.dev/protocol/dgc"
	"ciranda.dev/protocol/election"
	"ciranda.dev/protocol/election/bully"
	"ciranda.dev/protocol/invocation"
	"ciranda.dev/protocol/link"
	"ciranda.dev/protocol/snapshot"
	"ciranda.dev/protocol/transfer"
)

// A Spec names a stack. The zero Spec is heartbeat and bully with the profile Local.
type Spec struct {
	Detector string  // heartbeat (the default), ring or oracle
	Election string  // bully (the default) with +stable, +quorum or both, bully-classic, or none
	Profile  Profile // zero means Local
	App      string  // one of Apps, Hosted or none: empty
	Orders   string  // in which a group's members multicast: AllOrders, or names joined by +; empty: there is no group
	// Registry has a group's members keep names of remote objects.
	Registry bool
	// Datagrams has a group's members broadcast to each other what fits, where the network carries that.
	Datagrams bool
	Notes     bool // the links note all that they carry, as the checks of links need it: it costs time

	// These override the profile's, if they are not zero.
	Interval, Timeout, Verify time.Duration
}

// The names that a Spec may have.
var (
	Detectors = []string{"heartbeat", "ring", "oracle"}
	Elections = []string{"bully", "bully+stable", "bully+quorum", "bully+stable+quorum", "bully-classic", "none"}
	Apps      = []string{"bank", "board", "counter", "counter-at-least-once", "counter-maybe", "counter-durable", "references"}
)

// Hosted is the application of nodes whose program is outside of the stack: see package hosted. Only Go code can be one.
const Hosted = "hosted"

// Requests are what a client may ask of a shipped stack, by name.
var Requests = map[string]any{"elect": election.Campaign{}, "snapshot": snapshot.Take{}}

// Filled is the spec with its defaults in place, and the profile with what overrides it.
func (s Spec) Filled() Spec {
	s.Detector = cmp.Or(s.Detector, Detectors[0])
	s.Election = cmp.Or(s.Election, Elections[0])
	if s.Profile.Name == "" {
		s.Profile = Local
	}
	s.Profile.Interval = cmp.Or(s.Interval, s.Profile.Interval)
	s.Profile.Timeout = cmp.Or(s.Timeout, s.Profile.Timeout)
	s.Profile.Verify = cmp.Or(s.Verify, s.Profile.Verify)
	s.Interval, s.Timeout, s.Verify = 0, 0, 0
	return s
}

// Has says whether the election has an option, such as "quorum".
func (s Spec) Has(option string) bool {
	return slices.Contains(strings.FieldsFunc(s.Filled().Election, func(r rune) bool { return r == '+' || r == '-' })[1:], option)
}

// Validate says what is wrong with the spec: an unknown name, or settings that contradict one another.
func (s Spec) Validate() error {
	s = s.Filled()
	if !slices.Contains(Detectors, s.Detector) {
		return fmt.Errorf("found the detector %q; expected %s", s.Detector, strings.Join(Detectors, ", "))
	}
	if !slices.Contains(Elections, s.Election) {
		return fmt.Errorf("found the election %q; expected %s", s.Election, strings.Join(Elections, ", "))
	}
	if s.App != "" && s.App != Hosted && !slices.Contains(Apps, s.App) {
		return fmt.Errorf("found the app %q; expected %s, or none", s.App, strings.Join(Apps, ", "))
	}
	if orders, err := s.orders(); err != nil {
		return err
	} else if s.App == "board" && (s.Orders == "" || orders != nil && !slices.Contains(orders, board.Lane.Order)) {
		return fmt.Errorf("found the app board with the orders %q; expected %s, or some with %s", s.Orders, AllOrders, board.Lane.Order)
	}
	if s.Registry && s.Orders == "" {
		return fmt.Errorf("found a registry without orders; expected %s, or some: the registry is a group's", AllOrders)
	}
	p := s.Profile
	if err := s.heartbeat().Validate(); err != nil {
		return err
	}
	if s.Election == "none" {
		return nil
	}
	return s.bully().Validate(p.Delay, p.Timeout)
}

// Links says whether there is a link layer: calls and references send again by themselves what they must.
func (s Spec) Links() bool { return s.App != "" && !s.Calls() && !s.References() || s.Orders != "" }

// Build makes a node's stack.
func (s Spec) Build(self protocol.Self) (*protocol.Stack, error) {
	s = s.Filled()
	layers := []protocol.Layer{s.detector()}
	if s.Links() {
		layers = append(layers, link.New(s.link()))
	}
	if s.Election != "none" {
		layers = append(layers, bully.New(s.bully()))
	}
	layers = append(layers, s.groupLayers()...)
	layers = append(layers, s.appLayers()...)
	return protocol.NewStack(self, layers...)
}

// appLayers are the application, and what brings it pictures and the state of others.
func (s Spec) appLayers() (layers []protocol.Layer) {
	if s.Transfers() {
		layers = append(layers, transfer.New(s.Transfer()))
	}
	if s.Pictures() {
		layers = append(layers, snapshot.New(s.Snapshot()))
	}
	switch s.App {
	case "bank":
		layers = append(layers, &account{bank.New(s.Bank())})
	case "board":
		layers = append(layers, board.New(board.Options{}))
	case Hosted:
		layers = append(layers, hosted.New(hosted.Options{}))
	}
	if s.Calls() {
		layers = append(layers, invocation.New(s.Invocation()), counter.New(s.Counter()))
	}
	if s.References() {
		layers = append(layers, dgc.New(s.Leases()), references.New(s.Holder()))
	}
	return layers
}

func (s Spec) detector() protocol.Layer {
	p := s.Profile
	switch s.Detector {
	case "ring":
		return ring.New(ring.Options{Interval: p.Interval, Timeout: p.Timeout, Verify: p.Verify, Delay: p.Delay})
	case "oracle":
		return oracle.New(oracle.Options{})
	default:
		return heartbeat.New(s.heartbeat())
	}
}

func (s Spec) heartbeat() heartbeat.Options {
	p := s.Profile
	return heartbeat.Options{Interval: p.Interval, Timeout: p.Timeout, Verify: p.Verify, Delay: p.Delay}
}

func (s Spec) bully() bully.Options {
	p := s.Profile
	return bully.Options{
		Answer: p.Answer, Coordinator: p.Coordinator, Ask: p.Ask, Grant: p.Grant, Beat: p.Beat, Silence: p.Silence,
		Stable: s.Has("stable"), Quorum: s.Has("quorum"), Classic: s.Has("classic"),
	}
}

// Text is what the nodes of a cluster must agree on, in words. Timeouts are not among it: they may be tuned.
func (s Spec) Text() string {
	s = s.Filled()
	text := s.Detector + " + " + s.Election
	if s.Orders != "" {
		text += " + group(" + s.Orders + ")"
	}
	if s.Registry {
		text += " + registry"
	}
	if s.App != "" {
		text += " + " + s.App
	}
	return text
}
