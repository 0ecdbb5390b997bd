package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/cluster"
)

func newStatus() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Who is alive, who leads, and why nobody does",
		Example: "  ciranda status\n  ciranda status -o json | jq .leader",
		Args:    arguments(0, 0, "none"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.with(cmd.Context(), func(ctx context.Context, c *api.Client) error {
				s, err := c.Cluster.Status(ctx, &cirandav1.StatusRequest{})
				if err != nil {
					return err
				}
				return show(cmd, statusOf(s), func(w io.Writer) { writeStatus(w, s) })
			})
		},
	}
	t.flags(cmd)
	return cmd
}

// clusterJSON is the object of status -o json. What is absent is null.
type clusterJSON struct {
	Cluster       string     `json:"cluster"`
	Insecure      bool       `json:"insecure"`
	Leader        *uint32    `json:"leader"`
	Term          *termJSON  `json:"term"`
	WhyNoLeader   *string    `json:"why_no_leader"`
	Nodes         []nodeJSON `json:"nodes"`
	Faults        []string   `json:"faults"`
	Stack         string     `json:"stack"`
	SupervisorPID *uint32    `json:"supervisor_pid"`

	Gateways []gatewayJSON `json:"gateways"`
}

type gatewayJSON struct {
	Name          string  `json:"name"`
	State         string  `json:"state"` // up, down or paused
	GRPCAddress   *string `json:"grpc_address"`
	HTTPAddress   *string `json:"http_address"`
	SocketAddress *string `json:"socket_address"`
	PID           *uint32 `json:"pid"`
	Problem       *string `json:"problem"`
}

type termJSON struct {
	Counter uint64 `json:"counter"`
	Leader  uint32 `json:"leader"`
}

type nodeJSON struct {
	ID            uint32    `json:"id"`
	State         string    `json:"state"` // up, down or paused
	PeerAddress   *string   `json:"peer_address"`
	GRPCAddress   *string   `json:"grpc_address"`
	HTTPAddress   *string   `json:"http_address"`
	SocketAddress *string   `json:"socket_address"`
	PID           *uint32   `json:"pid"`
	Incarnation   *uint32   `json:"incarnation"`
	Leader        *uint32   `json:"leader"`
	Term          *termJSON `json:"term"`
	LeaderLost    bool      `json:"leader_lost"`
	Lamport       *uint64   `json:"lamport"`
	Suspects      []uint32  `json:"suspects"`
	Phase         *string   `json:"phase"`
	Problem       *string   `json:"problem"`
	Refused       uint64    `json:"refused"`
	View          *uint64   `json:"view"`        // the last of the group that it installed
	Coordinator   *uint32   `json:"coordinator"` // of that view
	Member        bool      `json:"member"`      // whether it is in the group now
	Blocked       *string   `json:"blocked"`     // why the group stands still there
}

// orNull is nil for a zero value.
func orNull[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

func termOf(t *cirandav1.Term) *termJSON {
	if t.GetCounter() == 0 {
		return nil
	}
	return &termJSON{t.GetCounter(), t.GetLeader()}
}

func statusOf(s *cirandav1.StatusResponse) clusterJSON {
	c := clusterJSON{
		Cluster: s.GetCluster(), Insecure: s.GetInsecure(), Leader: orNull(s.GetLeader()), Term: termOf(s.GetTerm()),
		WhyNoLeader: orNull(s.GetWhyNoLeader()), Nodes: []nodeJSON{}, Faults: append([]string{}, s.GetFaults()...),
		Stack: s.GetStack(), SupervisorPID: orNull(s.GetSupervisorPid()),
		Gateways: []gatewayJSON{},
	}
	for _, g := range s.GetGateways() {
		c.Gateways = append(c.Gateways, gatewayJSON{
			Name: g.GetName(), State: cluster.StateName(g.GetState()), GRPCAddress: orNull(g.GetGrpcAddress()),
			HTTPAddress: orNull(g.GetHttpAddress()), SocketAddress: orNull(g.GetSocketAddress()),
			PID: orNull(g.GetPid()), Problem: orNull(g.GetProblem()),
		})
	}
	for _, n := range s.GetNodes() {
		c.Nodes = append(c.Nodes, nodeJSON{
			ID: n.GetId(), State: cluster.StateName(n.GetState()),
			PeerAddress: orNull(n.GetPeerAddress()), GRPCAddress: orNull(n.GetGrpcAddress()), HTTPAddress: orNull(n.GetHttpAddress()),
			SocketAddress: orNull(n.GetSocketAddress()), PID: orNull(n.GetPid()), Incarnation: orNull(n.GetIncarnation()), Leader: orNull(n.GetLeader()),
			Term: termOf(n.GetTerm()), LeaderLost: n.GetLeaderLost(), Lamport: orNull(n.GetLamport()),
			Suspects: append([]uint32{}, n.GetSuspects()...), Phase: orNull(n.GetPhase()), Problem: orNull(n.GetProblem()),
			Refused: n.GetRefused(),
			View:    orNull(n.GetView()), Coordinator: orNull(n.GetCoordinator()), Member: n.GetMember(), Blocked: orNull(n.GetBlocked()),
		})
	}
	return c
}

// writeStatus prints a status for people.
func writeStatus(w io.Writer, s *cirandav1.StatusResponse) {
	fmt.Fprintf(w, "%s: %s\n", s.GetCluster(), leaderWords(s))
	if s.GetInsecure() {
		fmt.Fprintln(w, insecureWords)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	heads := []string{"NODE", "STATE", "LEADER", "TERM", "VIEW", "SUSPECTS", "LAMPORT", "LIFE", "PID", "PEERS", "GRPC", "HTTP"}
	sockets := slices.ContainsFunc(s.GetNodes(), func(n *cirandav1.NodeStatus) bool { return n.GetSocketAddress() != "" })
	if sockets {
		heads = append(heads, "SOCKET")
	}
	fmt.Fprintln(table, strings.Join(heads, "\t"))
	for _, n := range s.GetNodes() {
		cells := []string{number(n.GetId()), cluster.StateName(n.GetState()), leaderCell(n), termCell(n.GetTerm()), viewCell(n), suspectsCell(n),
			number(n.GetLamport()), number(n.GetIncarnation()), number(n.GetPid()),
			n.GetPeerAddress(), n.GetGrpcAddress(), n.GetHttpAddress()}
		if sockets {
			cells = append(cells, n.GetSocketAddress())
		}
		fmt.Fprintln(table, strings.Join(cells, "\t"))
	}
	table.Flush()
	for _, g := range s.GetGateways() {
		fmt.Fprintln(w, gatewayLine(g))
	}
	for _, n := range s.GetNodes() {
		if n.GetProblem() != "" {
			fmt.Fprintf(w, "node %d: %s\n", n.GetId(), n.GetProblem())
		}
	}
	writeBlocked(w, s.GetNodes())
	for _, f := range s.GetFaults() {
		fmt.Fprintf(w, "fault: %s\n", f)
	}
}

// writeBlocked says where the group stands still, and why: "node 3: the group stands still: …".
func writeBlocked(w io.Writer, nodes []*cirandav1.NodeStatus) {
	where := map[string][]uint32{}
	var whys []string
	for _, n := range nodes {
		if why := n.GetBlocked(); why != "" {
			if where[why] == nil {
				whys = append(whys, why)
			}
			where[why] = append(where[why], n.GetId())
		}
	}
	for _, why := range whys {
		at := "node "
		if len(where[why]) > 1 {
			at = "nodes "
		}
		fmt.Fprintf(w, "%s%s: %s\n", at, numbers(where[why]), blockadeWords(why))
	}
}

// insecureWords are told of a cluster without certificates, wherever it is looked at.
const insecureWords = "INSECURE: what is sent can be read and changed on its way"

// gatewayLine tells of a gateway: "gateway-1 up, pid 71, gRPC 127.0.0.1:26061, HTTP 127.0.0.1:26062".
func gatewayLine(g *cirandav1.GatewayStatus) string {
	line := g.GetName() + " " + cluster.StateName(g.GetState())
	if g.GetPid() != 0 {
		line += ", pid " + number(g.GetPid())
	}
	for _, port := range []struct{ name, address string }{{"gRPC", g.GetGrpcAddress()}, {"HTTP", g.GetHttpAddress()}, {"socket", g.GetSocketAddress()}} {
		if port.address != "" {
			line += ", " + port.name + " " + port.address
		}
	}
	if g.GetProblem() != "" {
		line += ": " + g.GetProblem()
	}
	return line
}

func leaderWords(s *cirandav1.StatusResponse) string {
	switch {
	case s.GetLeader() == 0:
		return "no leader: " + s.GetWhyNoLeader()
	case s.GetTerm() == nil:
		return fmt.Sprintf("node %d leads", s.GetLeader())
	default:
		return fmt.Sprintf("node %d leads (term %s)", s.GetLeader(), termCell(s.GetTerm()))
	}
}

// number prints a number, and what is unknown as a dash.
func number[T uint32 | uint64](n T) string {
	if n == 0 {
		return "-"
	}
	return strconv.FormatUint(uint64(n), 10)
}

func leaderCell(n *cirandav1.NodeStatus) string {
	if n.GetLeaderLost() {
		return number(n.GetLeader()) + " (lost)"
	}
	return number(n.GetLeader())
}

func termCell(t *cirandav1.Term) string {
	if t.GetCounter() == 0 {
		return "-"
	}
	return fmt.Sprintf("%d.%d", t.GetCounter(), t.GetLeader())
}

// viewCell is the view of the group that a node has, and whether it is in it.
func viewCell(n *cirandav1.NodeStatus) string {
	if n.GetView() != 0 && !n.GetMember() {
		return number(n.GetView()) + " (out)"
	}
	return number(n.GetView())
}

func suspectsCell(n *cirandav1.NodeStatus) string {
	if len(n.GetSuspects()) == 0 {
		return "-"
	}
	return numbers(n.GetSuspects())
}

func numbers(ids []uint32) string {
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = number(id)
	}
	return strings.Join(words, ",")
}
