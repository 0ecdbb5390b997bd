package shell

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"ciranda.dev/api"
)

// A command is one thing that the shell can do.
type command struct {
	name  string
	short string     // another name; may be empty
	args  []argument // those that may be left out come last
	menu  string     // the entry of the menu; empty: it has none
	help  string     // what it does, in a line
	do    func(ctx context.Context, s *shell, args []string) error
}

// An argument is a word behind a command.
type argument struct {
	name     string // such as NODE
	optional bool
	many     bool                  // all further words; only the last argument
	question string                // what the menu asks
	usual    func(*shell) string   // what an empty answer stands for; nil: nothing
	fits     func(*shell) []string // what it may be, for completion; nil: nobody knows
}

// commands are all commands, in the order of the menu. They are made at the start, for help names them.
var commands []command

func init() {
	commands = []command{
		{name: "node", args: []argument{aNode("Which node?")}, menu: "query a node", help: "all about one node", do: queryNode},
		{name: "status", menu: "query all nodes", help: "all nodes in a table", do: queryAll},
		{name: "leader", menu: "who leads, and how the last election went", help: "who leads, and how the last election went", do: tellLeader},
		{name: "elect", args: []argument{someNode("Which node begins?", anyNode)}, menu: "force an election", help: "let NODE begin an election, or the lowest one that is up", do: elect},
		{name: "network", menu: "network status", help: "who suspects whom, faults, servers, how long a call takes", do: network},
		{name: "test-detection", args: []argument{someNode("Which node?", theLeader), aWay}, menu: "test failure detection",
			help: "stop NODE, or the leader, and measure who notices when; pause or kill (pause)", do: testDetection},
		{name: "balances", menu: "balances", help: "all accounts and their total", do: balances},
		{name: "transfer", args: []argument{anAccount("FROM", "From which account?"), anAccount("TO", "To which account?"), anAmount},
			menu: "transfer money", help: "move money, once", do: transfer},
		{name: "snapshot", args: []argument{someNode("Which node begins?", anyNode)}, menu: "take a snapshot",
			help: "all states and what is on its way, in one consistent cut; NODE begins it, or the lowest one that is up", do: takeSnapshot},
		{name: "group", args: []argument{someNode("Whose view?", anybody)}, menu: "the group", help: "who is a member, as NODE has it, or some member; the last views", do: tellGroup},
		{name: "multicast", args: []argument{aLane, aText}, menu: "multicast", help: "send a message to all members; ORDER is such as fifo, total or uniform-total", do: multicast},
		{name: "listen", args: []argument{aTime}, help: "what a member delivers, as it does, for so long (until Ctrl-C)", do: listen},
		{name: "again", help: "find out about transfers whose answers were lost, and do them if need be", do: again},
		{name: "watch", args: []argument{aTime}, help: "what happens, as it happens, for so long (until Ctrl-C)", do: watch},
		{name: "use", args: []argument{aMiddleware}, help: "call servers by " + strings.Join(Middlewares, " or "), do: use},
		{name: "help", short: "h", help: "this", do: help},
		{name: "quit", short: "q", help: "leave; so does Ctrl-D", do: func(context.Context, *shell, []string) error { return errLeave }},
	}
}

// The kinds of arguments.

func aNode(question string) argument {
	return argument{name: "NODE", question: question, usual: theLeader, fits: (*shell).nodeWords}
}

func someNode(question string, usual func(*shell) string) argument {
	return argument{name: "NODE", optional: true, question: question, usual: usual, fits: (*shell).nodeWords}
}

func anAccount(name, question string) argument {
	return argument{name: name, question: question, fits: (*shell).nodeWords}
}

var (
	anAmount = argument{name: "AMOUNT", question: "How much?", usual: func(*shell) string { return "1" }}
	aTime    = argument{name: "TIME", optional: true}
	aWay     = argument{name: "pause|kill", optional: true, question: "Pause or kill it?", usual: func(*shell) string { return pauseIt },
		fits: func(*shell) []string { return []string{pauseIt, killIt} }}
	aLane = argument{name: "ORDER", question: "In which order?", usual: func(*shell) string { return "fifo" }, fits: (*shell).laneWords}
	aText = argument{name: "TEXT", question: "Which message?", many: true}

	aMiddleware = argument{name: "MIDDLEWARE", fits: func(*shell) []string { return Middlewares }}
)

// anybody stands for some node.
func anybody(*shell) string { return "any" }

// theLeader is the leader that was there when last looked at, or else the word for it.
func theLeader(s *shell) string {
	if s.leader == 0 {
		return "leader"
	}
	return number(s.leader)
}

func anyNode(s *shell) string {
	if len(s.nodes) == 0 {
		return "1"
	}
	return number(s.nodes[0])
}

func (s *shell) nodeWords() []string {
	words := make([]string, len(s.nodes))
	for i, id := range s.nodes {
		words[i] = number(id)
	}
	return words
}

func number(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

func (a argument) words(s *shell) []string {
	if a.fits == nil {
		return nil
	}
	return a.fits(s)
}

// next is how a line could go on behind some words.
func (s *shell) next(words []string) []string {
	if len(words) == 0 {
		var names []string
		for _, c := range commands {
			names = append(names, c.name)
		}
		return names
	}
	for _, c := range commands {
		if c.name == words[0] && len(words) <= len(c.args) {
			return c.args[len(words)-1].words(s)
		}
	}
	return nil
}

// usage is a command as it is written.
func (c *command) usage() string {
	words := []string{c.name}
	for _, a := range c.args {
		word := a.name
		if a.optional {
			word = "[" + word + "]"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

// check refuses too few arguments and too many.
func (c *command) check(args []string) error {
	least := 0
	for _, a := range c.args {
		if !a.optional {
			least++
		}
	}
	most := len(c.args)
	if most > 0 && c.args[most-1].many {
		most = max(most, len(args))
	}
	if len(args) < least || len(args) > most {
		return api.Wrong("", "%s: found %d words behind it; expected: %s", c.name, len(args), c.usage())
	}
	return nil
}

// number is a command's place in the menu.
func (s *shell) number(c *command) int {
	n := 0
	for i := range commands {
		if commands[i].menu != "" {
			n++
		}
		if &commands[i] == c {
			break
		}
	}
	return n
}

func (s *shell) menu() {
	for i := range commands {
		if c := &commands[i]; c.menu != "" {
			s.out.say("  %d  %s", s.number(c), c.menu)
		}
	}
	s.out.say("  h  help: the same as commands")
	s.out.say("  q  quit")
}

func help(_ context.Context, s *shell, _ []string) error {
	rows := [][]string{}
	for i := range commands {
		c, entry := &commands[i], ""
		switch {
		case c.menu != "":
			entry = fmt.Sprint(s.number(c))
		case c.short != "":
			entry = c.short
		}
		rows = append(rows, []string{entry, c.usage(), c.help})
	}
	s.out.table(rows...)
	return nil
}

func use(_ context.Context, s *shell, args []string) error {
	to, err := s.cfg.Connect(args[0])
	if err != nil {
		return err
	}
	s.to.Close()
	s.to, s.via = to, args[0]
	s.out.say("from now on calls go by %s over %s", s.to.Name, s.via)
	return nil
}

// Readers of arguments.

func readNode(field, word string) (uint32, error) {
	n, err := strconv.ParseUint(word, 10, 16)
	if err != nil || n == 0 {
		return 0, api.Wrong(field, "found %q; expected a number such as 3", word)
	}
	return uint32(n), nil
}

func readTime(word string) (time.Duration, error) {
	d, err := time.ParseDuration(word)
	if err != nil || d <= 0 {
		return 0, api.Wrong("time", "found the time %q; expected one such as 500ms, 10s or 2m", word)
	}
	return d, nil
}
