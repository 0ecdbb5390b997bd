// Package docker runs scenarios on clusters in containers, each node in one of its own.
//
// [Place] is such a place. It drives a Docker engine with the command docker. Each run has fresh containers, volumes and
// networks, named run-PID-NUMBER-… and labelled ciranda.run=run-PID-NUMBER; none is left when the run ends, also when it
// is interrupted or its start fails. Every node has a certificate of an authority that lives as long as the run.
//
// The engine kills, pauses and starts nodes, and takes one that is cut off from all others off their network. What else
// happens to links, and what happens to disks and clocks, nodes do from within.
//
// It does not promise that a run is alone: other runs, and whatever else the machine does, take time from the nodes. Of
// a node that is killed, what it recorded in its last moments is missing. A run that is itself killed leaves what it has
// made. The engine must run on this very machine, since events bear the time of its kernel.
package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"ciranda.dev/scenario"
	"ciranda.dev/scenario/local"
	"ciranda.dev/trace"
)

// A Place is the Docker engine that the command docker finds. It is a [scenario.Place].
type Place struct {
	// Image is what containers are made of: one like that of the Dockerfile, whose entry point is ciranda and whose /data
	// belongs to the user 65532. Empty means one made of Program.
	Image string
	// Program is the file of the program that nodes run, with the command node: a static one for Linux. Empty means this
	// very program.
	Program string
}

// maxNodes is as many containers as a small machine still starts in time.
const maxNodes = 32

// Engine is scenario.Docker.
func (Place) Engine() scenario.Engine { return scenario.Docker }

// Nodes is how many containers a cluster may have.
func (Place) Nodes() (least, most int) { return 2, maxNodes }

// Supports says why something cannot be done to a container; nil if it can.
func (Place) Supports(a scenario.Action) error { return local.Place{}.Supports(a) }

// runs counts the clusters of this process.
var runs atomic.Int64

// Open starts a fresh cluster for a run of the scenario.
func (p Place) Open(ctx context.Context, s *scenario.Scenario, level trace.Level) (scenario.Live, error) {
	image, err := p.image(ctx)
	if err != nil {
		return nil, err
	}
	r, err := prepare(fmt.Sprintf("run-%d-%d", os.Getpid(), runs.Add(1)), image, s, level)
	if err == nil {
		err = r.startAll(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}
