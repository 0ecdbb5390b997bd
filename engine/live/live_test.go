package live

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/trace"
	"ciranda.dev/transport"
)

func TestFiveNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 5, t.TempDir())
		c.startAll()
		for range 20 {
			for _, id := range c.group {
				c.call(id, write{})
			}
			time.Sleep(50 * time.Millisecond)
		}
		synctest.Wait()
		for _, id := range c.group {
			s := c.state(id)
			if len(s.Heard) != 4 || s.Count != 20 || s.Flushes == 0 {
				t.Errorf("node %d: count %d, heard %v, %d flushes", id, s.Count, s.Heard, s.Flushes)
			}
			for from, count := range s.Heard {
				if count != 20 || s.Beats[from] < 9 {
					t.Errorf("node %d heard %d and %d beats from %d", id, count, s.Beats[from], from)
				}
			}
		}
		if s := c.status(3); len(s.Peers) != 4 || !s.Peers[0].Connected || s.Peers[0].Incarnation != 1 || s.Stats.Received == 0 {
			t.Errorf("status %+v", s)
		}
		c.stop(2)
		synctest.Wait()
		s := c.state(1)
		if s.Heard[2] != 1020 {
			t.Errorf("what node 2 said when it stopped was not heard: %v", s.Heard)
		}
		if want := "net.down{2 1}"; !slices.Contains(s.Log, want) {
			t.Errorf("node 1 was told %v; expected %s", s.Log, want)
		}
		c.stopAll()
		if err := c.check(); err != nil {
			t.Error(err)
		}
		if k := c.kinds(2); k[trace.Start] != 1 || k[trace.Stop] != 1 || k[trace.Persisted] != 20 || k[trace.Call] != 20 {
			t.Errorf("trace of node 2: %v", k)
		}
	})
}

// At the default level there is no message and no timer in the trace.
func TestProtocolLevel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, "")
		for _, id := range c.group {
			cfg := c.config(id)
			cfg.Level = trace.Off // means the default
			n, err := Open(cfg)
			if err != nil {
				t.Fatal(err)
			}
			c.nodes[id] = n
		}
		c.call(1, write{})
		time.Sleep(time.Second)
		c.stopAll()
		k := c.kinds(1)
		if k[trace.Start] != 1 || k[trace.Told] != 1 || k[trace.Send]+k[trace.Receive]+k[trace.TimerFire] != 0 {
			t.Errorf("got %v", k)
		}
	})
}

// Two timers are due at once, and the first one's step cancels the second.
func TestCancelledTimerNeverExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, "")
		c.startAll()
		c.call(1, arm{[]uint32{timerA, timerB}})
		time.Sleep(2 * time.Second)
		if got := c.state(1).Fired; !slices.Equal(got, []uint32{timerA}) {
			t.Errorf("armed a, b: fired %v", got)
		}
		c.call(1, arm{[]uint32{timerB, timerA}})
		time.Sleep(2 * time.Second)
		if got := c.state(1).Fired[1:]; !slices.Equal(got, []uint32{timerB, timerA}) {
			t.Errorf("armed b, a: fired %v", got)
		}
		// Overdue for long, because the node stood still.
		c.call(1, arm{[]uint32{timerA, timerB}})
		must(t, c.nodes[1].Freeze())
		time.Sleep(time.Hour)
		must(t, c.nodes[1].Thaw())
		synctest.Wait()
		if got := c.state(1).Fired[3:]; !slices.Equal(got, []uint32{timerA}) {
			t.Errorf("overdue: fired %v", got)
		}
		c.stopAll()
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, "")
		n := c.start(1)
		soon, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		var refused Refused
		if _, err := n.Call(soon, "nonsense"); !errors.As(err, &refused) || !strings.Contains(refused.Why, "takes string") {
			t.Errorf("a call that no layer takes: %v", err)
		}
		if _, err := n.Call(soon, never{}); !errors.Is(err, ErrMaybe) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a call without a reply: %v", err)
		}
		synctest.Wait()
		if len(n.replies) != 0 {
			t.Error("the call that was given up is still kept")
		}
		if _, err := n.Ask(context.Background(), 7); err == nil || !strings.Contains(err.Error(), "answers int") {
			t.Errorf("a question without an answer: %v", err)
		}
		must(t, n.Freeze())
		late, cancelLate := context.WithTimeout(context.Background(), time.Second)
		defer cancelLate()
		if _, err := n.Call(late, write{}); errors.Is(err, ErrMaybe) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a call that was not begun: %v", err)
		}
		if _, err := n.Ask(late, "state"); err == nil {
			t.Error("a frozen node answered")
		}
		maybe := make(chan error)
		must(t, n.Thaw())
		go func() {
			_, err := n.Call(context.Background(), never{})
			maybe <- err
		}()
		synctest.Wait()
		c.stop(1)
		if err := <-maybe; !errors.Is(err, ErrMaybe) || !errors.Is(err, ErrStopped) {
			t.Errorf("a call at the end: %v", err)
		}
		if _, err := n.Call(context.Background(), write{}); err != ErrStopped {
			t.Errorf("a call after the end: %v", err)
		}
		if _, err := n.Status(); err != ErrStopped || n.Freeze() != ErrStopped {
			t.Errorf("status after the end: %v", err)
		}
		if n.Close(context.Background()) != nil || n.Err() != nil {
			t.Error("closing twice is an error")
		}
	})
}

func TestPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, "")
		c.startAll()
		n := c.nodes[1]
		if _, err := n.Call(context.Background(), boom{}); !errors.Is(err, ErrMaybe) {
			t.Errorf("the call: %v", err)
		}
		<-n.Done()
		for _, want := range []string{"node 1, incarnation 1: panic: boom", "toy: count 0", "toy_test.go"} {
			if !strings.Contains(fmt.Sprint(n.Err()), want) {
				t.Errorf("%v\ndoes not say %q", n.Err(), want)
			}
		}
		synctest.Wait()
		if got := c.state(2).Log; !slices.Contains(got, "net.down{1 1}") {
			t.Errorf("node 2 was told %v", got)
		}
		c.stop(2)
	})
}

func TestMistakesOfConfig(t *testing.T) {
	c := newCluster(t, 2, "")
	for want, change := range map[string]func(*Config){
		"live: node 1: there is no Build":                                  func(c *Config) { c.Build = nil },
		"live: node 1: there is no Transport":                              func(c *Config) { c.Transport = nil },
		"live: node 9: node 9 is not in the group [1 2]":                   func(c *Config) { c.ID = 9 },
		"live: node 1: the option DiskLimit is 1ns; expected at least 1ms": func(c *Config) { c.Options.DiskLimit = 1 },
		"live: node 1: the option Inbox is -1; expected at least 1":        func(c *Config) { c.Options.Inbox = -1 },
		"live: node 1: the option Waiting is -1; expected at least 1":      func(c *Config) { c.Options.Waiting = -1 },
		"live: node 1: protocol: a stack has 1 to 255 layers, not 0": func(c *Config) {
			c.Build = func(s protocol.Self) (*protocol.Stack, error) { return protocol.NewStack(s) }
		},
		"live: node 1: the port is taken": func(c *Config) {
			c.Transport = func(transport.Handler, func() transport.Hello) (transport.Transport, error) {
				return nil, errors.New("the port is taken")
			}
		},
	} {
		cfg := c.config(1)
		change(&cfg)
		if _, err := Open(cfg); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
