package node

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/app/bank"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/snapshot"
)

// How much of a snapshot an answer carries, in bytes as the API sends them.
const (
	mostStates   = 8 << 20
	mostMessages = 4 << 20
)

// The verdicts of checks.
const (
	holds       = "holds"
	violated    = "violated"
	unexercised = "unexercised"
)

// develop is a snapshot as the API carries it.
func (n *Node) develop(t snapshot.Taken, took time.Duration) (*cirandav1.Snapshot, error) {
	s := &cirandav1.Snapshot{Id: t.ID.String(), Initiator: uint32(t.ID.Node), Complete: t.Complete, Consistent: t.Consistent,
		ElapsedMs: float64(took.Microseconds()) / 1000}
	for _, m := range t.Missing {
		s.Missing = append(s.Missing, &cirandav1.Snapshot_Missing{Node: uint32(m.Node), Why: m.Why})
	}
	if err := addStates(s, t.Nodes); err != nil {
		return nil, err
	}
	if err := addChannels(s, t.Channels); err != nil {
		return nil, err
	}
	s.Checks = append(s.Checks, isConsistent(t, len(n.group)))
	if n.cfg.Spec.App == "bank" {
		s.Checks = append(s.Checks, isConserved(t, n.cfg.Spec.Bank().Balance*int64(len(n.group))))
	}
	return s, nil
}

func addStates(s *cirandav1.Snapshot, nodes []snapshot.NodeState) error {
	size := 0
	for _, n := range nodes {
		state, err := stateOfApp(n)
		if err != nil {
			return err
		}
		if size += proto.Size(state); size > mostStates {
			return &api.Error{Code: codes.ResourceExhausted, Text: fmt.Sprintf("what the nodes handed over is too large for an answer, which carries %d bytes of it", mostStates)}
		}
		s.Nodes = append(s.Nodes, &cirandav1.Snapshot_State{Id: uint32(n.Node), Incarnation: uint32(n.Incarnation), Lamport: n.Lamport, State: state})
	}
	return nil
}

// stateOfApp is a state as an object. One in several pieces is a list of them.
func stateOfApp(n snapshot.NodeState) (*structpb.Struct, error) {
	if len(n.More) == 0 {
		return object(n.State.Body)
	}
	pieces := []any{n.State.Body}
	for _, m := range n.More {
		pieces = append(pieces, m.Body)
	}
	return object(map[string]any{"pieces": pieces})
}

// A message is one as it is shown.
type message struct {
	Type string `json:"type"`
	Body any    `json:"body"`
}

// addChannels adds what was on its way, as far as there is room.
func addChannels(s *cirandav1.Snapshot, channels []snapshot.ChannelPart) error {
	size := 0
	for _, ch := range channels {
		c := &cirandav1.Snapshot_Channel{From: uint32(ch.From), To: uint32(ch.To), Count: uint64(ch.Count)}
		for _, m := range ch.Messages {
			if size > mostMessages {
				break
			}
			o, err := object(message{m.Type, m.Body})
			if err != nil {
				return err
			}
			size += proto.Size(o)
			c.Messages = append(c.Messages, o)
		}
		s.Channels = append(s.Channels, c)
	}
	return nil
}

// isConsistent says what the nodes' counters say of a cut.
func isConsistent(t snapshot.Taken, nodes int) *cirandav1.Snapshot_Check {
	c := &cirandav1.Snapshot_Check{Name: "cut-consistent"}
	switch channels := nodes * (nodes - 1); {
	case !t.Consistent:
		c.Verdict, c.Detail = violated, t.Wrong
	case t.Counted == 0 && channels > 0:
		c.Verdict, c.Detail = unexercised, "no channel was counted at both ends"
	default:
		c.Verdict = holds
		c.Detail = fmt.Sprintf("on %d channels of %d what was sent is what was received and what was on its way", t.Counted, channels)
	}
	return c
}

// isConserved says whether all money is there, of what was issued.
func isConserved(t snapshot.Taken, issued int64) *cirandav1.Snapshot_Check {
	c := &cirandav1.Snapshot_Check{Name: "money-conserved", Verdict: unexercised}
	if !t.Complete {
		c.Detail = missingText(t)
		return c
	}
	var accounts []bank.Account
	balances := int64(0)
	for _, n := range t.Nodes {
		a, ok := n.State.Body.(bank.Account)
		if !ok {
			c.Detail = fmt.Sprintf("n%d handed over %s; expected an account", n.Node, n.State.Type)
			return c
		}
		accounts, balances = append(accounts, a), balances+a.Balance
	}
	total := bank.Total(accounts)
	c.Verdict, c.Detail = holds, fmt.Sprintf("%d = %d in accounts + %d in flight", total, balances, total-balances)
	if total != issued {
		c.Verdict = violated
		c.Detail += fmt.Sprintf("; %d were issued", issued)
	}
	return c
}

// missingText says whom a snapshot is missing: who did not report, else whose channel is not known.
func missingText(t snapshot.Taken) string {
	reported := map[protocol.ID]bool{}
	for _, n := range t.Nodes {
		reported[n.Node] = true
	}
	var silent, unknown []string
	for _, m := range t.Missing {
		name := "n" + m.Node.String()
		if reported[m.Node] {
			unknown = append(unknown, name)
		} else {
			silent = append(silent, name)
		}
	}
	if len(silent) > 0 {
		return strings.Join(silent, ", ") + " did not report"
	}
	return "what " + strings.Join(unknown, ", ") + " sent is not known"
}
