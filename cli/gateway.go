package cli

import (
	"cmp"
	"context"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"ciranda.dev/api"
	"ciranda.dev/cluster"
	"ciranda.dev/gateway"
	"ciranda.dev/node"
)

// gatewayFlags are the flags of gateway, as they are typed.
type gatewayFlags struct {
	nodes          string
	access         accessFlags
	config         gateway.Config
	untilInputEnds bool
}

func newGateway() *cobra.Command {
	var f gatewayFlags
	cmd := &cobra.Command{
		Use:   "gateway",
		Short: "Run one gateway",
		Long: "Gateway serves the whole bank and the cluster to clients, so that they need not know the nodes. It keeps nothing:\n" +
			"several may run, and any may end. Up starts one; this is for several machines or containers.",
		Example: "  ciranda gateway --nodes 1=10.0.0.1:7001,2=10.0.0.2:7001,3=10.0.0.3:7001 --grpc :7001 --credentials gateway-1",
		Args:    arguments(0, 0, "none"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.config.Name, "name", "", "its name among the gateways (default: that in its certificate, else gateway)")
	flags.StringVar(&f.config.Cluster, "cluster", cluster.DefaultName, "the cluster's name")
	flags.StringVar(&f.nodes, "nodes", "", "the gRPC ports of all nodes, NUMBER=HOST:PORT,…")
	flags.StringVar(&f.config.GRPC, "grpc", "", "where to serve gRPC, HOST:PORT (default: nowhere)")
	flags.StringVar(&f.config.HTTP, "http", "", "where to serve HTTP, HOST:PORT (default: nowhere)")
	flags.StringVar(&f.config.Socket, "socket", "", "where to serve plain sockets, HOST:PORT (default: nowhere)")
	flags.StringSliceVar(&f.config.Hosts, "http-host", nil, "names by which the HTTP port may be called, beside localhost")
	flags.BoolVar(&f.untilInputEnds, "until-stdin-ends", false, "end when standard input does")
	f.access.flags(cmd)
	return cmd
}

func (f *gatewayFlags) run(cmd *cobra.Command) error {
	if err := f.fill(cmd); err != nil {
		return err
	}
	g, err := gateway.Open(f.config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	if f.untilInputEnds {
		go func() {
			io.Copy(io.Discard, cmd.InOrStdin())
			cancel()
		}()
	}
	f.config.Log.Info("gateway is up", "name", f.config.Name, "nodes", f.nodes)
	<-ctx.Done()
	leave, giveUp := context.WithTimeout(context.Background(), leaveTime)
	defer giveUp()
	err = g.Close(leave)
	f.config.Log.Info("gateway is down", "name", f.config.Name, "error", err)
	if err == nil && interrupted(cmd.Context()) {
		return errInterrupted
	}
	return err
}

func (f *gatewayFlags) fill(cmd *cobra.Command) (err error) {
	c := &f.config
	switch {
	case f.nodes == "":
		return mistake{"--nodes is missing", "for example:" + firstLine(cmd.Example)}
	case c.GRPC == "" && c.HTTP == "" && c.Socket == "":
		return mistake{"a gateway that serves nothing is of no use", "--grpc says where to serve"}
	}
	if c.Nodes, err = node.ParsePeers(f.nodes); err != nil {
		if e := api.AsError(err); e != nil {
			return mistake{"--nodes: " + e.Text, ""}
		}
		return err
	}
	if c.Access, err = f.access.required(); err != nil {
		return err
	}
	c.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
	warnOpen(c.Log.Warn, c.Access, c.GRPC, c.HTTP, c.Socket)
	if own := c.Access.Credentials; own != nil {
		own.LogTo(c.Log)
		c.Name = cmp.Or(c.Name, own.Identity().Name)
	}
	c.Name = cmp.Or(c.Name, "gateway")
	return nil
}
