package node

import (
	"bytes"
	"context"
	"math"
	"net"
	"reflect"
	"testing"
	"time"

	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/engine/wire"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/clock"
	"ciranda.dev/stacks"
	"ciranda.dev/transport"
	"ciranda.dev/transport/tcp"
)

// A liar has the cluster's token, and is no honest node: it is a transport that says what it is told to.
type liar struct {
	*tcp.Transport
	group []protocol.ID
	ups   chan transport.Hello
}

func (l *liar) Up(h transport.Hello) { // the last one of a node is enough
	select {
	case l.ups <- h:
	default:
	}
}
func (*liar) Receive(protocol.ID, protocol.Incarnation, [][]byte) {}
func (*liar) Down(protocol.ID, protocol.Incarnation)              {}
func (*liar) Room(protocol.ID)                                    {}
func (*liar) Refused(string, error)                               {}

// lie opens a liar in the place of a node, with a Hello that is changed.
func lie(t *testing.T, c Config, change func(*transport.Hello)) *liar {
	t.Helper()
	l := &liar{ups: make(chan transport.Hello, 64)}
	hello := transport.Hello{Cluster: c.Cluster, Stack: c.Spec.Text(), Group: []protocol.ID{1, 2, 3}, ID: c.ID, Incarnation: 1}
	change(&hello)
	l.group = hello.Group
	peers := map[protocol.ID]string{}
	for _, id := range hello.Group {
		if id != hello.ID && id < 3 {
			peers[id] = c.Peers[id]
		}
	}
	own, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	config := tcp.Config{Hello: func() transport.Hello { return hello }, Handler: l, Listener: own, Peers: peers}
	if c.Access.Insecure() {
		config.Secret = c.Access.Token.Secret("peer")
	} else {
		config.TLS = c.Access.Credentials.Peer()
		config.TLS.VerifyConnection = nil // it believes whoever it dials
	}
	l.Transport, err = tcp.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *liar) close() {
	ctx, cancel := context.WithTimeout(context.Background(), deadline) // for what is queued, unless the other end breaks off
	defer cancel()
	l.Close(ctx)
}

func (l *liar) awaitUp(t *testing.T) {
	t.Helper()
	select {
	case <-l.ups:
	case <-time.After(deadline):
		t.Fatal("no connection")
	}
}

// say sends a message to all the nodes to which there is a connection by now.
func (l *liar) say(message []byte) {
	for _, id := range l.group {
		l.Send(id, message, nil)
	}
}

// extremes are the numbers that a liar puts in the place of counters.
var extremes = []uint64{0, 1, 1<<20 + 2, 1<<32 - 1, 1 << 61, 1<<62 - 1, 1 << 62, 1<<62 + 1, math.MaxInt64, math.MaxUint64}

// exaggerate fills all numbers in a message with an extreme one, as far as they are wide enough.
func exaggerate(v reflect.Value, n uint64) {
	switch {
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				exaggerate(v.Field(i), n)
			}
		}
	case v.CanUint():
		v.SetUint(n & (math.MaxUint64 >> (64 - v.Type().Bits())))
	case v.CanInt():
		v.SetInt(int64(n) & (math.MaxInt64 >> (64 - v.Type().Bits())))
	case v.Kind() == reflect.Bool:
		v.SetBool(n%2 == 1)
	}
}

// lies are messages of a stack with extreme numbers in them; absurd ones have such numbers around them, or are none.
func lies(t *testing.T, spec stacks.Spec) (inside, absurd [][]byte) {
	t.Helper()
	stack, err := spec.Build(protocol.Self{ID: 3, Incarnation: 1, Group: []protocol.ID{1, 2, 3}})
	if err != nil {
		t.Fatal(err)
	}
	codec, err := wire.New(stack.Traits())
	if err != nil {
		t.Fatal(err)
	}
	for channel, traits := range stack.Traits() {
		for _, m := range traits.Messages {
			for _, n := range extremes {
				v := reflect.New(reflect.TypeOf(m)).Elem()
				exaggerate(v, n)
				body, err := codec.Encode(nil, protocol.Packet{Channel: uint8(channel), Body: v.Interface()})
				if err != nil {
					continue // such a message cannot be sent
				}
				inside = append(inside, append(wire.AppendEnvelope(nil, wire.Envelope{Seq: 1, Lamport: 1}), body...))
				if n > 1<<61 || n == 0 {
					absurd = append(absurd, append(wire.AppendEnvelope(nil, wire.Envelope{Seq: n, Lamport: n}), body...))
				}
			}
		}
	}
	return inside, append(absurd, nil, []byte{0}, bytes.Repeat([]byte{0xff}, 100), make([]byte, transport.MaxMessage),
		append(wire.AppendEnvelope(nil, wire.Envelope{Seq: 1, Lamport: 1}), bytes.Repeat([]byte{0x9f}, 1000)...))
}

// Whatever a node with the token says of itself, the honest ones go on, and agree when it is gone. Their clocks are not
// exhausted. (With the ring detector it can say of another that it has begun a later life, and is believed.)
func TestLiarsDoNotStopTheOthers(t *testing.T) {
	for _, spec := range []stacks.Spec{{}, {Election: "bully+stable+quorum"}} {
		t.Run(spec.Text(), func(t *testing.T) {
			configs := three(t)
			for i := range configs {
				configs[i].Spec = spec
			}
			for _, c := range configs[:2] {
				defer stop(t, start(t, c))
			}
			one := dial(t, configs[0].GRPC)
			await(t, one, "a leader", func(s *cirandav1.StatusResponse) bool { return s.GetLeader() != 0 })
			inside, absurd := lies(t, spec)
			for i, a := range absurd {
				if i%8 != 0 && i < len(absurd)-5 {
					continue // of those that are alike some are enough
				}
				l := lie(t, configs[2], func(h *transport.Hello) {
					h.Incarnation = protocol.Incarnation(i + 1)
					h.Lamport = clock.Ceiling
					h.API = configs[0].GRPC // which is that of another
				})
				l.awaitUp(t)
				l.awaitUp(t)
				for _, m := range append(inside, a) {
					l.say(m)
				}
				l.close()
			}
			honest := func(s *cirandav1.StatusResponse) bool {
				return s.GetLeader() != 0 && s.GetLeader() != 3 && s.GetNodes()[2].GetState() == cirandav1.NodeState_NODE_STATE_DOWN
			}
			s := await(t, one, "the honest ones agree", honest)
			for _, n := range s.GetNodes()[:2] {
				if n.GetLamport() > clock.Ceiling*3/4 {
					t.Errorf("the clock of node %d is at %d of %d", n.GetId(), n.GetLamport(), uint64(clock.Ceiling))
				}
			}
			if n := s.GetNodes()[0].GetRefused(); n == 0 {
				t.Error("nothing was counted as refused")
			}
			if _, err := one.Cluster.Elect(t.Context(), &cirandav1.ElectRequest{Node: "1"}); err != nil {
				t.Error(err)
			}
			await(t, one, "they elect anew", honest)
		})
	}
}

// A Hello that claims to be somebody else is refused, and counted.
func TestFalseHellos(t *testing.T) {
	configs := three(t)
	n := start(t, configs[0])
	defer stop(t, n)
	client := dial(t, configs[0].GRPC)
	refused := func() uint64 {
		d, err := client.Node.Describe(t.Context(), &cirandav1.DescribeRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return d.GetStatus().GetRefused()
	}
	wide := make([]protocol.ID, 2000)
	for i := range wide {
		wide[i] = protocol.ID(i + 1)
	}
	for name, change := range map[string]func(*transport.Hello){
		"the node itself": func(h *transport.Hello) { h.ID = 1 },
		"a huge group":    func(h *transport.Hello) { h.Group = wide },
		"a larger group":  func(h *transport.Hello) { h.Group, h.ID = []protocol.ID{1, 2, 3, 4}, 4 },
		"another cluster": func(h *transport.Hello) { h.Cluster = "other" },
		"another stack":   func(h *transport.Hello) { h.Stack += " " },
	} {
		before := refused()
		c := configs[2]
		c.Peers = map[protocol.ID]string{1: c.Peers[1], 2: c.Peers[1]} // both are the node under attack
		l := lie(t, c, change)
		await(t, client, name, func(*cirandav1.StatusResponse) bool { return refused() > before })
		l.close()
	}
}
