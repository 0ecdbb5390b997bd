// Package scenario reads an experiment from a file and runs it on an engine.
//
// A scenario is a cluster, a network, steps that happen to them, and what is expected. [Parse] reads one and refuses
// every mistake with its line and column before anything starts: what it accepts can be run. [Simulate] runs it over
// many seeds in the simulator, [RunLive] once or more on a cluster of real processes; both give a [Report], whose
// [Verdict] is that of the whole scenario.
//
// What it does not promise: that one run on real processes shows what a thousand simulated ones showed; that a
// scenario that holds would hold over more seeds; that the order of two steps with the same time and a condition
// between them is more than the order in which they are written.
package scenario

import (
	"maps"
	"slices"
	"strings"
	"time"

	"ciranda.dev/check"
	"ciranda.dev/engine/network"
)

// An Engine is a place where a scenario runs.
type Engine string

// The engines.
const (
	Sim     Engine = "sim"     // the simulator
	Local   Engine = "local"   // real processes on this machine
	Docker  Engine = "docker"  // containers
	Explore Engine = "explore" // every schedule, up to a bound
)

// Engines are all engines, in the order in which people are told of them.
var Engines = []Engine{Sim, Local, Docker, Explore}

// A Scenario is an experiment. What Parse gives is complete: defaults are filled in.
type Scenario struct {
	File  string // where it came from
	Text  string // of the file
	Name  string // its title; by default the file's name without folder and ending
	About string // what to look at, for people; may be empty

	Cluster Cluster
	Network network.Link // what every link is like until the calm, unless a step changes it; by default 1ms..10ms, no loss
	Own     LinkChange   // what the file itself says of the network: all that live engines change on their links

	Steps    []Step        // in order
	Calm     time.Duration // from when on nothing is done to the cluster; 0 means once the last step is done
	Duration time.Duration // how long a run lasts

	Expect   []Expectation // what must hold in every run
	Violates []Expectation // what must be seen violated: the lesson

	Runs   int // how many seeds the simulator runs; 1000 by default
	On     []Engine
	Bounds Bounds // for the explorer
}

// A Cluster is what the experiment is done to.
type Cluster struct {
	Nodes    int // 1 to 10,000; their ids count from 1
	Detector Detector
	Election Election
	Profile  string // the place whose timeouts are the defaults: Local, LAN, WAN or Lab; empty means the engine's own
	Orders   string // of the group's messages: all, or names joined by +; empty: no group
	Registry bool   // the group keeps names of remote objects
	App      string // one of stacks.Apps, or empty: none
}

// A Detector is the failure detector at the bottom of every node. Zero durations mean the profile's.
type Detector struct {
	Kind     string        // heartbeat, ring or oracle
	Interval time.Duration // between two heartbeats
	Timeout  time.Duration // silence after which a node is suspected
	Verify   time.Duration // how long a node whose connection closed has to answer a probe
}

// An Election is the protocol by which a leader is chosen. Zero durations mean the profile's.
type Election struct {
	Kind string // bully, with +stable, +quorum or both; bully-classic; none

	Answer      time.Duration // how long a candidate waits for a higher node's answer
	Coordinator time.Duration // how long it then waits for the winner
	Beat        time.Duration // between two beats of a leader
	Silence     int           // beats without one, after which a leader is given up; 0 means the profile's, or what the timeout needs
}

// A Step is something that is done at its time or when its condition holds, but never before the step written above
// it is done.
type Step struct {
	At   time.Duration // since all nodes were started; without meaning if there is a condition
	When Condition
	Do   Action
	Line int // where it is written
}

// A Condition is what a step waits for. The zero Condition is none.
type Condition struct {
	Kind  ConditionKind
	Nodes Nodes         // of Suspected
	After time.Duration // how long the step waits on, once it has come true
}

// A ConditionKind is what a condition looks at.
type ConditionKind string

// The conditions.
const (
	Elected   ConditionKind = "elected"   // every node that is up and not paused has the same leader, and it is one of them
	Suspected ConditionKind = "suspected" // some node that is up and not paused suspects all of Nodes
	Grouped   ConditionKind = "grouped"   // every node that is up, not paused and has not left is in the group's last view, and nobody else
)

// An Expectation is a property with its parameters. A parameter that the file does not name is not in the map.
type Expectation struct {
	Property   string
	Parameters check.Params
	Line       int // where it is written
}

// String is the property as the file writes it.
func (e Expectation) String() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(e.Parameters)) {
		parts = append(parts, name+": "+e.Parameters[name].String())
	}
	if parts == nil {
		return e.Property
	}
	return e.Property + ": {" + strings.Join(parts, ", ") + "}"
}

// Bounds are how far the explorer goes. A zero bound is none of that fault.
type Bounds struct {
	Crashes    int // 1 by default
	Losses     int // 1 by default
	Duplicates int
	Hints      int    // false hints of a closed connection
	Suspicions int    // wrong suspicions; 2 by default
	Depth      int    // steps; 60 by default
	Mode       string // timed or untimed; untimed by default
}

// Allows says whether the scenario makes sense on an engine.
func (s *Scenario) Allows(e Engine) bool {
	return slices.Contains(s.On, e)
}
