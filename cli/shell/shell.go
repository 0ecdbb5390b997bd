// Package shell is an interactive client of a cluster: a menu for those who do not know the commands yet, and a prompt
// for those who do. What happens it says in words.
//
// [Run] reads lines until there are no more. On a [Terminal] it asks, keeps a history and completes words; Ctrl-C ends
// the command that runs, or empties the line, and Ctrl-D leaves. From a pipe it reads one command a line, prints plain
// answers and goes on after one that failed.
//
// The shell survives the loss of what it is connected to: a command that only reads is asked again, elsewhere if there
// are several servers, and a transfer is asked for again with the same id, so that it is done once. It gives up after
// a while and says so; for good it gives up only when the user leaves.
//
// It does not trust what it shows: text of others cannot command the terminal. It decides nothing either: what a user
// may do is for the servers to say.
package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"google.golang.org/grpc"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/gateway"
)

// A Config says where a shell reads and what it speaks to.
type Config struct {
	// Connect makes a connection over a middleware, one of Middlewares. It is called again when one has failed.
	Connect func(via string) (*Connection, error)
	Via     string // the middleware to begin with; empty: the first

	Terminal *Terminal // nil: lines come from In
	In       io.Reader
	Out      io.Writer // for what was asked for, off a terminal
	Errors   io.Writer // for notes and errors, off a terminal
	History  string    // the file that keeps it; empty: none does
}

// Middlewares are the ways to call servers.
var Middlewares = []string{"grpc", "socket", "rmi"}

// A Connection is where a shell sends its calls: a gateway or several, or whoever else serves the same.
type Connection struct {
	Name      string // for people, such as "gateway 127.0.0.1:26021"
	Cluster   cirandav1.ClusterServiceClient
	Events    cirandav1.EventServiceClient // nil: the middleware has no streams
	Bank      cirandav1.BankServiceClient
	Snapshots cirandav1.SnapshotServiceClient
	Group     cirandav1.GroupServiceClient
	Echo      cirandav1.EchoServiceClient
	// Supervisor acts on processes. Nil: whoever else is called does, if it says that it is a supervisor.
	Supervisor *Supervisor
	Close      func() error

	itself *Supervisor // who is called, if it is one
}

// A Supervisor acts on processes, and sees their ends.
type Supervisor struct {
	Processes cirandav1.SupervisorServiceClient
	Events    cirandav1.EventServiceClient
}

// Over makes a connection of whatever carries calls but no streams. End closes it.
func Over(name string, c grpc.ClientConnInterface, end func() error) *Connection {
	return &Connection{Name: name, Cluster: cirandav1.NewClusterServiceClient(c), Bank: cirandav1.NewBankServiceClient(c),
		Snapshots: cirandav1.NewSnapshotServiceClient(c), Group: cirandav1.NewGroupServiceClient(c), Echo: cirandav1.NewEchoServiceClient(c), Close: end}
}

// Of makes a connection of a client. End closes it.
func Of(name string, c *api.Client, end func() error) *Connection {
	return &Connection{Name: name, Cluster: c.Cluster, Events: c.Events, Bank: c.Bank, Snapshots: c.Snapshots, Group: c.Group, Echo: c.Echo, Close: end,
		itself: &Supervisor{c.Supervisor, c.Events}}
}

// supervisor is who acts on processes; nil if nobody that is known does.
func (c *Connection) supervisor(r *cirandav1.StatusResponse) *Supervisor {
	if c.Supervisor == nil && r.GetSupervisorPid() != 0 {
		return c.itself
	}
	return c.Supervisor
}

// ErrFailed says that a command from a pipe has failed; it has been reported.
var ErrFailed = errors.New("a command has failed")

// errLeave ends a shell.
var errLeave = errors.New("leave")

// A shell is one that runs.
type shell struct {
	cfg    Config
	in     input
	out    *printer
	to     *Connection
	via    string
	name   string   // of the cluster, once it is known
	nodes  []uint32 // that were there when last looked at, for completion
	leader uint32   // then
	failed bool

	teller  *gateway.Teller
	unknown []*cirandav1.TransferRequest // whose outcome is not known
}

// Run serves one user. It returns nil when the user leaves, ErrFailed if a command from a pipe failed, and the cause of
// ctx when that ends.
func Run(ctx context.Context, c Config) error {
	s := &shell{cfg: c, via: c.Via}
	s.teller = gateway.NewTeller("shell", &lasting{s: s})
	if s.via == "" {
		s.via = Middlewares[0]
	}
	var err error
	if s.to, err = c.Connect(s.via); err != nil {
		return err
	}
	defer func() { s.to.Close() }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if c.Terminal == nil {
		s.in, s.out = newPipe(c.In), &printer{out: c.Out, errors: c.Errors, prefix: "ciranda: "}
		return s.loop(ctx)
	}
	k := newKeyboard(ctx, *c.Terminal, readHistory(c.History))
	s.in, s.out = k, &printer{out: k.screen, errors: k.screen, colours: c.Terminal.Colours}
	s.greet(ctx)
	return s.loop(ctx)
}

// greet says where one is, and what can be done.
func (s *shell) greet(ctx context.Context) {
	err := s.in.run(ctx, func(ctx context.Context) error {
		status, err := s.status(ctx)
		if err != nil {
			return err
		}
		s.out.sayAs(bold, "%s, by %s over %s", leaderText(status), s.to.Name, s.via)
		if status.GetInsecure() {
			s.out.sayAs(bad, "This cluster is insecure: its traffic is not encrypted.")
		}
		return nil
	})
	if err != nil {
		s.report(err)
	}
	s.menu()
}

// loop reads commands and does them.
func (s *shell) loop(ctx context.Context) error {
	for {
		line, err := s.in.ask(question{prompt: s.prompt(), keep: true, complete: s.next})
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, errGivenUp):
			continue
		case errors.Is(err, io.EOF):
			return s.outcome()
		case err != nil:
			return err
		}
		err = s.do(ctx, line)
		switch {
		case errors.Is(err, errLeave):
			return s.outcome()
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			s.report(err)
		}
	}
}

func (s *shell) prompt() string {
	name := s.name
	if name == "" {
		name = "ciranda"
	}
	return name + "> "
}

func (s *shell) outcome() error {
	if s.failed && s.cfg.Terminal == nil {
		return ErrFailed
	}
	return nil
}

// report says that a command failed.
func (s *shell) report(err error) {
	if errors.Is(err, errGivenUp) {
		s.out.note("given up")
		return
	}
	s.failed = true
	s.out.failed(err)
}

// do does what a line says: a command with its arguments, or the number of an entry of the menu. Nothing and comments
// do nothing.
func (s *shell) do(ctx context.Context, line string) error {
	line, _, _ = strings.Cut(line, "#")
	words := strings.Fields(line)
	if len(words) == 0 {
		return nil
	}
	c, args, err := s.choose(ctx, words[0], words[1:])
	if err != nil {
		return err
	}
	return s.in.run(ctx, func(ctx context.Context) error {
		err := c.do(ctx, s, args)
		if err != nil && errors.Is(context.Cause(ctx), errGivenUp) && !errors.As(err, new(*api.Error)) {
			return errGivenUp // which is no failure
		}
		return err
	})
}

// choose finds a command by its name or number, and its arguments. Those that it needs and that are not there are asked
// for when it was chosen by number.
func (s *shell) choose(ctx context.Context, word string, args []string) (*command, []string, error) {
	number, err := strconv.Atoi(word)
	byNumber := err == nil
	for i := range commands {
		c := &commands[i]
		if c.name != word && c.short != word && (!byNumber || c.menu == "" || number != s.number(c)) {
			continue
		}
		if byNumber && len(args) == 0 {
			args, err = s.inquire(ctx, c)
			return c, args, err
		}
		return c, args, c.check(args)
	}
	e := api.Wrong("", "found %q; expected a command or a number of the menu", word)
	e.Hint = "help shows both"
	return nil, nil, e
}

// inquire asks for the arguments of a command, one after the other.
func (s *shell) inquire(ctx context.Context, c *command) ([]string, error) {
	if len(c.args) > 0 {
		s.in.run(ctx, s.glance)
	}
	var args []string
	for _, a := range c.args {
		usual := ""
		if a.usual != nil {
			usual = a.usual(s)
		}
		prompt := a.question
		if usual != "" {
			prompt += fmt.Sprintf(" [%s]", usual)
		}
		word, err := s.in.ask(question{prompt: prompt + " ", complete: func([]string) []string { return a.words(s) }})
		switch {
		case errors.Is(err, io.EOF) && s.cfg.Terminal == nil:
			return nil, api.Wrong("", "the input ended before the answer to %q", a.question)
		case errors.Is(err, io.EOF):
			return nil, errGivenUp
		case err != nil:
			return nil, err
		case word == "":
			word = usual
		}
		args = append(args, strings.Fields(word)...)
	}
	return args, c.check(args)
}
