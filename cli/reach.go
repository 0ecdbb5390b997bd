package cli

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"slices"
	"strings"
	"time"

	"ciranda.dev/api"
	"ciranda.dev/api/accounts"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/api/socket"
	"ciranda.dev/cli/shell"
)

// reach makes a connection for a shell: to the servers of --addr or $CIRANDA_ADDR, else to the gateways of the cluster of
// that name. Then its supervisor is there for what gateways cannot do, and in place of gateways where there are none.
func (t *target) reach(via string) (*shell.Connection, error) {
	first, err := t.connect()
	if err != nil {
		return nil, err
	}
	access, err := t.local(t.name)
	if err != nil {
		return nil, errors.Join(err, first.Close())
	}
	to, err := t.servers(via, first, access)
	if err != nil {
		return nil, errors.Join(err, first.Close())
	}
	if t.address == "" {
		to.Supervisor = &shell.Supervisor{Processes: first.Supervisor, Events: first.Events}
	}
	end := to.Close
	to.Close = func() error { return errors.Join(end(), first.Close()) }
	return to, nil
}

// servers makes the connection to those that are called. It leaves the first client open.
func (t *target) servers(via string, first *api.Client, a api.Access) (*shell.Connection, error) {
	gateways, open := t.endpoint.GatewayAddresses(), func() error { return nil }
	switch {
	case via == "socket":
		return t.overSocket(a)
	case via == "rmi":
		return t.overObjects(first, a)
	case t.address != "":
		return shell.Of(t.address, first, open), nil
	case gateways == "":
		return shell.Of("the supervisor", first, open), nil
	}
	c, err := api.Dial(gateways, a)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, g := range t.endpoint.Gateways {
		names = append(names, g.Name)
	}
	return shell.Of(strings.Join(names, " or "), c, c.Close), nil
}

// overSocket makes a connection over the plain sockets of the gateways, or else of the nodes.
func (t *target) overSocket(a api.Access) (*shell.Connection, error) {
	addresses, err := api.Addresses(cmp.Or(t.address, t.endpoint.GRPC))
	if err != nil {
		return nil, mistake{err.Error(), ""}
	}
	found, err := lookForSockets(addresses, a)
	if err != nil {
		return nil, err
	}
	var secure *tls.Config
	if !a.Insecure() {
		secure = a.Credentials.Client()
	}
	c, err := socket.Dial(found, secure, string(a.Token))
	if err != nil {
		return nil, err
	}
	return shell.Over(strings.Join(found, " or "), c, c.Close), nil
}

// overObjects makes a connection that calls the bank as remote objects, of a gateway or, with --addr, of who is there. What is no object
// goes by gRPC.
func (t *target) overObjects(first *api.Client, a api.Access) (*shell.Connection, error) {
	addresses, err := api.Addresses(cmp.Or(t.address, t.endpoint.GatewayAddresses()))
	if err != nil {
		return nil, api.Failed("ciranda up --gateways 1 starts one; --addr names a node", "there is no gateway, whose bank could be called")
	}
	n, err := newObjects(a)
	if err != nil {
		return nil, err
	}
	var failed error
	for _, address := range addresses {
		ctx, cancel := context.WithTimeout(context.Background(), lookTime)
		_, err := n.Connect(ctx, address)
		cancel()
		if err == nil {
			to := shell.Of(address, first, func() error { n.Close(); return nil })
			objects := accounts.NewClient(n, address)
			to.Bank, to.Echo = objects, objects
			return to, nil
		}
		failed = errors.Join(failed, err)
	}
	n.Close()
	return nil, failed
}

// lookTime is how long is looked for sockets at one address.
const lookTime = 3 * time.Second

// lookForSockets asks the servers at some addresses for ports for plain sockets. A gateway knows only its own.
func lookForSockets(addresses []string, a api.Access) ([]string, error) {
	var found []string
	var failed error
	for _, address := range addresses {
		status, err := statusAt(address, a)
		if failed == nil {
			failed = err
		}
		for _, s := range sockets(status) {
			if !slices.Contains(found, s) {
				found = append(found, s)
			}
		}
	}
	if len(found) == 0 && failed == nil {
		failed = api.Failed("ciranda up --socket and ciranda gateway --socket open some", "no server has a port for plain sockets")
	}
	if len(found) > 0 {
		failed = nil
	}
	return found, failed
}

func statusAt(address string, a api.Access) (*cirandav1.StatusResponse, error) {
	c, err := api.Dial(address, a)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), lookTime)
	defer cancel()
	return c.Cluster.Status(ctx, &cirandav1.StatusRequest{})
}

// sockets are the plain sockets of the gateways that are up, or else of the nodes.
func sockets(s *cirandav1.StatusResponse) []string {
	var addresses []string
	for _, g := range s.GetGateways() {
		if g.GetSocketAddress() != "" && g.GetState() == cirandav1.NodeState_NODE_STATE_UP {
			addresses = append(addresses, g.GetSocketAddress())
		}
	}
	if len(addresses) > 0 {
		return addresses
	}
	for _, n := range s.GetNodes() {
		if n.GetSocketAddress() != "" && n.GetState() == cirandav1.NodeState_NODE_STATE_UP {
			addresses = append(addresses, n.GetSocketAddress())
		}
	}
	return addresses
}
