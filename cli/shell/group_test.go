package shell

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	cirandav1 "ciranda.dev/api/ciranda/v1"
)

func viewOf(id uint64, members ...uint32) *cirandav1.GroupView {
	v := &cirandav1.GroupView{Id: id, Coordinator: members[0]}
	for _, m := range members {
		v.Members = append(v.Members, &cirandav1.GroupMember{Node: m})
	}
	return v
}

// view is that of a group from which node 1 has gone.
func (f *server) view(r *cirandav1.ViewRequest) (*cirandav1.ViewResponse, error) {
	v := &cirandav1.ViewResponse{Node: max(2, r.GetNode()), Member: true, View: viewOf(2, 2, 3), History: []*cirandav1.ViewChange{
		{View: viewOf(1, 1, 2, 3), Joined: []uint32{1, 2, 3}}, {View: viewOf(2, 2, 3), Gone: []uint32{1}}}}
	if r.GetNode() == 3 {
		v.Member, v.Blocked = false, "this node has left"
	}
	return v, nil
}

func (f *server) multicast(r *cirandav1.MulticastRequest) (*cirandav1.MulticastResponse, error) {
	f.cast = append(f.cast, r)
	if f.refused == "multicast" {
		return nil, status.Error(codes.Unknown, "it may be delivered yet")
	}
	return &cirandav1.MulticastResponse{Node: 2, View: 2, First: uint64(len(f.cast)), Count: 1}, nil
}

func TestGroup(t *testing.T) {
	out, errs, err := script(t, newServer(), "group\ngroup 3\n")
	want := `node 2: view 2: members 2 and 3; node 2 coordinates
  view 2: members 2 and 3; node 2 coordinates; gone: 1
  view 1: members 1, 2 and 3; node 1 coordinates; joined: 1, 2 and 3
node 3 is no member now; it knows of view 2: members 2 and 3; node 2 coordinates
the group stands still: this node has left
  view 2: members 2 and 3; node 2 coordinates; gone: 1
  view 1: members 1, 2 and 3; node 1 coordinates; joined: 1, 2 and 3
`
	if out != want || errs != "" || err != nil {
		t.Errorf("got\n%s%s%v\nwant\n%s", out, errs, err, want)
	}
}

// A message is sent once, in the lane that is named; where it is not known what became of it that is said.
func TestMulticast(t *testing.T) {
	f := newServer()
	out, errs, err := script(t, f, "multicast fifo hello  world\nmulticast uniform-total x\n")
	want := "node 2 has sent and delivered it: message 1 of its fifo messages in view 2\nnode 2 has sent and delivered it: message 2 of its uniform-total messages in view 2\n"
	if out != want || errs != "" || err != nil {
		t.Errorf("got\n%s%s%v", out, errs, err)
	}
	if r := f.cast; len(r) != 2 || string(r[0].GetPayloads()[0]) != "hello world" || r[0].GetOrder() != "fifo" || r[0].GetUniform() || r[1].GetOrder() != "total" || !r[1].GetUniform() {
		t.Errorf("sent %v", r)
	}
	f.refused = "multicast"
	_, errs, err = script(t, f, "multicast fifo y\nmulticast best x\nmulticast fifo\n")
	for _, part := range []string{"messages may be delivered or not", `found the order "best"; expected one of reliable, uniform-reliable, fifo`, "multicast: found 1 words behind it; expected: multicast ORDER TEXT"} {
		if !strings.Contains(errs, part) {
			t.Errorf("%q is missing in %s", part, errs)
		}
	}
	if !errors.Is(err, ErrFailed) || len(f.cast) != 3 {
		t.Errorf("got %v, %d sent", err, len(f.cast))
	}
}

// What is delivered is told in words that cannot command the terminal.
func TestListen(t *testing.T) {
	f := newServer()
	f.told = []*cirandav1.Happening{
		{Kind: &cirandav1.Happening_Listening{Listening: &cirandav1.Listening{Node: 2, View: 2}}},
		{Kind: &cirandav1.Happening_Delivery{Delivery: &cirandav1.Delivery{View: 2, Sender: 3, Order: "fifo", First: 7, Payloads: [][]byte{[]byte("a\x1b[2J"), {255}}}}},
		{Kind: &cirandav1.Happening_View{View: &cirandav1.ViewChange{View: viewOf(3, 2, 3, 1), Joined: []uint32{1}}}},
		{Kind: &cirandav1.Happening_Delivery{Delivery: &cirandav1.Delivery{View: 3, Sender: 1, Order: "total", Uniform: true, First: 1, Payloads: [][]byte{[]byte("b")}}}},
		{Kind: &cirandav1.Happening_Blockade{Blockade: &cirandav1.Blockade{Why: "1 of 3"}}},
		{Kind: &cirandav1.Happening_Blockade{Blockade: &cirandav1.Blockade{}}},
		{Kind: &cirandav1.Happening_Exclusion{Exclusion: &cirandav1.Exclusion{View: 3, Why: "left"}}},
	}
	var out, errs string
	var err error
	synctest.Test(t, func(t *testing.T) { out, errs, err = script(t, f, "listen 5s\n") })
	want := `fifo 7 from node 3: a[2J
fifo 8 from node 3: 1 bytes that are no text
view 3: members 2, 3 and 1; node 2 coordinates; joined: 1
uniform-total 1 from node 1: b
the group stands still: 1 of 3
the group goes on
the node is no member any more: left
`
	if out != want || errs != "ciranda: listening at node 2, in view 2\n" || err != nil {
		t.Errorf("got\n%s%s%v", out, errs, err)
	}
	if _, errs, _ := script(t, f, "use socket\nlisten 1s\n"); !strings.Contains(errs, "deliveries come as a stream, and socket has none") {
		t.Errorf("over sockets: %s", errs)
	}
}
