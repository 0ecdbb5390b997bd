package live

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ciranda.dev/engine/live/disk"
	"ciranda.dev/protocol"
	"ciranda.dev/trace"
)

// A stalled disk holds up all that rests on what was persisted, and nothing else.
func TestStalledDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, t.TempDir())
		c.startAll()
		c.call(1, write{})
		synctest.Wait()
		recorded := len(c.traces[1].all())
		must(t, c.nodes[1].SetDisk(disk.Fault{Stall: true}))

		replies := make(chan uint64, 3)
		for _, body := range []any{write{}, read{}, write{}} {
			go func() { replies <- c.call(1, body) }()
			synctest.Wait()
		}
		if len(replies) != 0 || c.state(2).Heard[1] != 1 {
			t.Fatalf("%d replies; node 2 heard %d", len(replies), c.state(2).Heard[1])
		}
		for _, e := range c.traces[1].all()[recorded:] {
			if e.Kind == trace.Persisted || e.Kind == trace.Told || e.Kind == trace.Send {
				t.Errorf("%s %v is in the trace before the disk has answered", e.Kind, e.Data)
			}
		}
		beats := c.state(2).Beats[1]
		time.Sleep(900 * time.Millisecond)
		if s := c.status(1); s.DiskStalled || slices.Contains(c.state(1).Log, "disk{true}") {
			t.Error("stalled before the limit")
		}
		time.Sleep(200 * time.Millisecond)
		if s := c.status(1); !s.DiskStalled || s.Waiting == 0 || !slices.Contains(c.state(1).Log, "disk{true}") {
			t.Errorf("stalled %v, %d waiting, told %v", s.DiskStalled, s.Waiting, c.state(1).Log)
		}
		if got := c.state(2).Beats[1] - beats; got < 10 {
			t.Errorf("%d beats in 1.1 s of a stalled disk", got)
		}

		inTrace := 0
		for _, e := range c.traces[1].all()[recorded:] {
			if e.Kind == trace.Noted && e.Data == (protocol.Disk{Stalled: true}) || e.Kind == trace.Send && e.Data == (Beat{}) {
				inTrace++
			}
		}
		if inTrace < 21 {
			t.Errorf("%d of 10 beats to two and the news of the disk are in the trace already", inTrace)
		}
		must(t, c.nodes[1].SetDisk(disk.Fault{}))
		synctest.Wait()
		if got := []uint64{<-replies, <-replies, <-replies}; got[0]+got[1]+got[2] != 2+2+3 {
			t.Errorf("replies %v", got)
		}
		if got := c.state(2).Order; !slices.Equal(got, []uint64{1, 2, 2, 3}) {
			t.Errorf("node 2 heard %v", got)
		}
		if got := c.state(1).Log; got[len(got)-1] != "disk{false}" {
			t.Errorf("node 1 was told %v", got)
		}
		for _, e := range c.traces[1].all()[recorded:] {
			if waited := e.Kind == trace.Persisted || e.Kind == trace.Send && e.Data != (Beat{}); waited && e.Cause == 0 {
				t.Errorf("%s %v waited for the disk, and its cause is forgotten", e.Kind, e.Data)
			}
		}
		c.stopAll()
		if err := c.check(); err != nil {
			t.Error(err)
		}
	})
}

// A node whose disk stalls from the first does not begin, and can be closed.
func TestStalledFromTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, t.TempDir())
		cfg := c.config(1)
		cfg.Disk = c.disk(1)
		cfg.Disk.SetFault(disk.Fault{Stall: true})
		n, err := Open(cfg)
		must(t, err)
		synctest.Wait()
		if s, err := n.Status(); err != nil || s.Stats.Steps != 0 || len(c.traces[1].all()) != 0 {
			t.Errorf("%d steps, %d events, %v", s.Stats.Steps, len(c.traces[1].all()), err)
		}
		if err := n.Close(context.Background()); err == nil || !strings.Contains(err.Error(), "before its disk let it begin") {
			t.Errorf("closed with %v", err)
		}
		cfg.Disk.SetFault(disk.Fault{})
		must(t, cfg.Disk.Close(context.Background()))
	})
}

// A node that persists nothing does not wait for its disk.
func TestNothingPersisted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, t.TempDir())
		c.startAll()
		synctest.Wait()
		must(t, c.nodes[1].SetDisk(disk.Fault{Stall: true}))
		for range 100 {
			c.call(1, read{})
		}
		must(t, c.nodes[1].Heal())
		c.stopAll()
	})
}

// exposed runs a node with a slow disk, kills it at a random moment and lets it recover. It says whether anybody heard
// of, or was replied, a count that the node has forgotten.
func exposed(t *testing.T, seed uint64, m mistake) (forgot bool, err error) {
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(seed, 7))
		c := newCluster(t, 2, t.TempDir())
		c.mistake = m
		c.startAll()
		must(t, c.nodes[1].SetDisk(disk.Fault{Slow: time.Duration(1+random.IntN(20)) * time.Millisecond}))
		replied := uint64(0)
		for range 5 + random.IntN(20) {
			soon, cancel := context.WithTimeout(context.Background(), time.Duration(random.IntN(30))*time.Millisecond)
			body := []any{write{}, write{}, read{}}[random.IntN(3)]
			if r, err := c.nodes[1].Call(soon, body); err == nil {
				replied = max(replied, r.(uint64))
			}
			cancel()
		}
		c.kill(1)
		synctest.Wait()
		heard := c.state(2).Heard[1]
		c.start(1)
		kept := c.state(1).Count
		forgot = kept < max(heard, replied)
		c.stopAll()
		err = c.check()
	})
	return forgot, err
}

func TestNothingForgottenWasSeen(t *testing.T) {
	for seed := range uint64(60) {
		forgot, err := exposed(t, seed, right)
		if forgot || err != nil {
			t.Errorf("seed %d: forgot %v, trace: %v", seed, forgot, err)
		}
	}
}

// The gate's mistakes would be noticed.
func TestMistakesOfTheGate(t *testing.T) {
	for _, m := range []mistake{ownWrites, noGate} {
		caught := 0
		for seed := range uint64(60) {
			if forgot, _ := exposed(t, seed, m); forgot {
				caught++
			}
		}
		if caught == 0 {
			t.Errorf("mistake %d was not noticed", m)
		}
	}
}

// With heartbeats behind the gate, a stalled disk makes its node fall silent.
func TestBeatsBehindTheGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, t.TempDir())
		c.mistake = nothingUngated
		c.startAll()
		c.call(1, write{})
		must(t, c.nodes[1].SetDisk(disk.Fault{Stall: true}))
		go func() { _, _ = c.nodes[1].Call(context.Background(), write{}) }()
		synctest.Wait()
		beats := c.state(2).Beats[1]
		time.Sleep(time.Second)
		if got := c.state(2).Beats[1]; got != beats {
			t.Errorf("%d beats", got-beats)
		}
		must(t, c.nodes[1].Heal())
		c.stopAll()
	})
}

// When too much waits for the disk, the node takes no more calls and messages; when far too much does, it ends.
func TestGateIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, t.TempDir())
		c.options = Options{Waiting: 20}
		c.startAll()
		must(t, c.nodes[1].SetDisk(disk.Fault{Stall: true}))
		for range 50 {
			go func() { _, _ = c.nodes[1].Call(context.Background(), write{}) }()
		}
		synctest.Wait()
		if got := c.status(1).Waiting; got < 20 || got > 30 {
			t.Errorf("%d outputs wait", got)
		}
		must(t, c.nodes[1].SetDisk(disk.Fault{}))
		synctest.Wait()
		if got := c.state(1).Count; got != 50 {
			t.Errorf("%d of 50 writes went through", got)
		}

		must(t, c.nodes[1].SetDisk(disk.Fault{Stall: true}))
		n := c.nodes[1]
		go func() { _, _ = n.Call(context.Background(), write{}) }()
		synctest.Wait()
		must(t, n.SetDisk(disk.Fault{Stall: true}))
		if !n.do(func() {
			for range 100 {
				n.gate.push(output{effect: protocol.Effect{Kind: protocol.Note, Body: protocol.Stopping{}}, mark: n.gate.mark})
			}
		}) {
			t.Fatal("the node has ended")
		}
		<-n.Done()
		if n.Err() == nil || !strings.Contains(n.Err().Error(), "more than 80 outputs wait for the disk") {
			t.Errorf("ended with %v", n.Err())
		}
		gone, cancel := context.WithCancel(context.Background())
		cancel()
		_ = c.disks[1].Close(gone)
		c.stop(2)
	})
}

func TestDiskFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, t.TempDir())
		c.startAll()
		n := c.nodes[1]
		must(t, n.SetDisk(disk.Fault{Fail: true}))
		if _, err := n.Call(context.Background(), write{}); err == nil {
			t.Error("a write that failed was replied to")
		}
		<-n.Done()
		if got := fmt.Sprint(n.Err()); !strings.Contains(got, "live: node 1: disk: ") || !strings.Contains(got, "injected fault") {
			t.Errorf("ended with %s", got)
		}
		_ = c.disks[1].Close(context.Background())
		if c.state(2).Heard[1] != 0 {
			t.Error("node 2 heard of it")
		}
		c.stop(2)
	})
}

// A node that is closed while its disk stalls gives up when it has to, and says what was lost.
func TestCloseWhileStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, t.TempDir())
		c.startAll()
		n := c.nodes[1]
		must(t, n.SetDisk(disk.Fault{Stall: true}))
		go func() { _, _ = n.Call(context.Background(), write{}) }()
		synctest.Wait()
		soon, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		err := n.Close(soon)
		if err == nil || !strings.Contains(err.Error(), "still waited for the disk") {
			t.Errorf("got %v", err)
		}
		_ = c.disks[1].Close(soon)
		if got := c.state(2).Heard[1]; got != 1001 { // ungated
			t.Errorf("node 2 heard %d", got)
		}
		c.stop(2)
	})
}
