package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/cli/screen"
	"ciranda.dev/cluster"
)

// upFlags are the flags of up.
type upFlags struct {
	config cluster.Config
	detach bool
	wait   time.Duration
}

func newUp() *cobra.Command {
	var f upFlags
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start a cluster of real processes on this machine",
		Long: "Up starts a cluster and shows it living: who leads, who suspects whom, and why. Keys break it.\n" +
			"It ends with up, or with down if it was detached. What its nodes have stored is there the next time.",
		Example: "  ciranda up\n  ciranda up -d --nodes 7 --election bully+quorum --name lesson-3",
		Args:    arguments(0, 0, "none"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.wait <= 0 {
				return mistake{fmt.Sprintf("found --wait %s; expected a time above 0", f.wait), ""}
			}
			if f.detach {
				return f.detached(cmd)
			}
			return f.attached(cmd)
		},
	}
	f.flags(cmd)
	cmd.Flags().BoolVarP(&f.detach, "detach", "d", false, "return when leader and group are agreed on, and leave the cluster running")
	cmd.Flags().DurationVar(&f.wait, "wait", 10*time.Second, "how long --detach waits for a leader")
	return cmd
}

func (f *upFlags) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.config.Name, "name", cluster.DefaultName, "the cluster's name")
	flags.IntVar(&f.config.Shape.Nodes, "nodes", 0, fmt.Sprintf("how many nodes, 2 to %d (default 5)", cluster.MaxNodes))
	flags.IntVar(&f.config.Gateways, "gateways", 1, fmt.Sprintf("how many gateways beside them, 0 to %d", cluster.MaxGateways))
	flags.BoolVar(&f.config.Sockets, "socket", false, "give each node and gateway a port for plain sockets")
	flags.IntVar(&f.config.Shape.Port, "port", 0, "the first of its ports (default: some that are free)")
	flags.BoolVar(&f.config.Fresh, "fresh", false, "forget what the nodes of that name have stored")
	flags.StringVar(&f.config.Level, "level", "", "how much the nodes record: protocol or full (default protocol)")
	flags.BoolVar(&f.config.Shape.Insecure, "insecure", false, "plain text in place of certificates, for lessons with a packet sniffer")
	transportFlag(cmd, &f.config.Shape.Transport)
	stackFlags(cmd, &f.config.Shape)
}

// attached runs the supervisor in this process and shows the cluster until it is left.
func (f *upFlags) attached(cmd *cobra.Command) error {
	log, err := cluster.SupervisorLog(f.config.Name)
	if err != nil {
		return err
	}
	defer log.Close()
	f.config.Log = slog.New(slog.NewTextHandler(log, nil))
	s, err := cluster.Open(cmd.Context(), f.config)
	if err != nil {
		return err
	}
	err = f.showCluster(cmd, s)
	return errors.Join(err, s.Close())
}

// showCluster shows a cluster on the terminal, or tells its story in lines where there is none.
func (f *upFlags) showCluster(cmd *cobra.Command, s *cluster.Supervisor) error {
	c, err := api.Dial(s.GRPC(), s.Access())
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	go func() {
		select {
		case <-s.Done():
			cancel()
		case <-ctx.Done():
		}
	}()
	if onTerminal() && !wantsJSON(cmd) {
		err = screen.Run(ctx, c)
	} else {
		p := printer{out: cmd.OutOrStdout(), notes: cmd.ErrOrStderr(), json: wantsJSON(cmd)}
		err = p.follow(ctx, c, &cirandav1.WatchRequest{Cursor: api.FromStart})
	}
	switch {
	case interrupted(cmd.Context()), errors.Is(err, screen.ErrInterrupted):
		return errInterrupted
	case ctx.Err() != nil:
		return nil // down
	default:
		return err
	}
}

// readiness is the line by which a detached supervisor tells the process that started it how it went.
type readiness struct {
	Ready   bool   `json:"ready"`
	Error   string `json:"error,omitempty"`
	Hint    string `json:"hint,omitempty"`
	Mistake bool   `json:"mistake,omitempty"`
}

// detached starts a supervisor that outlives this process, and waits for a leader and for the group.
func (f *upFlags) detached(cmd *cobra.Command) error {
	if err := f.startSupervisor(cmd); err != nil {
		return err
	}
	t := target{name: f.config.Name}
	return t.with(cmd.Context(), func(ctx context.Context, c *api.Client) error {
		wait, cancel := context.WithTimeout(ctx, f.wait)
		defer cancel()
		s, err := c.Await(wait, isSettled)
		if err != nil {
			down, cancel := context.WithTimeout(context.Background(), endTime)
			defer cancel()
			c.Supervisor.Down(down, &cirandav1.DownRequest{}) // as if it had never been started
			if ctx.Err() != nil {
				return errInterrupted
			}
			why := s.GetWhyNoLeader()
			switch {
			case why != "":
			case wait.Err() != nil:
				why = "the nodes have not told yet"
			default:
				why = err.Error()
			}
			return &api.Error{Text: fmt.Sprintf("no leader within %s: %s", f.wait, why), Hint: "--wait gives it more time; ciranda logs has more"}
		}
		if grouped, err := c.Await(wait, isGrouped); err == nil {
			s = grouped
		} // else the status says where the group stands still
		return show(cmd, statusOf(s), func(w io.Writer) { writeStatus(w, s) })
	})
}

// isSettled says whether there is the leader that is waited for; without an election there will be none.
func isSettled(s *cirandav1.StatusResponse) bool {
	return s.GetLeader() != 0 || strings.Contains(s.GetStack(), " + none")
}

// isGrouped says whether each node has a view, if they form a group, and the group stands still nowhere.
func isGrouped(s *cirandav1.StatusResponse) bool {
	return !strings.Contains(s.GetStack(), " + group(") || !slices.ContainsFunc(s.GetNodes(), func(n *cirandav1.NodeStatus) bool {
		return n.GetView() == 0 || n.GetBlocked() != ""
	})
}

// startSupervisor starts the hidden command supervise with the same flags.
func (f *upFlags) startSupervisor(cmd *cobra.Command) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	child := exec.Command(program, f.arguments()...)
	child.Args[0] = "ciranda" // whatever the file is called
	cluster.Detach(child)
	output, err := child.StdoutPipe()
	if err != nil {
		return err
	}
	if err := child.Start(); err != nil {
		return fmt.Errorf("the supervisor: %w", err)
	}
	stop := context.AfterFunc(cmd.Context(), func() { child.Process.Kill() }) // before it is ready nobody else could
	defer stop()
	var r readiness
	if err := json.NewDecoder(output).Decode(&r); err != nil {
		child.Wait()
		if cmd.Context().Err() != nil {
			return errInterrupted
		}
		return &api.Error{Text: fmt.Sprintf("the supervisor ended: %v", child.ProcessState), Hint: "ciranda logs has more"}
	}
	switch {
	case r.Mistake:
		return mistake{r.Error, r.Hint}
	case !r.Ready:
		return &api.Error{Text: r.Error, Hint: r.Hint}
	default:
		return child.Process.Release()
	}
}

func (f *upFlags) arguments() []string {
	c := f.config
	args := []string{"supervise", "--name", c.Name, "--nodes", fmt.Sprint(c.Shape.Nodes), "--gateways", fmt.Sprint(c.Gateways), "--port", fmt.Sprint(c.Shape.Port),
		"--election", c.Shape.Election, "--detector", c.Shape.Detector, "--profile", c.Shape.Profile, "--transport", c.Shape.Transport, "--app", c.Shape.App, "--orders", c.Shape.Orders, "--level", c.Level}
	if c.Shape.Insecure {
		args = append(args, "--insecure")
	}
	if c.Sockets {
		args = append(args, "--socket")
	}
	if c.Fresh {
		args = append(args, "--fresh")
	}
	return args
}

// newSupervise is the supervisor of a detached cluster.
func newSupervise() *cobra.Command {
	var f upFlags
	cmd := &cobra.Command{
		Use: "supervise", Hidden: true, Short: "The supervisor of a detached cluster; up -d starts it",
		Args: arguments(0, 0, "none"),
		RunE: func(cmd *cobra.Command, _ []string) error { return f.supervise(cmd) },
	}
	f.flags(cmd)
	return cmd
}

func (f *upFlags) supervise(cmd *cobra.Command) error {
	log, err := cluster.SupervisorLog(f.config.Name)
	if err != nil {
		tell(err)
		return err
	}
	defer log.Close()
	f.config.Log = slog.New(slog.NewTextHandler(log, nil))
	s, err := cluster.Open(cmd.Context(), f.config)
	tell(err)
	if err != nil {
		return err
	}
	select {
	case <-s.Done():
	case <-cmd.Context().Done():
	}
	return s.Close()
}

// tell says how the start went, and gives standard output up: nobody reads it from here on.
func tell(err error) {
	r := readiness{Ready: err == nil}
	if err != nil {
		r.Error, r.Mistake = oneLine(err.Error()), status(err) == exitMistake
		if e := api.AsError(err); e != nil {
			r.Error, r.Hint = oneLine(e.Text), e.Hint
		}
	}
	printJSON(os.Stdout, r)
	os.Stdout.Close()
}
