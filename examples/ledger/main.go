// Ledger is a small program that is a member of a group, as a service would be: every member has the same lines in the same
// order, and one that joins late gets those that it missed.
//
// It reads lines from its input. One that begins with "picture" takes a snapshot of all members; every other one goes into the
// ledger. At the end of the input the member leaves.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"

	"ciranda.dev"
)

func main() {
	log.SetFlags(0)
	id := flag.Int("id", 0, "this member's number")
	peers := flag.String("peers", "", "where all members listen: 1=HOST:PORT,2=HOST:PORT,...")
	dir := flag.String("dir", "", "where this member keeps what it has voted")
	flag.Parse()
	if err := run(*id, *peers, *dir); err != nil {
		log.Fatal(err)
	}
}

func run(id int, peers, dir string) error {
	all, err := addresses(peers)
	if err != nil {
		return err
	}
	var ledger ledger
	m, err := ciranda.Join(ciranda.Config{
		Cluster: "ledger", ID: id, Peers: all, Dir: dir, Profile: "Local", Secret: []byte(os.Getenv("LEDGER_SECRET")),
		Group: &ciranda.Group{Orders: []ciranda.Order{ciranda.Total}, Save: ledger.save, Load: ledger.load},
	})
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- ledger.follow(m) }()
	typed := make(chan error, 1)
	go func() { typed <- send(m) }() // not in the goroutine that reads: what waits to be read may hold up what is sent
	select {
	case err = <-typed:
	case err = <-ended:
		return err
	}
	if left := m.Leave(context.Background()); err == nil {
		err = left
	}
	return err
}

// addresses reads 1=HOST:PORT,2=HOST:PORT.
func addresses(text string) (map[int]string, error) {
	all := map[int]string{}
	for part := range strings.SplitSeq(text, ",") {
		number, address, ok := strings.Cut(part, "=")
		id, err := strconv.Atoi(number)
		if !ok || err != nil {
			return nil, fmt.Errorf("found the peer %q; expected NUMBER=HOST:PORT", part)
		}
		all[id] = address
	}
	return all, nil
}

// A ledger belongs to the goroutine that reads the events, and needs no lock.
type ledger struct{ lines []string }

func (l *ledger) save() []byte { return []byte(strings.Join(l.lines, "\n")) }

func (l *ledger) load(state []byte) {
	l.lines = nil
	if len(state) > 0 {
		l.lines = strings.Split(string(state), "\n")
	}
	fmt.Printf("begins with %d lines\n", len(l.lines))
}

// follow puts what is multicast into the ledger. It returns when the membership has ended.
func (l *ledger) follow(m *ciranda.Member) error {
	for e, err := range m.Events(context.Background()) {
		if err != nil {
			return err
		}
		switch e := e.(type) {
		case ciranda.Message:
			l.lines = append(l.lines, fmt.Sprintf("%d: %s", e.From, e.Payload))
			fmt.Printf("line %d is %s\n", len(l.lines), l.lines[len(l.lines)-1])
		case ciranda.View:
			fmt.Printf("members %v\n", e.Members)
		case ciranda.Blocked:
			fmt.Println("blocked:", e.Why)
		}
	}
	return m.Err()
}

// send multicasts what is typed, until the end of the input.
func send(m *ciranda.Member) error {
	ctx := context.Background()
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		if in.Text() == "picture" {
			if err := picture(ctx, m); err != nil {
				return err
			}
		} else if err := m.Multicast(ctx, ciranda.Total, true, []byte(in.Text())); err != nil {
			return err
		}
	}
	return in.Err()
}

// picture says how many lines each member has at one consistent cut.
func picture(ctx context.Context, m *ciranda.Member) error {
	p, err := m.Snapshot(ctx)
	if err != nil {
		return err
	}
	for id, why := range p.Missing {
		fmt.Printf("picture: member %d is missing: %s\n", id, why)
	}
	for id, state := range p.States {
		fmt.Printf("picture: member %d has %q\n", id, state)
	}
	return nil
}
