package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"

	"ciranda.dev/api"
	"ciranda.dev/cluster"
)

// A target is the cluster that a command is for.
type target struct {
	address, name string
	accessFlags

	endpoint cluster.Endpoint // if it was found by its name
}

// flags lets a command say which cluster it is for.
func (t *target) flags(cmd *cobra.Command) {
	t.nameFlag(cmd)
	cmd.Flags().StringVar(&t.address, "addr", "", "the gRPC ports of servers, HOST:PORT,…; else $CIRANDA_ADDR, else the supervisor of --name")
	t.accessFlags.flags(cmd)
}

func (t *target) nameFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&t.name, "name", cluster.DefaultName, "the cluster among those of this machine")
}

// connect makes a client: of --addr, else of $CIRANDA_ADDR, else of the supervisor of the cluster of that name on this
// machine. It shows what --credentials or --insecure say, else who up has made an operator of the cluster of that name.
func (t *target) connect() (*api.Client, error) {
	address := cmp.Or(t.address, os.Getenv("CIRANDA_ADDR"))
	if address == "" {
		e, err := cluster.Find(t.name)
		if err != nil {
			return nil, err
		}
		t.endpoint, address = e, e.GRPC
	} else {
		t.address = address
	}
	if _, err := api.Addresses(address); err != nil {
		return nil, mistake{err.Error(), ""}
	}
	access, err := t.local(t.name)
	if err != nil {
		if t.address != "" && api.AsError(err) != nil {
			return nil, mistake{err.Error(), "--credentials DIR shows a certificate of the cluster at " + address}
		}
		return nil, err
	}
	return api.Dial(address, access)
}

// with calls a function with a client of the cluster.
func (t *target) with(ctx context.Context, do func(context.Context, *api.Client) error) error {
	c, err := t.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	return t.explain(do(ctx, c))
}

// explain says of a cluster that cannot be reached what that probably means.
func (t *target) explain(err error) error {
	e := api.AsError(err)
	if err == nil || e == nil || e.Code != codes.Unavailable || e.Hint != "" || errors.As(err, new(*api.Error)) {
		return err // or a server's own word: those of the connection have no hint
	}
	if t.address != "" {
		return &api.Error{Code: e.Code, Text: "nothing answers at " + t.address, Hint: "is it the gRPC port, and is the cluster up?"}
	}
	if t.endpoint.Listens() {
		return &api.Error{Code: e.Code, Text: fmt.Sprintf("the supervisor of %s is there but does not answer", t.name),
			Hint: fmt.Sprintf("is its process, %d, paused or the machine too busy?", t.endpoint.PID)}
	}
	return &api.Error{Code: e.Code, Text: "the cluster " + t.name + " does not answer: its supervisor has ended", Hint: "ciranda up starts it again"}
}
