package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/engine/network"
)

func newFault() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "fault",
		Short:   "Break things, and heal them",
		Long:    "Fault disturbs a running cluster.\n" + aboutNodes + "\n" + aboutLinks,
		Example: "  ciranda fault kill leader\n  ciranda fault partition 1,2/3,4,5\n  ciranda fault heal",
		Args:    unknownCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, a := range processFaults {
		cmd.AddCommand(a.command())
	}
	for _, f := range networkFaults {
		cmd.AddCommand(f.command())
	}
	cmd.AddCommand(newHeal())
	return cmd
}

// What the arguments of faults mean.
const (
	aboutNodes = "NODES are numbers such as 3 or 1,2, or all, leader, or last (killed)."
	aboutNames = "Gateways go by their names, such as gateway-1; gateway is the only one."
	aboutLinks = "A LINK is one direction: 1->5 (in quotes, for the shell), 1,2->5, or all."
)

// long explains the arguments of a fault.
func long(use, short string) string {
	text := short + "."
	if strings.Contains(use, "NODES") {
		text += "\n" + aboutNodes
	}
	if strings.Contains(use, "LINK") {
		text += "\n" + aboutLinks
	}
	return text
}

// A processFault acts on the processes of nodes and gateways.
type processFault struct {
	name, short, done string
	do                func(context.Context, *api.Client, string) (acted, error)
}

// acted names the nodes and gateways that a request acted on.
type acted interface {
	GetNodes() []uint32
	GetGateways() []string
}

var processFaults = []processFault{
	{"kill", "End processes without notice", "killed", func(ctx context.Context, c *api.Client, nodes string) (acted, error) {
		return c.Supervisor.Kill(ctx, &cirandav1.KillRequest{Nodes: nodes})
	}},
	{"pause", "Make processes stand still", "paused", func(ctx context.Context, c *api.Client, nodes string) (acted, error) {
		return c.Supervisor.Pause(ctx, &cirandav1.PauseRequest{Nodes: nodes})
	}},
	{"resume", "Let paused processes go on", "resumed", func(ctx context.Context, c *api.Client, nodes string) (acted, error) {
		return c.Supervisor.Resume(ctx, &cirandav1.ResumeRequest{Nodes: nodes})
	}},
	{"restart", "Start nodes again, on what they have stored", "restarted", func(ctx context.Context, c *api.Client, nodes string) (acted, error) {
		return c.Supervisor.Restart(ctx, &cirandav1.RestartRequest{Nodes: nodes})
	}},
	{"replace", "Start nodes again, on empty disks", "replaced", func(ctx context.Context, c *api.Client, nodes string) (acted, error) {
		return c.Supervisor.Restart(ctx, &cirandav1.RestartRequest{Nodes: nodes, LoseDisk: true})
	}},
}

func (p processFault) command() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use: p.name + " NODES", Short: p.short, Long: long("NODES", p.short) + "\n" + aboutNames, Example: "  ciranda fault " + p.name + " 3",
		Args: arguments(1, 1, "nodes such as 3, 1,2, leader, last or all"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.with(cmd.Context(), func(ctx context.Context, c *api.Client) error {
				on, err := p.do(ctx, c, args[0])
				if code(err) == codes.Unimplemented {
					return &api.Error{Code: codes.FailedPrecondition, Text: "a node does not act on processes; its supervisor does",
						Hint: "give --addr the gRPC port of the supervisor, or --name instead of --addr"}
				}
				if err != nil {
					return err
				}
				act := actJSON{p.done, append([]uint32{}, on.GetNodes()...), on.GetGateways()}
				return show(cmd, act, func(w io.Writer) { fmt.Fprintf(w, "%s %s\n", p.done, act.names()) })
			})
		},
	}
	t.flags(cmd)
	return cmd
}

// numbered names nodes for people.
func numbered(nodes []uint32) string {
	if len(nodes) == 1 {
		return "node " + numbers(nodes)
	}
	return "nodes " + numbers(nodes)
}

// names are what was acted on, for people.
func (a actJSON) names() string {
	names := a.Gateways
	if len(a.Nodes) > 0 {
		names = append([]string{numbered(a.Nodes)}, names...)
	}
	return strings.Join(names, ", ")
}

// actJSON is the object of fault kill, pause, resume, restart and replace with -o json.
type actJSON struct {
	Done     string   `json:"done"` // killed, paused, resumed, restarted or replaced
	Nodes    []uint32 `json:"nodes"`
	Gateways []string `json:"gateways,omitempty"`
}

// A networkFault disturbs links or disks.
type networkFault struct {
	use, short, example string
	least, most         int
	expected            string
	read                func(args []string) (*cirandav1.Fault, error)
}

var networkFaults = []networkFault{
	{"partition SIDES", "Cut all links between sides, such as 1,2/3,4,5", "1,2/3,4,5", 1, 1, "the sides, such as 1,2/3,4,5", readPartition},
	{"isolate NODES", "Cut all links of nodes", "leader", 1, 1, "nodes such as 3 or leader", readIsolate},
	{"cut LINK", "Stop one direction", `"1->5"`, 1, 2, `a link, such as "1->5"`, readCut},
	{"delay [LINK] TIME", "Make messages slow: 5ms, 1ms..20ms, or \"exp 5ms\"", `"1->5" 50ms..200ms`, 1, 2, "perhaps a link, and a time", readDelay},
	{"lose [LINK] SHARE", "Lose messages", `"1->5" 20%`, 1, 2, "perhaps a link, and a share such as 20%", readLose},
	{"duplicate [LINK] SHARE", "Deliver messages twice", "all 5%", 1, 2, "perhaps a link, and a share such as 5%", readDuplicate},
	{"reset NODES NODES", "Break connections once; both ends live", "1 5", 2, 2, "two nodes", readReset},
	{"disk NODES stall|TIME", "Stall disks, or make every sync take longer", "leader stall", 2, 2, "nodes, and stall or a time", readDisk},
	{"slow NODES TIME", "Let each step take time", "leader 50ms", 2, 2, "nodes and a time", readSlow},
	{"clock NODES TIME|RATE", "Set wall clocks forward or back, or let clocks run faster: +1h, -5s, x1.5", "3 +1h", 2, 2, "nodes, and +TIME, -TIME or xRATE", readClock},
}

func (f networkFault) command() *cobra.Command {
	var t target
	name, _, _ := strings.Cut(f.use, " ")
	cmd := &cobra.Command{
		Use: f.use, Short: f.short, Long: long(f.use, f.short), Example: "  ciranda fault " + name + " " + f.example,
		Args: arguments(f.least, f.most, f.expected),
		RunE: func(cmd *cobra.Command, args []string) error {
			fault, err := f.read(args)
			if err != nil {
				return err
			}
			return t.with(cmd.Context(), func(ctx context.Context, c *api.Client) error {
				r, err := c.Cluster.SetFault(ctx, &cirandav1.SetFaultRequest{Fault: fault})
				if err != nil {
					return err
				}
				return show(cmd, map[string]string{"fault": r.GetText()}, func(w io.Writer) { fmt.Fprintln(w, r.GetText()) })
			})
		},
	}
	t.flags(cmd)
	return cmd
}

func readPartition(args []string) (*cirandav1.Fault, error) {
	sides := strings.Split(args[0], "/")
	return &cirandav1.Fault{Kind: &cirandav1.Fault_Partition_{Partition: &cirandav1.Fault_Partition{Sides: sides}}}, nil
}

func readIsolate(args []string) (*cirandav1.Fault, error) {
	return &cirandav1.Fault{Kind: &cirandav1.Fault_Isolate_{Isolate: &cirandav1.Fault_Isolate{Nodes: args[0]}}}, nil
}

func readCut(args []string) (*cirandav1.Fault, error) {
	from, to, err := readLink(strings.Join(args, "->"))
	return &cirandav1.Fault{Kind: &cirandav1.Fault_Cut_{Cut: &cirandav1.Fault_Cut{From: from, To: to}}}, err
}

func readDelay(args []string) (*cirandav1.Fault, error) {
	l, value, err := linkAndValue(args)
	if err != nil {
		return nil, err
	}
	if _, err := network.ParseDelay(value); err != nil {
		return nil, mistake{"delay: " + err.Error(), ""}
	}
	l.Delay = &value
	return &cirandav1.Fault{Kind: &cirandav1.Fault_Link_{Link: l}}, nil
}

func readLose(args []string) (*cirandav1.Fault, error) {
	return readShare(args, func(l *cirandav1.Fault_Link, share *float64) { l.Loss = share })
}

func readDuplicate(args []string) (*cirandav1.Fault, error) {
	return readShare(args, func(l *cirandav1.Fault_Link, share *float64) { l.Duplicate = share })
}

func readShare(args []string, set func(*cirandav1.Fault_Link, *float64)) (*cirandav1.Fault, error) {
	l, value, err := linkAndValue(args)
	if err != nil {
		return nil, err
	}
	share, err := network.ParsePercent(value)
	if err != nil {
		return nil, mistake{err.Error(), ""}
	}
	set(l, &share)
	return &cirandav1.Fault{Kind: &cirandav1.Fault_Link_{Link: l}}, nil
}

func readReset(args []string) (*cirandav1.Fault, error) {
	return &cirandav1.Fault{Kind: &cirandav1.Fault_ResetLinks{ResetLinks: &cirandav1.Fault_Reset{From: args[0], To: args[1]}}}, nil
}

func readDisk(args []string) (*cirandav1.Fault, error) {
	d := &cirandav1.Fault_Disk{Nodes: args[0], Stall: args[1] == "stall"}
	if !d.Stall {
		slow, err := time.ParseDuration(args[1])
		if err != nil || slow < time.Millisecond || slow > time.Minute {
			return nil, mistake{fmt.Sprintf("found %q; expected stall, or a time from 1ms to 1m", args[1]), ""}
		}
		d.SlowMs = uint32(slow.Milliseconds())
	}
	return &cirandav1.Fault{Kind: &cirandav1.Fault_Disk_{Disk: d}}, nil
}

func readSlow(args []string) (*cirandav1.Fault, error) {
	step, err := time.ParseDuration(args[1])
	if err != nil || step < 0 || step > time.Minute || step%time.Millisecond != 0 {
		return nil, mistake{fmt.Sprintf("found %q; expected whole milliseconds up to 1m", args[1]), ""}
	}
	slow := &cirandav1.Fault_Slow{Nodes: args[0], StepMs: uint32(step.Milliseconds())}
	return &cirandav1.Fault{Kind: &cirandav1.Fault_Slow_{Slow: slow}}, nil
}

func readClock(args []string) (*cirandav1.Fault, error) {
	c := &cirandav1.Fault_Clock{Nodes: args[0]}
	jump, err := time.ParseDuration(args[1])
	if number, isRate := strings.CutPrefix(args[1], "x"); isRate {
		c.Rate, err = strconv.ParseFloat(number, 64)
	}
	if c.JumpMs = jump.Milliseconds(); err != nil || c.JumpMs == 0 && c.Rate == 0 {
		return nil, mistake{fmt.Sprintf("found %q; expected a time such as +1h or -5s, or a rate such as x1.5", args[1]), ""}
	}
	return &cirandav1.Fault{Kind: &cirandav1.Fault_Clock_{Clock: c}}, nil
}

// linkAndValue reads "LINK VALUE" or "VALUE", which is for all links.
func linkAndValue(args []string) (*cirandav1.Fault_Link, string, error) {
	if len(args) == 1 || args[0] == "all" {
		return &cirandav1.Fault_Link{}, args[len(args)-1], nil
	}
	from, to, err := readLink(args[0])
	return &cirandav1.Fault_Link{From: from, To: to}, args[1], err
}

// readLink reads "1->5".
func readLink(text string) (from, to string, err error) {
	from, to, ok := strings.Cut(text, "->")
	if ok {
		return strings.TrimSpace(from), strings.TrimSpace(to), nil
	}
	hint := ""
	if strings.HasSuffix(text, "-") {
		hint = "the shell takes > for itself: put the link in quotes"
	}
	return "", "", mistake{fmt.Sprintf("found the link %q; expected one such as 1->5", text), hint}
}

func newHeal() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use: "heal [all]", Short: "End all faults",
		Long:    "Heal makes links, disks and clocks whole again, and nodes as fast as they go. Paused nodes stay paused and dead ones dead.",
		Example: "  ciranda fault heal",
		Args:    arguments(0, 1, "all or nothing"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && args[0] != "all" {
				return mistake{fmt.Sprintf("found %q; expected all or nothing", args[0]), ""}
			}
			return t.with(cmd.Context(), func(ctx context.Context, c *api.Client) error {
				r, err := c.Cluster.Heal(ctx, &cirandav1.HealRequest{})
				if err != nil {
					return err
				}
				healed := append([]string{}, r.GetEnded()...)
				return show(cmd, map[string][]string{"healed": healed}, func(w io.Writer) { writeHealed(w, healed) })
			})
		},
	}
	t.flags(cmd)
	return cmd
}

func writeHealed(w io.Writer, healed []string) {
	if len(healed) == 0 {
		fmt.Fprintln(w, "there was nothing to heal")
	}
	for _, h := range healed {
		fmt.Fprintln(w, "healed:", h)
	}
}
