package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/protocol"
	"ciranda.dev/trace"
)

// MaxGateways is the most gateways of a cluster on one machine.
const MaxGateways = 8

// gatewayParty is the name of the gateway of a number, from 1: in credentials, requests and files.
func gatewayParty(number int) string { return "gateway-" + strconv.Itoa(number) }

// makeSlots makes the slots of all processes. The gateways' ports come after the nodes'.
func (s *Supervisor) makeSlots() {
	down := cirandav1.NodeState_NODE_STATE_DOWN
	for id := range s.shape.Nodes {
		s.slots = append(s.slots, &slot{id: protocol.ID(id + 1), state: down})
	}
	for i := range s.cfg.Gateways {
		s.gateways = append(s.gateways, &slot{id: protocol.ID(s.shape.Nodes + 1 + i), gateway: gatewayParty(i + 1), state: down})
	}
}

// all are the slots of nodes and gateways.
func (s *Supervisor) all() []*slot { return slices.Concat(s.slots, s.gateways) }

// String names what is in the slot, in words.
func (s *slot) String() string {
	if s.gateway != "" {
		return s.gateway
	}
	return "node " + s.id.String()
}

// word is how a command names it.
func (s *slot) word() string {
	if s.gateway != "" {
		return s.gateway
	}
	return s.id.String()
}

// gatewayArguments are those of a gateway's process.
func (s *Supervisor) gatewayArguments(slot *slot) []string {
	var nodes []string
	for _, n := range s.slots {
		nodes = append(nodes, n.id.String()+"="+s.address(n.id, grpcPort))
	}
	args := []string{"gateway", "--until-stdin-ends", "--cluster", s.cfg.Name, "--name", slot.gateway,
		"--nodes", strings.Join(nodes, ","), "--grpc", s.address(slot.id, grpcPort), "--http", s.address(slot.id, httpPort)}
	return append(append(args, s.serves(slot.id)...), s.shows(slot.gateway)...)
}

// awaitGateway waits until a new gateway answers; it need not reach a node yet.
func awaitGateway(ctx context.Context, c *api.Client) error {
	_, err := c.Echo.Echo(ctx, &cirandav1.EchoRequest{}, grpc.WaitForReady(true))
	return err
}

// gatewayStatus is what is known of the gateways, without asking them.
func (s *Supervisor) gatewayStatus() []*cirandav1.GatewayStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*cirandav1.GatewayStatus
	for _, g := range s.gateways {
		known := &cirandav1.GatewayStatus{Name: g.gateway, State: g.state, Problem: g.problem,
			GrpcAddress: s.address(g.id, grpcPort), HttpAddress: s.address(g.id, httpPort), SocketAddress: s.socket(g.id)}
		if g.process != nil {
			known.Pid = uint32(g.process.pid())
		}
		all = append(all, known)
	}
	return all
}

// A GatewayEndpoint is where a gateway answers, while it is up.
type GatewayEndpoint struct {
	Name string `json:"name"`
	GRPC string `json:"grpc"`
	HTTP string `json:"http"`
	// Socket is its port for plain sockets; empty if it has none.
	Socket string `json:"socket,omitempty"`
}

func (s *Supervisor) gatewayEndpoints() []GatewayEndpoint {
	all := []GatewayEndpoint{}
	for _, g := range s.gateways {
		all = append(all, GatewayEndpoint{g.gateway, s.address(g.id, grpcPort), s.address(g.id, httpPort), s.socket(g.id)})
	}
	return all
}

// GatewayAddresses are the gRPC addresses of the cluster's gateways, HOST:PORT,…; empty if it has none.
func (e Endpoint) GatewayAddresses() string {
	var all []string
	for _, g := range e.Gateways {
		all = append(all, g.GRPC)
	}
	return strings.Join(all, ",")
}

// SocketAddresses are the ports for plain sockets of the cluster's gateways, HOST:PORT,…; empty if it has none.
func (e Endpoint) SocketAddresses() string {
	var all []string
	for _, g := range e.Gateways {
		if g.Socket != "" {
			all = append(all, g.Socket)
		}
	}
	return strings.Join(all, ",")
}

// split takes the gateways out of the words of a request: gateway-1, or gateway for the only one. The rest is about nodes.
func (s *Supervisor) split(text string) (nodes string, gateways []*slot, err error) {
	var rest []string
	for word := range strings.SplitSeq(text, ",") {
		name := strings.TrimSpace(word)
		if !strings.HasPrefix(name, "gateway") {
			rest = append(rest, word)
			continue
		}
		i := slices.IndexFunc(s.gateways, func(g *slot) bool { return g.gateway == name })
		if name == "gateway" && len(s.gateways) == 1 {
			i = 0
		}
		if i < 0 {
			return "", nil, s.unknownGateway(name)
		}
		if !slices.Contains(gateways, s.gateways[i]) {
			gateways = append(gateways, s.gateways[i])
		}
	}
	return strings.Join(rest, ","), gateways, nil
}

func (s *Supervisor) unknownGateway(name string) error {
	var names []string
	for _, g := range s.gateways {
		names = append(names, g.gateway)
	}
	e := api.Wrong("nodes", "unknown gateway %.40q", name)
	if e.Hint = "the gateways are " + strings.Join(names, ", "); len(names) == 0 {
		e.Hint = "this cluster has none; up --gateways N starts it with some"
	}
	return e
}

// gatewayNote is what the stream tells of a gateway's process.
func gatewayNote(k trace.Kind, name string) trace.Event {
	done := map[trace.Kind]string{trace.Crash: "ended without notice", trace.Pause: "stands still", trace.Resume: "goes on"}
	return trace.Event{Kind: trace.Fault, Data: trace.FaultNote{Text: fmt.Sprintf("%s %s", name, done[k])}}
}

// errFrozen says that a gateway cannot be paused from within.
var errFrozen = errors.New("a gateway cannot be paused on this system")
