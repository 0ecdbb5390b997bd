package local

import (
	"context"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/multicast"
)

// client is that of a node; nil if none is known.
func (n *Nodes) client(id protocol.ID) *api.Client {
	for _, m := range n.group.Dir.Members() {
		if m.Known.GetId() == uint32(id) {
			return m.Client
		}
	}
	return nil
}

// Cast asks a node to multicast messages, and says whether it delivered them itself before ctx ended.
func (n *Nodes) Cast(ctx context.Context, id protocol.ID, call multicast.Cast) (delivered bool) {
	c := n.client(id)
	if c == nil {
		return false
	}
	_, err := c.Group.Multicast(ctx, &cirandav1.MulticastRequest{Node: uint32(id), Order: call.Order.String(), Uniform: call.Uniform, Payloads: call.Payloads})
	return err == nil
}

// Leave has a node leave its group.
func (n *Nodes) Leave(ctx context.Context, id protocol.ID) {
	if c := n.client(id); c != nil {
		_, _ = c.Group.Leave(ctx, &cirandav1.LeaveRequest{Node: uint32(id)}) // it may refuse
	}
}

// Join has a node that has left its group come back.
func (n *Nodes) Join(ctx context.Context, id protocol.ID) {
	if c := n.client(id); c != nil {
		_, _ = c.Group.Join(ctx, &cirandav1.JoinRequest{Node: uint32(id)}) // it may refuse
	}
}
