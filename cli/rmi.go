package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/node"
	"ciranda.dev/rmi"
)

func newRMI() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rmi",
		Short: "Remote objects: what they are called, what they can do, calling them",
		Long: "Rmi calls objects of other processes by their names, without their code: an object says what methods it has,\n" +
			"and arguments are JSON. Programs use package ciranda.dev/rmi.",
		Example: "  ciranda rmi ls\n  ciranda rmi describe bank/1\n  ciranda rmi call bank/1 Transfer '{\"to\": \"bank/2\", \"amount\": 5}' -o json",
		Args:    unknownCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newRMILs(), newRMIWatch(), newRMIDescribe(), newRMICall(), newRMILeases())
	return cmd
}

func newRMIDescribe() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:   "describe NAME",
		Short: "The methods of an object, their arguments, results and semantics",
		Long: "Describe asks the object that has a name what interface it has. A call to a method is executed at-most-once,\n" +
			"at-least-once (the method may be repeated) or maybe (sent once, never again).",
		Example: "  ciranda rmi describe bank/1",
		Args:    arguments(1, 1, "the name of an object"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.withObject(cmd.Context(), args[0], func(ctx context.Context, e rmi.Entry, r *rmi.Remote) error {
				d, err := r.Describe(ctx)
				if err != nil {
					return err
				}
				return show(cmd, d, func(w io.Writer) { writeDescription(w, d) })
			})
		},
	}
	t.flags(cmd)
	return cmd
}

// writeDescription writes an interface nearly as Go has it.
func writeDescription(w io.Writer, d rmi.Description) {
	fmt.Fprintf(w, "%s, fingerprint %s\n", d.Name, d.Fingerprint)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer t.Flush()
	for _, m := range d.Methods {
		results := fieldWords(m.Out)
		if results != "" {
			results = "(" + results + ")"
		}
		fmt.Fprintf(t, "  %s(%s) %s\t%s\n", m.Name, fieldWords(m.In), results, m.Semantics)
	}
}

func fieldWords(fields []rmi.Field) string {
	words := make([]string, len(fields))
	for i, f := range fields {
		words[i] = f.Name + " " + f.Type
	}
	return strings.Join(words, ", ")
}

func newRMICall() *cobra.Command {
	var t target
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "call NAME METHOD [JSON]",
		Short: "Call a method of an object",
		Long: "Call calls a method of the object that has a name, with arguments as a JSON object by their names. An argument that\n" +
			"is a reference is the name of an object; bytes are base64. An error says whether the call was executed.",
		Example: "  ciranda rmi call bank/1 Balance\n  ciranda rmi call bank/1 Transfer '{\"to\": \"bank/2\", \"amount\": 5}' -o json",
		Args:    arguments(2, 3, "the name of an object, a method, and its arguments if it has any"),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := ""
			if len(args) > 2 {
				in = args[2]
			}
			return t.withObject(cmd.Context(), args[0], func(ctx context.Context, e rmi.Entry, r *rmi.Remote) error {
				d, err := r.Describe(ctx)
				if err != nil {
					return err
				}
				ctx, cancel := context.WithTimeout(ctx, timeout)
				defer cancel()
				out, err := r.CallJSON(ctx, d, args[1], []byte(in))
				if err != nil {
					return callError(err)
				}
				return show(cmd, json.RawMessage(out), func(w io.Writer) { writeResults(w, d, args[1], out) })
			})
		},
	}
	t.flags(cmd)
	cmd.Flags().DurationVar(&timeout, "timeout", 5*time.Second, "how long to wait for the reply")
	return cmd
}

// callError makes an error of arguments a mistake of the user.
func callError(err error) error {
	var e *rmi.Error
	if errors.As(err, &e) && e.Happened == rmi.No && (e.Kind == rmi.BadArgument || e.Kind == rmi.NoMethod) {
		return mistake{strings.TrimPrefix(err.Error(), "rmi: "), "ciranda rmi describe shows methods and arguments"}
	}
	return err
}

// writeResults writes each result on a line.
func writeResults(w io.Writer, d rmi.Description, method string, out []byte) {
	values := map[string]json.RawMessage{}
	json.Unmarshal(out, &values)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer t.Flush()
	for _, m := range d.Methods {
		for _, f := range m.Out {
			if m.Name == method {
				fmt.Fprintf(t, "%s\t%s\n", f.Name, values[f.Name])
			}
		}
	}
}

// withObject calls a function with the object of a name.
func (t *target) withObject(ctx context.Context, name string, do func(context.Context, rmi.Entry, *rmi.Remote) error) error {
	return t.withObjects(ctx, func(ctx context.Context, n *rmi.Node) error {
		e, err := n.Names().Lookup(ctx, name)
		if err != nil {
			return err
		}
		return do(ctx, e, n.Remote(e.Ref))
	})
}

// withObjects calls a function with a place among those who call remote objects of the cluster.
func (t *target) withObjects(ctx context.Context, do func(context.Context, *rmi.Node) error) error {
	return t.with(ctx, func(ctx context.Context, c *api.Client) error {
		access, err := t.local(t.name)
		if err != nil {
			return err
		}
		n, err := t.dialObjects(ctx, c, access)
		if err != nil {
			return err
		}
		defer n.Close()
		return do(ctx, n)
	})
}

// objectOptions show what lets a client in.
func objectOptions(access api.Access) (o rmi.Options) {
	node.ObjectAccess(access, &o)
	return o
}

// newObjects makes a place among those who call remote objects, without a connection.
func newObjects(access api.Access) (*rmi.Node, error) { return rmi.New(objectOptions(access)) }

// dialObjects connects to one of the servers of --addr that serves objects, or else to some node that is up.
func (t *target) dialObjects(ctx context.Context, c *api.Client, access api.Access) (*rmi.Node, error) {
	o := objectOptions(access)
	var addresses []string
	if t.address != "" {
		addresses, _ = api.Addresses(t.address)
	}
	status, failed := c.Cluster.Status(ctx, &cirandav1.StatusRequest{})
	for _, s := range status.GetNodes() {
		if s.GetState() == cirandav1.NodeState_NODE_STATE_UP && s.GetGrpcAddress() != "" {
			addresses = append(addresses, s.GetGrpcAddress())
		}
	}
	for _, address := range addresses {
		n, err := rmi.Dial(ctx, address, o)
		if err == nil {
			return n, nil
		}
		failed = errors.Join(failed, err)
	}
	if failed == nil {
		failed = api.Failed("ciranda status shows the nodes", "no node is up, and objects are served by nodes")
	}
	return nil, failed
}
