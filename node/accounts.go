package node

import (
	"context"
	"fmt"
	"time"

	"ciranda.dev/api"
	"ciranda.dev/api/accounts"
	"ciranda.dev/app/bank"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/invocation"
	"ciranda.dev/rmi"
)

// serveAccount lets the node's account be called as a remote object: by those who ask this node for its bank, and by its name in the
// whole cluster, such as bank/3.
func (n *Node) serveAccount(b api.Bank) error {
	if n.account == nil {
		return nil
	}
	if err := accounts.Serve(n.objects, b, n.findAccount); err != nil {
		return err
	}
	ref, err := accounts.AccountRemote.Export(n.objects, n.account)
	if err == nil && n.cfg.Spec.Registry {
		n.binding.Go(func() { n.keepName(AccountName(n.cfg.ID), ref) })
	}
	return err
}

// AccountName is the name of a node's account among the names of remote objects.
func AccountName(id protocol.ID) string { return fmt.Sprintf("bank/%d", id) }

// findAccount gives this node's account, or that of another.
func (n *Node) findAccount(ctx context.Context, number uint32) (accounts.Account, error) {
	if number == uint32(n.cfg.ID) {
		return n.account, nil
	}
	if number > 65535 || !n.known(protocol.ID(number)) {
		return nil, unknownAccount("number", number, n.group)
	}
	return AccountAt(ctx, n.objects, protocol.ID(number))
}

// AccountAt asks a node for its account.
func AccountAt(ctx context.Context, n *rmi.Node, id protocol.ID) (accounts.Account, error) {
	b, err := accounts.BankRemote.Offered(ctx, n.Peer(invocation.NodeClient(uint16(id))), accounts.Offered)
	if err != nil {
		return nil, err
	}
	return b.Account(ctx, uint32(id))
}

// tellAccount tells who watches the account of its changes.
func (n *Node) tellAccount(e protocol.Event) {
	switch e := e.(type) {
	case bank.Debited:
		n.account.Changed(e.Balance)
	case bank.Credited:
		n.account.Changed(e.Balance)
	}
}

// Waits between attempts to bind a name.
const (
	firstBind = 100 * time.Millisecond
	mostBind  = 2 * time.Second
)

// keepName binds a name to an object of this node, and again whenever it is gone: a node that was excluded from the group loses its
// names, and may come back.
func (n *Node) keepName(name string, ref rmi.Ref) {
	w := unbound{name, make(chan struct{}, 1)}
	n.untilDone(func() error {
		_, _, err := n.names.Watch(n.ending, name, w)
		return err
	})
	for n.ending.Err() == nil {
		n.untilDone(func() error { return n.names.Rebind(n.ending, name, ref, nil) })
		select {
		case <-w.gone:
		case <-n.ending.Done():
		}
	}
}

// untilDone does something again until it succeeds, or the node ends.
func (n *Node) untilDone(do func() error) {
	for wait := firstBind; n.ending.Err() == nil && do() != nil; wait = min(2*wait, mostBind) {
		select {
		case <-time.After(wait):
		case <-n.ending.Done():
		}
	}
}

// unbound hears when a name is not bound any more.
type unbound struct {
	name string
	gone chan struct{}
}

// Changed takes changes of names.
func (u unbound) Changed(_ context.Context, changes []rmi.Change) error {
	for _, c := range changes {
		if c.Name == u.name && c.Ref.IsZero() {
			select {
			case u.gone <- struct{}{}:
			default:
			}
		}
	}
	return nil
}
