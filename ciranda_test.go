package ciranda_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ciranda.dev"
	"ciranda.dev/pki"
)

// The leader leaves; the others agree on another, in a higher term.
func TestLeaderLeaves(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	listeners, peers := ports(3)
	members := map[int]*ciranda.Member{}
	credentials := issue(t, 3)
	for i, l := range listeners {
		m, err := ciranda.Join(ciranda.Config{Cluster: "test", ID: i + 1, Peers: peers, Credentials: credentials[i],
			Dir: t.TempDir(), Profile: "Local", Listener: l})
		if err != nil {
			t.Fatal(err)
		}
		members[i+1] = m
	}
	first := agreed(ctx, t, members, 0)
	if members[first.Leader].Overlap() == 0 {
		t.Error("an election with a quorum has no bound on two leaders")
	}
	if err := members[first.Leader].Leave(ctx); err != nil {
		t.Fatal(err)
	}
	delete(members, first.Leader)
	second := agreed(ctx, t, members, first.Leader)
	if second.Term.Compare(first.Term) <= 0 {
		t.Errorf("term %s follows %s", second.Term, first.Term)
	}
	for _, m := range members {
		if err := m.Leave(ctx); err != nil {
			t.Error(err)
		}
	}
}

// issue makes credentials for nodes of the cluster test.
func issue(t *testing.T, nodes int) (all []*pki.Credentials) {
	t.Helper()
	authority, err := pki.Init(filepath.Join(t.TempDir(), "authority"), "test")
	if err != nil {
		t.Fatal(err)
	}
	for id := range nodes {
		dir := filepath.Join(t.TempDir(), "node")
		if err := authority.Issue(dir, pki.Request{Role: pki.Node, Name: fmt.Sprint(id + 1)}); err != nil {
			t.Fatal(err)
		}
		c, err := pki.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	return all
}

// agreed waits until all members follow the same leader, another than before.
func agreed(ctx context.Context, t *testing.T, members map[int]*ciranda.Member, before int) ciranda.Leadership {
	t.Helper()
	for ctx.Err() == nil {
		var common ciranda.Leadership
		same := true
		for id, m := range members {
			for now := range m.Watch(ctx) {
				if now.Leader != 0 && now.Leader != before {
					if now.Mine != (now.Leader == id) {
						t.Errorf("member %d: %+v", id, now)
					}
					same = same && (common.Leader == 0 || common.Term == now.Term)
					common = now
					break
				}
			}
		}
		if same && common.Leader != 0 {
			common.Mine = false
			return common
		}
	}
	t.Fatal("the members do not agree")
	return ciranda.Leadership{}
}

func TestMistakes(t *testing.T) {
	good := ciranda.Config{Cluster: "test", ID: 1, Peers: map[int]string{1: "127.0.0.1:0", 2: "127.0.0.1:1"}, Secret: make([]byte, 16)}
	for want, spoil := range map[string]func(*ciranda.Config){
		"no name":      func(c *ciranda.Config) { c.Cluster = "" },
		"not among":    func(c *ciranda.Config) { c.ID = 3 },
		"16 or more":   func(c *ciranda.Config) { c.Secret = []byte("short") },
		"needs a Dir":  func(c *ciranda.Config) { c.Election = "bully+quorum" },
		"the election": func(c *ciranda.Config) { c.Election = "buly" },
		"the profile":  func(c *ciranda.Config) { c.Profile = "Moon" },
		"1 to 65535":   func(c *ciranda.Config) { c.Peers = map[int]string{1: "127.0.0.1:0", 70000: "127.0.0.1:1"} },
	} {
		c := good
		spoil(&c)
		if m, err := ciranda.Join(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, expected an error with %q", err, want)
			if m != nil {
				m.Leave(context.Background())
			}
		}
	}
}
