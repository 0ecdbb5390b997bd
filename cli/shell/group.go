package shell

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/gateway"
	"ciranda.dev/stacks"
)

// tellGroup tells of the view of a node, or of some member.
func tellGroup(ctx context.Context, s *shell, args []string) error {
	r := &cirandav1.ViewRequest{}
	if len(args) == 1 && args[0] != "any" {
		var err error
		if r.Node, err = readNode("node", args[0]); err != nil {
			return err
		}
	}
	v, err := read(ctx, s, func(ctx context.Context, to *Connection) (*cirandav1.ViewResponse, error) {
		return to.Group.View(ctx, r)
	})
	if err != nil {
		return err
	}
	switch {
	case v.GetView() == nil:
		s.out.sayAs(bold, "node %d has no view yet", v.GetNode())
	case !v.GetMember():
		s.out.sayAs(bold, "node %d is no member now; it knows of %s", v.GetNode(), viewText(v.GetView()))
	default:
		s.out.sayAs(bold, "node %d: %s", v.GetNode(), viewText(v.GetView()))
	}
	if why := v.GetBlocked(); why != "" {
		s.out.sayAs(bad, "the group stands still: %s", why)
	}
	for i, c := range slices.Backward(v.GetHistory()) {
		if i < len(v.GetHistory())-historyShown {
			break
		}
		s.out.say("  %s", changeText(c))
	}
	return nil
}

// historyShown is how many views are told of.
const historyShown = 5

// viewText is like "view 7: members 1, 3 and 4; node 1 coordinates".
func viewText(v *cirandav1.GroupView) string {
	var ids []uint32
	for _, m := range v.GetMembers() {
		ids = append(ids, m.GetNode())
	}
	return fmt.Sprintf("view %d: members %s; node %d coordinates", v.GetId(), list(ids), v.GetCoordinator())
}

// changeText tells what was new in a view.
func changeText(c *cirandav1.ViewChange) string {
	text := viewText(c.GetView())
	if ids := c.GetJoined(); len(ids) > 0 {
		text += "; joined: " + list(ids)
	}
	if ids := c.GetGone(); len(ids) > 0 {
		text += "; gone: " + list(ids)
	}
	return text
}

// uniformly stands before an order that is to be uniform.
const uniformly = "uniform-"

// laneWords are all lanes.
func (s *shell) laneWords() []string {
	var words []string
	for _, o := range stacks.OrderNames {
		words = append(words, o, uniformly+o)
	}
	return words
}

// castTime is how long a message's delivery is waited for.
const castTime = 10 * time.Second

// multicast sends a message to the group, once: if the server is lost, nobody knows.
func multicast(ctx context.Context, s *shell, args []string) error {
	order, uniform := strings.CutPrefix(args[0], uniformly)
	if !slices.Contains(stacks.OrderNames, order) {
		return api.Wrong("order", "found the order %q; expected one of %s", args[0], strings.Join(s.laneWords(), ", "))
	}
	ctx, cancel := context.WithTimeout(ctx, castTime)
	defer cancel()
	defer s.mindSilence()()
	r := &cirandav1.MulticastRequest{Order: order, Uniform: uniform, Payloads: [][]byte{[]byte(strings.Join(args[1:], " "))}}
	a, err := gateway.Multicast(ctx, s.to.Group, r)
	if err != nil {
		if absent(err) {
			s.reconnect()
		}
		return err
	}
	s.out.sayAs(good, "node %d has sent and delivered it: message %d of its %s messages in view %d", a.GetNode(), a.GetFirst(), args[0], a.GetView())
	return nil
}

// listen tells what a member delivers, for so long or until it is given up.
func listen(ctx context.Context, s *shell, args []string) error {
	if s.to.Events == nil {
		return &api.Error{Code: codes.Unimplemented, Text: "deliveries come as a stream, and " + s.via + " has none", Hint: "use grpc"}
	}
	if len(args) == 1 {
		length, err := readTime(args[0])
		if err != nil {
			return err
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, length, errEnough)
		defer cancel()
	}
	l := gateway.Listener{Servers: []cirandav1.GroupServiceClient{s.to.Group}, Request: &cirandav1.ListenRequest{},
		Note: func(text string) { s.out.note("%s", text) }}
	err := l.Run(ctx, func(h *cirandav1.Happening) error {
		s.sayHappening(h)
		return nil
	})
	if cause := context.Cause(ctx); errors.Is(cause, errEnough) || errors.Is(cause, errGivenUp) {
		return nil
	}
	return err
}

// sayHappening tells of something that happened in the group.
func (s *shell) sayHappening(h *cirandav1.Happening) {
	switch h := h.GetKind().(type) {
	case *cirandav1.Happening_Delivery:
		for m := range api.Messages(h.Delivery) {
			s.out.say("%s from node %d: %s", laneText(m), m.Sender, payloadText(m))
		}
	case *cirandav1.Happening_View:
		s.out.sayAs(bold, "%s", changeText(h.View))
	case *cirandav1.Happening_Exclusion:
		s.out.sayAs(bad, "the node is no member any more: %s", h.Exclusion.GetWhy())
	case *cirandav1.Happening_Blockade:
		if why := h.Blockade.GetWhy(); why != "" {
			s.out.sayAs(bad, "the group stands still: %s", why)
		} else {
			s.out.sayAs(good, "the group goes on")
		}
	}
}

// laneText is like "uniform-total 12".
func laneText(m api.Delivered) string {
	if m.Uniform {
		return fmt.Sprintf("%s%s %d", uniformly, m.Order, m.Seq)
	}
	return fmt.Sprintf("%s %d", m.Order, m.Seq)
}

func payloadText(m api.Delivered) string {
	if m.Payload != nil {
		return *m.Payload // printing takes out what could command a terminal
	}
	return fmt.Sprintf("%d bytes that are no text", len(m.Bytes))
}
