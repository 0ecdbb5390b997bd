package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"ciranda.dev/api"
	"ciranda.dev/pki"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/multicast"
)

// A memberConfig is the first line that a member's process reads.
type memberConfig struct {
	ID          protocol.ID
	Members     int
	Order       multicast.Order
	Uniform     bool
	Size        int
	Dir         string // where the member keeps what it persists
	Credentials string // a directory; empty: no TLS, and Token is what members know each other by
	Token       string // a file
}

// The addresses of a member are its first answer. The second line that it reads has those of all.
type addresses struct{ Peer, Raw string }

// A task is what a member is told to do, a line each. It answers with a report.
type task struct {
	Do    string        // meet, raw, load, settle, trips, casts
	All   []addresses   `json:",omitempty"` // by number; of meet
	For   time.Duration `json:",omitempty"`
	Total uint64        `json:",omitempty"` // of settle: how many messages were cast
	Peer  protocol.ID   `json:",omitempty"` // of trips
}

// A report is what became of a task.
type report struct {
	Problem     string      `json:",omitempty"`
	Coordinator protocol.ID `json:",omitempty"` // of meet
	PerSecond   float64     `json:",omitempty"` // of raw, in bytes; of load, after its first second
	Busy        float64     `json:",omitempty"` // of raw and load: seconds of processors a second
	First       uint64      `json:",omitempty"` // of load: deliveries in its first second
	Cast        uint64      `json:",omitempty"` // of load
	Sum         uint64      `json:",omitempty"` // of settle: stands for what was delivered
	Hash        uint64      `json:",omitempty"` // of settle: and in which order
	Took        []float64   `json:",omitempty"` // of trips and casts: microseconds
}

// A crew is the processes of the members, as the one that measures sees them.
type crew struct {
	dir     string
	members []*member
	head    protocol.ID // the coordinator
}

// A member is one of them.
type member struct {
	process   *exec.Cmd
	tasks     io.WriteCloser // the process ends with it
	reports   *json.Decoder
	addresses addresses
}

// gather starts the processes.
func gather(ctx context.Context, o MulticastOptions) (*crew, error) {
	dir, err := os.MkdirTemp("", "ciranda-bench-*")
	if err != nil {
		return nil, err
	}
	c := &crew{dir: dir}
	configs, err := c.certify(o)
	for i := 0; i < len(configs) && err == nil; i++ {
		err = c.start(ctx, configs[i])
	}
	for i := 0; i < len(c.members) && err == nil; i++ {
		err = c.members[i].answer(&c.members[i].addresses)
	}
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// certify gives each member what the others know it by.
func (c *crew) certify(o MulticastOptions) ([]memberConfig, error) {
	configs := make([]memberConfig, o.Members)
	for i := range configs {
		id := protocol.ID(i + 1)
		configs[i] = memberConfig{ID: id, Members: o.Members, Order: o.Order, Uniform: o.Uniform, Size: o.Size,
			Dir: filepath.Join(c.dir, "member-"+id.String())}
	}
	if o.Insecure {
		token := filepath.Join(c.dir, "token")
		for i := range configs {
			configs[i].Token = token
		}
		_, err := api.NewToken(token)
		return configs, err
	}
	authority, err := pki.Init(filepath.Join(c.dir, "authority"), multicastCluster)
	for i := 0; i < len(configs) && err == nil; i++ {
		m := &configs[i]
		m.Credentials = filepath.Join(c.dir, "credentials-"+m.ID.String())
		err = authority.Issue(m.Credentials, pki.Request{Role: pki.Node, Name: m.ID.String()})
	}
	return configs, err
}

func (c *crew) start(ctx context.Context, config memberConfig) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	m := &member{process: exec.CommandContext(ctx, program, "bench", "multicast-member")}
	m.process.Stderr = os.Stderr
	if m.tasks, err = m.process.StdinPipe(); err != nil {
		return err
	}
	reports, err := m.process.StdoutPipe()
	if err != nil {
		return err
	}
	m.reports = json.NewDecoder(reports)
	if err := m.process.Start(); err != nil {
		return fmt.Errorf("bench: member %d: %w", config.ID, err)
	}
	c.members = append(c.members, m)
	return m.tell(config)
}

// pid is the process of a member.
func (c *crew) pid(id protocol.ID) int { return c.members[id-1].process.Process.Pid }

func (m *member) tell(what any) error { return json.NewEncoder(m.tasks).Encode(what) }

func (m *member) answer(to any) error {
	if err := m.reports.Decode(to); err != nil {
		return fmt.Errorf("bench: a member has ended: %w", err)
	}
	return nil
}

// meet connects all members and waits until they are one group.
func (c *crew) meet() error {
	meeting := task{Do: "meet", For: startFor}
	for _, m := range c.members {
		meeting.All = append(meeting.All, m.addresses)
	}
	reports, err := c.all(meeting)
	if err == nil {
		c.head = reports[0].Coordinator
	}
	return err
}

// all has all members do a task at a time.
func (c *crew) all(t task) ([]report, error) {
	for _, m := range c.members {
		if err := m.tell(t); err != nil {
			return nil, fmt.Errorf("bench: a member has ended: %w", err)
		}
	}
	reports := make([]report, len(c.members))
	var errs []error
	for i, m := range c.members {
		errs = append(errs, m.report(i, &reports[i]))
	}
	return reports, errors.Join(errs...)
}

func (m *member) report(i int, r *report) error {
	if err := m.answer(r); err != nil {
		return err
	}
	if r.Problem != "" {
		return fmt.Errorf("bench: member %d: %s", i+1, r.Problem)
	}
	return nil
}

// one has one member do a task.
func (c *crew) one(id protocol.ID, t task) (r report, err error) {
	m := c.members[id-1]
	if err = m.tell(t); err == nil {
		err = m.report(int(id-1), &r)
	}
	return r, err
}

// others are all members but the coordinator.
func (c *crew) others() (ids []protocol.ID) {
	for i := range c.members {
		if id := protocol.ID(i + 1); id != c.head {
			ids = append(ids, id)
		}
	}
	return ids
}

// close ends the processes.
func (c *crew) close() error {
	for _, m := range c.members {
		m.tasks.Close()
	}
	for _, m := range c.members {
		_ = m.process.Wait() // how it ended matters no more
	}
	return os.RemoveAll(c.dir)
}
