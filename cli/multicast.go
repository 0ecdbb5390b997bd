package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/gateway"
	"ciranda.dev/stacks"
)

// multicastFlags are the flags of multicast.
type multicastFlags struct {
	target  target
	node    uint16
	orders  []string
	uniform bool
	listen  bool
	count   uint64
	timeout time.Duration
}

func newMulticast() *cobra.Command {
	var f multicastFlags
	cmd := &cobra.Command{
		Use:   "multicast TEXT | - | --listen",
		Short: "Send messages to the group, or listen to them",
		Long: "Multicast sends a message to all members of the group, and returns when the node that sends it has delivered it. With -\n" +
			"each line of standard input is a message. With --listen it prints what a node delivers, in the order in which it does,\n" +
			"until Ctrl-C. One order is used for sending, fifo if none is named; listening is to all, or to those that are named.\n" +
			"With --uniform a message is delivered only when more than half of the members hold it.",
		Example: "  ciranda multicast --order total \"hello\"\n  seq 1000 | ciranda multicast --order causal -\n  ciranda multicast --listen --order total --count 10 -o json",
		Args:    f.arguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(cmd); err != nil {
				return err
			}
			return f.target.with(cmd.Context(), func(ctx context.Context, c *api.Client) error {
				switch {
				case f.listen:
					return f.hear(ctx, cmd, c)
				case args[0] == "-":
					return f.sendLines(ctx, cmd, c)
				}
				return f.send(ctx, cmd, c, args[0])
			})
		},
	}
	f.target.flags(cmd)
	flags := cmd.Flags()
	flags.Uint16Var(&f.node, "node", 0, "which node sends, or is listened at; 0: some member")
	flags.StringSliceVar(&f.orders, "order", nil, "one of "+strings.Join(stacks.OrderNames, ", ")+"; for --listen also several of them")
	flags.BoolVar(&f.uniform, "uniform", false, "deliver only what more than half of the members hold; with --listen, only such messages, or with --uniform=false the others")
	flags.BoolVar(&f.listen, "listen", false, "print what is delivered")
	flags.Uint64Var(&f.count, "count", 0, "end after so many messages, with --listen; 0: do not")
	flags.DurationVar(&f.timeout, "timeout", 10*time.Second, "how long to wait for the delivery of a message")
	cmd.RegisterFlagCompletionFunc("order", cobra.FixedCompletions(stacks.OrderNames, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// arguments are a text, or none for those who listen.
func (f *multicastFlags) arguments(cmd *cobra.Command, args []string) error {
	if f.listen {
		return arguments(0, 0, "none with --listen")(cmd, args)
	}
	return arguments(1, 1, "a text, or - for lines of standard input, or --listen")(cmd, args)
}

// check says what is wrong with the flags.
func (f *multicastFlags) check(cmd *cobra.Command) error {
	for _, o := range f.orders {
		if !slices.Contains(stacks.OrderNames, o) {
			return mistake{fmt.Sprintf("found --order %.40q; expected %s", o, strings.Join(stacks.OrderNames, ", ")), didYouMean(o, stacks.OrderNames, "")}
		}
	}
	switch {
	case !f.listen && len(f.orders) > 1:
		return mistake{fmt.Sprintf("found %d orders; expected one, for a message has one", len(f.orders)), ""}
	case !f.listen && cmd.Flags().Changed("count"):
		return mistake{"found --count without --listen", ""}
	case f.timeout <= 0:
		return mistake{fmt.Sprintf("found --timeout %s; expected a time above 0", f.timeout), ""}
	}
	return nil
}

// order is the one in which messages are sent.
func (f *multicastFlags) order() string {
	if len(f.orders) == 0 {
		return "fifo"
	}
	return f.orders[0]
}

// largestMessage is how many bytes a message may have.
const largestMessage = 240 << 10

// send sends one message.
func (f *multicastFlags) send(ctx context.Context, cmd *cobra.Command, c *api.Client, text string) error {
	if len(text) > largestMessage {
		return mistake{fmt.Sprintf("found a message of %d bytes; expected at most %d", len(text), largestMessage), ""}
	}
	inTime, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	a, err := gateway.Multicast(inTime, c.Group, &cirandav1.MulticastRequest{Node: uint32(f.node), Order: f.order(), Uniform: f.uniform, Payloads: [][]byte{[]byte(text)}})
	if err != nil {
		return err
	}
	return show(cmd, sentJSON{a.GetNode(), f.order(), f.uniform, a.GetView(), a.GetFirst(), a.GetCount()}, func(w io.Writer) {
		fmt.Fprintf(w, "node %d has sent and delivered it: %s message %d of view %d\n", a.GetNode(), laneWords(f.order(), f.uniform), a.GetFirst(), a.GetView())
	})
}

// sentJSON is the object of multicast -o json.
type sentJSON struct {
	Node    uint32 `json:"node"` // the sender
	Order   string `json:"order"`
	Uniform bool   `json:"uniform"`
	View    uint64 `json:"view"`
	Seq     uint64 `json:"seq"` // among the sender's messages in that order and view
	Count   uint64 `json:"count"`
}

func laneWords(order string, uniform bool) string {
	if uniform {
		return "uniform " + order
	}
	return order
}
