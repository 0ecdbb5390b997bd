// Package album shows snapshots to people, keeps them in files, and says what has changed from one to another.
//
// A [Snapshot] is the JSON object of the command snapshot and of the files that it saves. It is what the API answers
// ([Of]), with every field there. What is in a state is the application's affair: it is shown and compared as any JSON
// object.
package album

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	cirandav1 "ciranda.dev/api/ciranda/v1"
)

// A Snapshot is one as JSON.
type Snapshot struct {
	ID         string    `json:"id"`
	Initiator  uint32    `json:"initiator"`
	Complete   bool      `json:"complete"`
	Consistent bool      `json:"consistent"`
	ElapsedMs  float64   `json:"elapsed_ms"`
	Nodes      []State   `json:"nodes"`
	Channels   []Channel `json:"channels"`
	Checks     []Check   `json:"checks"`
	Missing    []Missing `json:"missing"`
}

type (
	// A State is that of a node's application.
	State struct {
		ID          uint32         `json:"id"`
		Incarnation uint32         `json:"incarnation"`
		Lamport     uint64         `json:"lamport"`
		State       map[string]any `json:"state"`
	}
	// A Channel is what was on its way from one node to another. Count may be more than the messages that are there.
	Channel struct {
		From     uint32           `json:"from"`
		To       uint32           `json:"to"`
		Count    uint64           `json:"count"`
		Messages []map[string]any `json:"messages"`
	}
	// A Check is something that was looked at: it holds, is violated, or is unexercised.
	Check struct {
		Name    string `json:"name"`
		Verdict string `json:"verdict"`
		Detail  string `json:"detail"`
	}
	// A Missing node is one of which something is missing.
	Missing struct {
		Node uint32 `json:"node"`
		Why  string `json:"why"`
	}
)

// Of is a snapshot that the API answered.
func Of(s *cirandav1.Snapshot) Snapshot {
	j := Snapshot{ID: s.GetId(), Initiator: s.GetInitiator(), Complete: s.GetComplete(), Consistent: s.GetConsistent(),
		ElapsedMs: s.GetElapsedMs(), Nodes: []State{}, Channels: []Channel{}, Checks: []Check{}, Missing: []Missing{}}
	for _, n := range s.GetNodes() {
		j.Nodes = append(j.Nodes, State{n.GetId(), n.GetIncarnation(), n.GetLamport(), n.GetState().AsMap()})
	}
	for _, c := range s.GetChannels() {
		messages := []map[string]any{}
		for _, m := range c.GetMessages() {
			messages = append(messages, m.AsMap())
		}
		j.Channels = append(j.Channels, Channel{c.GetFrom(), c.GetTo(), c.GetCount(), messages})
	}
	for _, c := range s.GetChecks() {
		j.Checks = append(j.Checks, Check{c.GetName(), c.GetVerdict(), c.GetDetail()})
	}
	for _, m := range s.GetMissing() {
		j.Missing = append(j.Missing, Missing{m.GetNode(), m.GetWhy()})
	}
	return j
}

// Holds says whether the snapshot is complete and consistent, and all that was looked at holds.
func (s *Snapshot) Holds() bool {
	return s.Complete && s.Consistent && !slices.ContainsFunc(s.Checks, func(c Check) bool { return c.Verdict != "holds" })
}

// Violated says whether something in it is wrong. What is not complete is not wrong.
func (s *Snapshot) Violated() bool {
	return !s.Consistent || slices.ContainsFunc(s.Checks, func(c Check) bool { return c.Verdict == "violated" })
}

// Line is the snapshot in a line, such as "1#2:5 is complete, 12.3 ms; money-conserved holds: 500 = 470 in accounts + 30
// in flight".
func (s *Snapshot) Line() string {
	line := fmt.Sprintf("%s is %s, %.1f ms", s.ID, s.Quality(), s.ElapsedMs)
	for _, c := range s.Checks {
		if c.Name != consistent || c.Verdict == "violated" {
			line += fmt.Sprintf("; %s %s: %s", c.Name, verb(c.Verdict), c.Detail)
		}
	}
	return line
}

// consistent is the check that says in detail what the snapshot's Consistent says.
const consistent = "cut-consistent"

// Quality says whether it is complete and consistent.
func (s *Snapshot) Quality() string {
	switch {
	case !s.Consistent:
		return "not consistent"
	case !s.Complete:
		return "not complete"
	}
	return "complete"
}

func verb(verdict string) string {
	if verdict == "holds" {
		return verdict
	}
	return "is " + verdict
}

// States are the nodes as a table: its first row says what is below.
func (s *Snapshot) States() [][]string {
	rows := [][]string{{"NODE", "LIFE", "CLOCK", "STATE"}}
	for _, n := range s.Nodes {
		rows = append(rows, []string{number(n.ID), number(n.Incarnation), strconv.FormatUint(n.Lamport, 10), Words(n.State)})
	}
	return rows
}

// OnTheWay are the channels as a table; nil if nothing was on its way.
func (s *Snapshot) OnTheWay() [][]string {
	var rows [][]string
	for _, c := range s.Channels {
		if c.Count > 0 {
			rows = append(rows, []string{number(c.From), number(c.To), strconv.FormatUint(c.Count, 10), c.types()})
		}
	}
	if rows == nil {
		return nil
	}
	return slices.Insert(rows, 0, []string{"FROM", "TO", "ON ITS WAY", ""})
}

// types counts the messages by their types, such as "2 bank.Pay, 1 bank.Paid".
func (c *Channel) types() string {
	counts, order := map[string]int{}, []string{}
	for _, m := range c.Messages {
		name, _ := m["type"].(string)
		if counts[name] == 0 {
			order = append(order, name)
		}
		counts[name]++
	}
	words := make([]string, len(order))
	for i, name := range order {
		words[i] = fmt.Sprintf("%d %s", counts[name], name)
	}
	return strings.Join(words, ", ")
}

// Words is a state in a line: its values by name, then of lists and objects how long they are.
func Words(state map[string]any) string {
	var words, long []string
	for _, name := range names(state) {
		switch v := state[name].(type) {
		case []any:
			long = append(long, fmt.Sprintf("%s: %d", name, len(v)))
		case map[string]any:
			long = append(long, fmt.Sprintf("%s: %d", name, len(v)))
		default:
			words = append(words, name+" "+text(v))
		}
	}
	return strings.Join(append(words, long...), ", ")
}

// text is a value as JSON, cut where it gets long.
func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	if r := []rune(string(b)); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return string(b)
}

func number(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

func names(m map[string]any) []string {
	all := make([]string, 0, len(m))
	for name := range m {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// mostFile is the largest file that is read, in bytes.
const mostFile = 64 << 20

// Read reads a snapshot from a file. The error says what is wrong with the file.
func Read(path string) (s Snapshot, err error) {
	f, err := os.Open(path)
	if err != nil {
		return s, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, mostFile+1))
	if err != nil {
		return s, fmt.Errorf("%s: %w", path, err)
	}
	if len(text) > mostFile {
		return s, fmt.Errorf("%s has more than %d bytes; expected a snapshot", path, mostFile)
	}
	if err := parse(text, &s); err != nil {
		return s, fmt.Errorf("%s is no snapshot: %w", path, err)
	}
	return s, nil
}

func parse(text []byte, s *Snapshot) error {
	if err := json.Unmarshal(text, s); err != nil {
		return err
	}
	if s.ID == "" || s.Nodes == nil {
		return errors.New("found no id and nodes; expected what ciranda snapshot --save writes")
	}
	return nil
}
