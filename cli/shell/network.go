package shell

import (
	"context"
	"slices"
	"time"

	"google.golang.org/grpc/codes"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
)

func network(ctx context.Context, s *shell, _ []string) error {
	r, err := s.status(ctx)
	if err != nil {
		return err
	}
	quiet := true
	for _, n := range r.GetNodes() {
		if state(n) != "up" {
			s.out.sayAs(bad, "node %d is %s", n.GetId(), state(n))
			quiet = false
		}
		if by := suspectedBy(r, n.GetId()); len(by) > 0 {
			s.out.sayAs(bad, "node %d is suspected by %s", n.GetId(), list(by))
			quiet = false
		}
	}
	if quiet {
		s.out.sayAs(good, "all %d nodes are up, and nobody suspects another", len(r.GetNodes()))
	}
	s.sayFaults(r)
	for _, g := range r.GetGateways() {
		s.out.say("%s at %s is %s", g.GetName(), g.GetGrpcAddress(), gatewayState(g))
	}
	if r.GetInsecure() {
		s.out.sayAs(bad, "insecure: traffic is not encrypted")
	} else {
		s.out.say("traffic is encrypted; each party shows a certificate")
	}
	return s.sayRoundTrip(ctx)
}

func (s *shell) sayFaults(r *cirandav1.StatusResponse) {
	for _, f := range r.GetFaults() {
		s.out.say("fault: %s", f)
	}
	if len(r.GetFaults()) == 0 {
		s.out.say("no fault is set on the links")
	}
}

func gatewayState(g *cirandav1.GatewayStatus) string {
	switch {
	case g.GetProblem() != "":
		return "down: " + g.GetProblem()
	case g.GetState() == cirandav1.NodeState_NODE_STATE_PAUSED:
		return "paused"
	case g.GetState() == cirandav1.NodeState_NODE_STATE_DOWN:
		return "down"
	default:
		return "up"
	}
}

// echoes is how many calls the time of one is taken from.
const echoes = 20

// sayRoundTrip measures what a call to the server at the other end takes.
func (s *shell) sayRoundTrip(ctx context.Context) error {
	var took []time.Duration
	for range echoes {
		began := time.Now()
		_, err := read(ctx, s, func(ctx context.Context, to *Connection) (*cirandav1.EchoResponse, error) {
			return to.Echo.Echo(ctx, &cirandav1.EchoRequest{Payload: []byte("ciranda")})
		})
		if err != nil {
			return err
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	s.out.say("a call to %s over %s takes %s, the slowest of %d %s", s.to.Name, s.via,
		took[echoes/2].Round(time.Microsecond), echoes, took[echoes-1].Round(time.Microsecond))
	return nil
}

// streams says that a command needs what the middleware does not have.
func (s *shell) streams() error {
	if s.to.Events != nil {
		return nil
	}
	return &api.Error{Code: codes.Unimplemented, Text: "events come as a stream, and " + s.via + " has none", Hint: "use grpc"}
}
