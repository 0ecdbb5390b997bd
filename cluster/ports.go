package cluster

import (
	"hash/fnv"
	"net"
	"strconv"

	"ciranda.dev/protocol"
)

// Ports of a cluster lie one beside the other: of node 3, ten times 3 above the first one. They stay clear of those
// that systems give to outgoing connections: a node that redials a dead one could else be given the dead one's port.
const (
	perNode   = 10 // ports between one node's and the next one's
	firstPort = 20000
	lastPort  = 32000
	grid      = 100 // clusters begin at multiples of it
)

// The ports of a process, counted from its first one.
const (
	peerPort = iota
	grpcPort
	httpPort
	socketPort
)

// span is how many ports a cluster of n nodes and gateways extends over.
func span(n int) int { return (n + 1) * perNode }

// address is one of the ports of a node; those of node None are the supervisor's, those after the last node's the
// gateways'.
func address(first int, id protocol.ID, which int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(first+int(id)*perNode+which))
}

// busy gives a port of a cluster that is in use, or 0.
func busy(first, nodes int) int {
	for id := range nodes + 1 {
		for which := range socketPort + 1 {
			l, err := net.Listen("tcp", address(first, protocol.ID(id), which))
			if err != nil {
				return first + id*perNode + which
			}
			l.Close()
		}
	}
	return 0
}

// choosePorts gives the first port of a cluster: the one asked for, the one it had, or else others that are free. The
// search begins at a place that depends on the cluster's directory, so that clusters started at the same time seldom meet.
func choosePorts(dir string, nodes, asked, had int) (int, error) {
	if asked != 0 {
		if port := busy(asked, nodes); port != 0 {
			return 0, failure("choose others with --port, or leave it out", "port %d is in use", port)
		}
		return asked, nil
	}
	if had != 0 && busy(had, nodes) == 0 {
		return had, nil
	}
	h := fnv.New32a()
	h.Write([]byte(dir))
	places := (lastPort - firstPort - span(nodes)) / grid
	start := int(h.Sum32() % uint32(places))
	for i := range places {
		first := firstPort + (start+i)%places*grid
		if busy(first, nodes) == 0 {
			return first, nil
		}
	}
	return 0, failure("name the first of them with --port", "no %d free ports between %d and %d", span(nodes), firstPort, lastPort)
}
