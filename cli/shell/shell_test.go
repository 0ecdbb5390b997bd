package shell

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	cirandav1 "ciranda.dev/api/ciranda/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script runs a shell on lines from a pipe.
func script(t *testing.T, f *server, lines string) (out, errs string, err error) {
	t.Helper()
	var o, e bytes.Buffer
	err = Run(t.Context(), Config{Connect: f.connect, In: strings.NewReader(lines), Out: &o, Errors: &e})
	return o.String(), e.String(), err
}

func TestSnapshot(t *testing.T) {
	out, errs, err := script(t, newServer(), "snapshot 1\n")
	want := `snapshot 1#1:1, begun by node 1: not complete, 2.0 ms
NODE  LIFE  CLOCK  STATE
1     1     9      balance 70
FROM  TO  ON ITS WAY
2     1   3
node 2 is missing: restarted
money-conserved unexercised: n2 did not report
`
	if err != nil || errs != "" || strings.ReplaceAll(out, " \n", "\n") != strings.ReplaceAll(want, " \n", "\n") {
		t.Errorf("got %v, %s, %q", err, errs, out)
	}
	if _, errs, err := script(t, newServer(), "snapshot 7\n"); !errors.Is(err, ErrFailed) || !strings.Contains(errs, "there is no node 7") {
		t.Errorf("got %v, %q", err, errs)
	}
}

func TestPipe(t *testing.T) {
	out, errs, err := script(t, newServer(), "balances\n\n# a comment\ntransfer 1 2 5\nstatus\n")
	if err != nil || errs != "" {
		t.Errorf("error %v, %q", err, errs)
	}
	if want := `ACCOUNT  NODE  BALANCE
1        1     100
2        2     100
3        3     100
total 300, of it 0 on the way: all that the bank began with
5 units are on the way from 1 to 2; transfer 1:1
test: node 3 leads in term 4.3
NODE  STATE  FOLLOWS  TERM  SUSPECTS  CLOCK  LIFE
1     up     3        4.3   nobody    7      1
2     up     3        4.3   nobody    7      1
3     up     leads    4.3   nobody    7      1
`; out != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
}

// A shell goes on after a command that failed, and says so at the end.
func TestPipeGoesOn(t *testing.T) {
	f := newServer()
	out, errs, err := script(t, f, "transfer 1 2 500\nblances\nnode 9\nnode x\ntransfer 1 2\ntransfer 1 2 0\nwatch -1s\nuse corba\ntransfer 1 2 5\n")
	if !errors.Is(err, ErrFailed) {
		t.Errorf("error %v, want %v", err, ErrFailed)
	}
	if want := `ciranda: error: account 1 holds 100
ciranda: error: found "blances"; expected a command or a number of the menu
ciranda: hint: help shows both
ciranda: error: there is no node 9; expected one of 1, 2 and 3
ciranda: error: found "x"; expected a number such as 3
ciranda: error: transfer: found 2 words behind it; expected: transfer FROM TO AMOUNT
ciranda: error: found the amount "0"; expected a whole number from 1
ciranda: error: found the time "-1s"; expected one such as 500ms, 10s or 2m
ciranda: error: found "corba"; expected grpc or socket
`; errs != want {
		t.Errorf("got\n%s\nwant\n%s", errs, want)
	}
	if f.balances[1] != 95 || out != "5 units are on the way from 1 to 2; transfer 1:1\n" {
		t.Errorf("balances %v after\n%s", f.balances, out)
	}
	if out, _, err := script(t, newServer(), "quit\nblances\n"); err != nil || out != "" {
		t.Errorf("quit: %q, %v", out, err)
	}
	if _, _, err := script(t, newServer(), strings.Repeat("x", 2*maxLine)); err == nil || !strings.Contains(err.Error(), "4096") {
		t.Errorf("a long line: %v", err)
	}
}

// In a pipe an entry of the menu takes its answers from the lines that follow.
func TestPipeMenu(t *testing.T) {
	f := newServer()
	out, errs, err := script(t, f, "8\n1\n2\n\n1\n\n8\n1\n")
	if !errors.Is(err, ErrFailed) || errs != "ciranda: error: the input ended before the answer to \"To which account?\"\n" {
		t.Errorf("error %v, %q", err, errs)
	}
	want(t, out, "1 unit is on the way from 1 to 2", "node 3 is up, in its life 1", "it leads in term 4.3; its election: idle",
		"it suspects nobody", "its account holds 100", "gRPC 127.0.0.1:7003")
}

func TestTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newServer()
		d := sit(t, f, nil)
		want(t, d.seen(), "test: node 3 leads in term 4.3, by the gateway over grpc", "1  query a node", "8  transfer money", "test> ")
		want(t, d.types("8\r"), "From which account? ")
		want(t, d.types("1\r"), "To which account? ")
		want(t, d.types("2\r"), "How much? [1] ")
		want(t, d.types("30\r"), "30 units are on the way from 1 to 2; transfer 1:1", "test> ")
		want(t, d.types("4\r"), "Which node begins? [1] ")
		want(t, d.types("\r"), "node 1 has begun an election", "test: node 3 leads in term 5.3")
		want(t, d.types("nonsense\r"), `error: found "nonsense"`, "help shows both", "test> ")
		want(t, d.types("help\r"), "transfer FROM TO AMOUNT", "move money, once")
		want(t, d.types("network\r"), "all 3 nodes are up", "a call to the gateway over grpc takes")
		want(t, d.types("use socket\r"), "from now on calls go by the gateway over socket")
		want(t, d.types("watch 10s\r"), "events come as a stream, and socket has none")
		want(t, d.types("leader\r"), "node 3 leads", "use grpc")
		if err := d.leave(); err != nil {
			t.Errorf("Run returned %v", err)
		}
		if f.balances[2] != 130 || len(f.begun) != 1 || f.begun[0] != "1" {
			t.Errorf("balances %v, elections %v", f.balances, f.begun)
		}
	})
}

// Ctrl-C ends what runs, empties the line and gives a question up, but never ends the shell.
func TestInterrupt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newServer()
		d := sit(t, f, nil)
		d.types("watch\r")
		f.live <- event(1, 2, "fd.suspect", "{}", "node 2 suspects node 3")
		want(t, d.seen(), "node 2 suspects node 3")
		want(t, d.types("\x03"), "test> ")
		want(t, d.types("quit\x03"), "test> ")
		if got := d.types("balances\r"); !strings.Contains(got, "total 300") {
			t.Errorf("the line was not emptied:\n%s", got)
		}
		d.types("8\r")
		want(t, d.types("\x03"), "given up", "test> ")
		d.types("8\r")
		want(t, d.types("\x04"), "given up", "test> ")
		if err := d.leave(); err != nil || len(f.transfers) != 0 {
			t.Errorf("Run returned %v after %d transfers", err, len(f.transfers))
		}
	})
}

func TestEndOfContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, keys := range []string{"", "watch\r", "8\r"} {
			d := sit(t, newServer(), nil)
			d.types(keys)
			stop := errors.New("terminated")
			d.cancel(stop)
			if err := <-d.end; !errors.Is(err, stop) {
				t.Errorf("after %q Run returned %v", keys, err)
			}
		}
	})
}

func TestHistory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	synctest.Test(t, func(t *testing.T) {
		d := sit(t, newServer(), func(c *Config) { c.History = path })
		d.types("transfer 1 2 7\r")
		d.types("8\r3\r2\r1\r") // answers are no commands
		d.types("balances\r")
		d.types("balances\r")
		want(t, d.types("\x1b[A\x1b[A\x1b[A\r"), "7 units are on the way")
		d.leave()
	})
	got, err := os.ReadFile(path)
	if want := "transfer 1 2 7\n8\nbalances\ntransfer 1 2 7\n"; err != nil || string(got) != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if h := readHistory(path); h.Len() != 4 || h.At(1) != "balances" {
		t.Errorf("read %q", h.lines)
	}
}

// What a history file holds cannot grow without bound, nor command the terminal.
func TestHistoryIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	var text strings.Builder
	for i := range 3 * maxHistory {
		fmt.Fprintf(&text, "node %d\x1b[2J\n", i)
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	h := readHistory(path)
	if h.Len() != maxHistory || h.At(0) != fmt.Sprintf("node %d[2J", 3*maxHistory-1) {
		t.Errorf("%d lines, the last one %q", h.Len(), h.At(0))
	}
	if b, _ := os.ReadFile(path); bytes.Count(b, []byte("\n")) != maxHistory {
		t.Errorf("the file holds %d lines", bytes.Count(b, []byte("\n")))
	}
	missing := readHistory(filepath.Join(t.TempDir(), "no", "such", "place"))
	missing.keep = true
	if missing.Add("status"); missing.Len() != 1 {
		t.Error("without a file nothing is remembered")
	}
}

func TestCompletion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newServer()
		d := sit(t, f, nil)
		want(t, d.types("bal\t\r"), "total 300")
		want(t, d.types("tr\t1 \t"), "1  2  3")
		want(t, d.types("2 4\r"), "4 units are on the way from 1 to 2")
		want(t, d.types("use s\t\r"), "over socket")
		want(t, d.types("n\t"), "node  network")
		want(t, d.types("xyz\t\x03"), "test> ")
		d.leave()
	})
}

func TestCompleter(t *testing.T) {
	next := func(words []string) []string {
		if len(words) > 0 {
			return []string{"12", "13"}
		}
		return []string{"node", "network", "leader"}
	}
	complete := completer(next, io.Discard)
	for _, c := range []struct {
		line string
		pos  int
		want string
	}{
		{"le", 2, "leader "},
		{"n", 1, "n"},
		{"ne", 2, "network "},
		{"zz", 2, "zz"},
		{"node ", 5, "node 1"},
		{"le 3", 2, "leader 3"},
	} {
		got, pos, ok := complete(c.line, c.pos, tab)
		if got != c.want || !ok || pos < c.pos || pos > len(got) {
			t.Errorf("%q at %d: got %q at %d, want %q", c.line, c.pos, got, pos, c.want)
		}
	}
	if _, _, ok := complete("le", 2, 'a'); ok {
		t.Error("a letter was taken for the tab key")
	}
}

// A command that only reads is asked again until somebody answers.
func TestLostServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newServer()
		d := sit(t, f, nil)
		f.set(func() { f.down = true })
		want(t, d.types("balances\r"), "the gateway does not answer; trying again for 10s")
		time.Sleep(2 * time.Second)
		f.set(func() { f.down = false })
		time.Sleep(2 * time.Second)
		want(t, d.seen(), "connected again: the gateway", "total 300", "test> ")
		f.set(func() { f.down = true })
		d.types("status\r")
		time.Sleep(time.Minute)
		want(t, d.seen(), "error: nothing answers at the gateway", "test> ")
		d.types("status\r")
		want(t, d.types("\x03"), "given up")
		f.set(func() { f.down, f.still = false, true })
		d.types("status\r")
		time.Sleep(2 * time.Second)
		want(t, d.seen(), "waiting for the gateway")
		f.set(func() { f.still = false })
		time.Sleep(5 * time.Second)
		want(t, d.seen(), "node 3 leads in term 4.3")
		if err := d.leave(); err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
}

// A transfer whose answer is lost is asked for again, and done once.
func TestLostAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newServer()
		d := sit(t, f, nil)
		f.set(func() { f.loseNext = true })
		d.types("transfer 1 3 40\r")
		time.Sleep(time.Second)
		want(t, d.seen(), "asking again with the same id", "40 units are on the way from 1 to 3")
		if len(f.transfers) != 2 || !proto.Equal(f.transfers[0], f.transfers[1]) || f.balances[1] != 60 {
			t.Errorf("%v; balances %v", f.transfers, f.balances)
		}
		f.set(func() { f.loseNext = true })
		d.types("transfer 2 3 1\r")
		f.set(func() { f.down = true })
		time.Sleep(time.Minute)
		want(t, d.seen(), "error: it is not known whether it happened", "again asks for the same transfer")
		f.set(func() { f.down = false })
		want(t, d.types("again\r"), "1 unit from 2 to 3:", "1 unit is on the way")
		want(t, d.types("again\r"), "of all transfers it is known")
		if f.balances[2] != 99 {
			t.Errorf("balances %v", f.balances)
		}
		d.leave()
	})
}

// Text of others stays text.
func TestHostileText(t *testing.T) {
	f := newServer()
	f.faults = []string{"a\x1b]0;owned\x07b\r\nnode 9 leads\u202e\x9b2J\xff"}
	out, _, err := script(t, f, "network\n")
	if err != nil || !strings.Contains(out, "fault: a]0;ownedb node 9 leads\uFFFD2J\uFFFD\n") {
		t.Errorf("%q, %v", out, err)
	}
	if strings.ContainsAny(out, "\x1b\x07\r\u202e") {
		t.Errorf("%q", out)
	}
}

func TestLastElection(t *testing.T) {
	f := newServer()
	f.leader, f.term = 2, 2
	f.past = []*cirandav1.Event{
		event(10, 5, "el.leader", `{"leader":5,"term":{"counter":1,"leader":5}}`, "node 5 leads (term 1.5)"),
		event(12, 1, "el.leader", `{"leader":5,"term":{"counter":1,"leader":5}}`, "node 1 follows node 5"),
		event(90_000, 2, "fd.suspect", `{"node":9}`, "long before"),
		event(100_002, 1, "fd.suspect", `{"node":5}`, "node 1 suspects node 5: its connections closed"),
		event(100_000, 5, "crash", `{}`, "node 5 crashes"),
		event(100_003, 1, "el.start", `{"counter":2,"why":"suspect"}`, "node 1 calls an election: its leader is suspected"),
		event(100_004, 2, "el.start", `{"counter":2,"why":"outranked"}`, "node 2 calls an election: a lower node leads or stands"),
		event(100_050, 2, "el.leader", `{"leader":2,"term":{"counter":2,"leader":2}}`, "node 2 leads (term 2.2): nobody above it answered"),
		event(100_052, 1, "el.leader", `{"leader":2,"term":{"counter":2,"leader":2}}`, "node 1 follows node 2 (term 2.2)"),
		event(120_000, 3, "el.leader", `{"leader":3,"term":{"counter":1,"leader":3}}`, "node 3 leads alone for a moment"),
		event(150_000, 1, "el.start", `{"counter":3,"why":"request"}`, "node 1 calls an election: somebody asked for one"),
		event(200_000, 1, "el.leader", `{"leader":2,"term":{"counter":2,"leader":2}}`, "node 1 follows node 2 (term 2.2)"),
	}
	out, _, err := script(t, f, "3\n")
	if want := `test: node 2 leads in term 2.2
The last election:
  node 1 began it: its leader is suspected
  node 2 answered by standing too
  node 2 won, and leads in term 2.2; followed by node 1
It took 52.0 ms, from the first to the last of
      +0.0 ms  node 5 crashes
      +2.0 ms  node 1 suspects node 5: its connections closed
      +3.0 ms  node 1 calls an election: its leader is suspected
      +4.0 ms  node 2 calls an election: a lower node leads or stands
     +50.0 ms  node 2 leads (term 2.2): nobody above it answered
     +52.0 ms  node 1 follows node 2 (term 2.2)
Since then nobody else has won:
  +50000.0 ms  node 1 calls an election: somebody asked for one
`; err != nil || out != want {
		t.Errorf("error %v, got\n%s\nwant\n%s", err, out, want)
	}
	f.past = nil
	out, _, _ = script(t, f, "leader\n")
	want(t, out, "no election is remembered")
}

// The test of the detection counts from the pause, whatever order events arrive in, and lets the node go on.
func TestDetection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newServer()
		f.onStop = func() {
			f.live <- event(1150, 1, "fd.suspect", `{"node":3}`, "node 1 suspects node 3: nothing was heard")
			f.live <- event(1000, 3, "pause", `{}`, "node 3 stands still")
			f.live <- event(1155, 1, "fd.suspect", `{"node":2}`, "node 1 suspects node 2")
			f.live <- event(1160, 2, "fd.suspect", `{"node":3}`, "node 2 suspects node 3: nothing was heard")
			f.live <- event(1200, 2, "el.leader", `{"leader":2}`, "node 2 leads")
			f.live <- event(1201, 1, "el.leader", `{"leader":2}`, "node 1 follows node 2")
		}
		d := sit(t, f, nil)
		d.types("6\r")
		d.types("\r")
		want(t, d.types("\r"), "pause the leader, node 3 for a while? y/n [n]")
		got := d.types("y\r")
		want(t, got, "+0.0 ms  node 3 stands still", "+150.0 ms  node 1 suspects node 3", "+160.0 ms  node 2 suspects node 3",
			"+200.0 ms  node 2 leads", "+201.0 ms  node 1 follows node 2", "node 3 goes on", "test> ")
		if strings.Contains(got, "suspects node 2") {
			t.Errorf("it told what is of no interest:\n%s", got)
		}
		d.types("test-detection 2 kill\r")
		d.types("n\r")
		d.types("test-detection 2 kill\r")
		d.types("y\r")
		time.Sleep(time.Minute)
		want(t, d.seen(), "error: after 30s: nodes 1 and 3 did not suspect node 2")
		d.types("test-detection 1\r")
		d.types("y\r")
		d.types("\x03")
		f.set(func() { f.refused = "pause 1" })
		d.types("test-detection 1\r")
		want(t, d.types("y\r"), "error: you may not")
		if got := strings.Join(f.stopped, ", "); got != "pause 3, resume 3, kill 2, restart 2, pause 1, resume 1" {
			t.Errorf("the supervisor was asked to %s", got)
		}
		d.leave()
	})
}

// Where nobody can stop a node the shell says how, and watches.
func TestDetectionOutside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newServer()
		d := sit(t, f, func(c *Config) {
			c.Connect = func(via string) (*Connection, error) {
				to, err := f.connect(via)
				to.Supervisor = nil
				return to, err
			}
		})
		want(t, d.types("test-detection 2\r"), "docker compose pause node2", "Watching who suspects node 2")
		f.live <- event(5000, 1, "fd.suspect", `{"node":2}`, "node 1 suspects node 2")
		f.live <- event(5010, 3, "fd.suspect", `{"node":2}`, "node 3 suspects node 2")
		want(t, d.seen(), "+0.0 ms  node 1 suspects node 2", "+10.0 ms  node 3 suspects node 2", "test> ")
		d.leave()
	})
}

// Whatever is typed, a line ends, and so does the shell.
func FuzzKeys(f *testing.F) {
	for _, keys := range []string{"balances\r", "\x1b[A\x1b[B\x1b[200~paste\r\x1b[201~", "\xff\xfe\r", "\x1b[111", "a\x03b\x15\x0b\x04", "é\t\x7f"} {
		f.Add([]byte(keys))
	}
	f.Fuzz(func(t *testing.T, keys []byte) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			k := newKeyboard(ctx, Terminal{ReadWriter: struct {
				io.Reader
				io.Writer
			}{bytes.NewReader(keys), io.Discard}}, readHistory(filepath.Join(t.TempDir(), "none")))
			for range len(keys) + 2 {
				if _, err := k.ask(question{keep: true, complete: func([]string) []string { return []string{"a", "ab"} }}); err != nil && !errors.Is(err, errGivenUp) {
					return
				}
			}
			t.Errorf("%q: more lines than keys", keys)
		})
	})
}

// The line that is being written follows the width of the terminal.
func TestResize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		width, resized := 40, make(chan os.Signal)
		d := sit(t, newServer(), func(c *Config) {
			c.Terminal.Size = func() (int, int) { return width, 10 }
			c.Terminal.Resized = resized
		})
		line := strings.Repeat("x", 30)
		if got := d.types(line); strings.Contains(got, "\n") {
			t.Errorf("the line is broken:\n%s", got)
		}
		d.types("")
		width = 20
		resized <- nil
		want(t, d.seen(), "test> xxxxxxxxxxxxxx\nxxxxxxxxxxxxxxxx")
		d.types("\x03")
		d.leave()
	})
}
