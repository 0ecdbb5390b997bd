package local

import (
	"ciranda.dev/cluster"
	"ciranda.dev/scenario"
)

// Cluster gives a run's name and its supervisor.
func Cluster(l scenario.Live) (string, *cluster.Supervisor) {
	r := l.(*running)
	return r.name, r.supervisor
}

// ShapeOf is that of the scenario's cluster.
var ShapeOf = shape
