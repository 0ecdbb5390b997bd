package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"ciranda.dev/cluster"
	"ciranda.dev/node"
	"ciranda.dev/protocol"
	"ciranda.dev/trace"
)

// nodeFlags are the flags of node, as they are typed.
type nodeFlags struct {
	id             uint16
	peers, level   string
	access         accessFlags
	shape          cluster.Shape
	config         node.Config
	untilInputEnds bool
}

func newNode() *cobra.Command {
	var f nodeFlags
	cmd := &cobra.Command{
		Use:   "node",
		Short: "Run one node",
		Long: "Node runs one node of a cluster in this process, until it is interrupted. Up starts several on one machine;\n" +
			"this is for several machines or containers, and for looking at one alone.",
		Example: "  ciranda node --id 1 --peers 1=10.0.0.1:7000,2=10.0.0.2:7000,3=10.0.0.3:7000 --dir /var/lib/ciranda --credentials node1",
		Args:    arguments(0, 0, "none"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	flags := cmd.Flags()
	flags.Uint16Var(&f.id, "id", 0, "the node's number")
	flags.StringVar(&f.peers, "peers", "", "all nodes and where they listen, NUMBER=HOST:PORT,…, this one too")
	flags.StringVar(&f.config.Cluster, "cluster", cluster.DefaultName, "the cluster's name")
	flags.StringVar(&f.config.Dir, "dir", "", "the directory in which the node keeps what it must not forget")
	flags.StringVar(&f.config.Listen, "listen", "", "where to listen for other nodes (default: its address among the peers)")
	flags.StringVar(&f.config.GRPC, "grpc", "", "where to serve gRPC, HOST:PORT (default: nowhere)")
	flags.StringVar(&f.config.HTTP, "http", "", "where to serve HTTP, HOST:PORT (default: nowhere)")
	flags.StringVar(&f.config.Socket, "socket", "", "where to serve plain sockets, HOST:PORT (default: nowhere)")
	flags.StringSliceVar(&f.config.Hosts, "http-host", nil, "names by which the HTTP port may be called, beside localhost")
	flags.StringVar(&f.level, "level", "protocol", "how much is recorded: protocol or full")
	flags.BoolVar(&f.config.Forget, "forget", false, "begin as if the disk were empty")
	flags.BoolVar(&f.untilInputEnds, "until-stdin-ends", false, "end when standard input does")
	f.access.flags(cmd)
	transportFlag(cmd, &f.config.Transport)
	flags.StringVar(&f.config.UDP, "udp", "", "an IP multicast group for the group's messages, such as 239.7.7.7:7946; else $CIRANDA_UDP, else none")
	flags.StringVar(&f.config.UDPInterface, "udp-interface", "", "the network interface for that (default: the only one that can)")
	stackFlags(cmd, &f.shape)
	return cmd
}

// leaveTime is how long a node takes at most to leave in good order.
const leaveTime = 2 * time.Second

func (f *nodeFlags) run(cmd *cobra.Command) error {
	relieveCollector()
	if err := f.fill(cmd); err != nil {
		return err
	}
	n, err := node.Open(f.config)
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
	f.config.Log.Info("node is up", "id", f.id, "incarnation", n.Incarnation(), "peers", f.peers)
	select {
	case <-ctx.Done():
	case <-n.Done():
	}
	leave, giveUp := context.WithTimeout(context.Background(), leaveTime)
	defer giveUp()
	err = n.Close(leave)
	f.config.Log.Info("node is down", "id", f.id, "error", err)
	if err == nil && interrupted(cmd.Context()) {
		return errInterrupted
	}
	return err
}

func (f *nodeFlags) fill(cmd *cobra.Command) (err error) {
	c := &f.config
	c.ID, c.UDP = protocol.ID(f.id), cmp.Or(c.UDP, os.Getenv("CIRANDA_UDP"))
	for _, needed := range []struct{ flag, value string }{{"peers", f.peers}, {"dir", c.Dir}} {
		if needed.value == "" {
			return mistake{fmt.Sprintf("--%s is missing", needed.flag), "for example:" + firstLine(cmd.Example)}
		}
	}
	if c.Peers, err = node.ParsePeers(f.peers); err != nil {
		return err
	}
	if c.Access, err = f.access.required(); err != nil {
		return err
	}
	if c.Spec, err = f.shape.Spec(); err != nil {
		return mistake{err.Error(), ""}
	}
	if err := c.Level.UnmarshalText([]byte(f.level)); err != nil || c.Level == trace.Off {
		return mistake{fmt.Sprintf("found the level %q; expected protocol or full", f.level), ""}
	}
	c.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
	warnOpen(c.Log.Warn, c.Access, cmp.Or(c.Listen, c.Peers[c.ID]), c.GRPC, c.HTTP, c.Socket)
	if c.Access.Credentials != nil {
		c.Access.Credentials.LogTo(c.Log)
	}
	return nil
}
