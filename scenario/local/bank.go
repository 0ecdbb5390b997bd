package local

import (
	"context"

	"google.golang.org/grpc/codes"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/app/bank"
	"ciranda.dev/protocol"
)

// Transfer asks a node of the cluster for a transfer.
func (n *Nodes) Transfer(ctx context.Context, id protocol.ID, t bank.Transfer) (answered bool) {
	for _, m := range n.group.Dir.Members() {
		if m.Known.GetId() == uint32(id) && m.Client != nil {
			return Transfer(ctx, m.Client, id, t)
		}
	}
	return false
}

// Transfer asks the node behind a client for a transfer, once, and says whether it answered: that the transfer is done,
// or that the node refuses it.
func Transfer(ctx context.Context, c *api.Client, id protocol.ID, t bank.Transfer) (answered bool) {
	r := &cirandav1.TransferRequest{From: uint32(id), To: uint32(t.To), Amount: t.Amount, Wait: t.Wait}
	if t.Request != (bank.Request{}) {
		r.Id = &cirandav1.RequestID{Client: t.Request.Client, Number: t.Request.Number, Below: t.Request.Below}
	}
	_, err := c.Bank.Transfer(ctx, r)
	if err == nil {
		return true
	}
	e := api.AsError(err)
	if e == nil {
		return false
	}
	switch e.Code {
	case codes.InvalidArgument, codes.NotFound, codes.FailedPrecondition:
		return true
	case codes.Unknown:
		return e.Field != "" // the node has forgotten its answer
	}
	return false
}
