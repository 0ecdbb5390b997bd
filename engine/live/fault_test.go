package live

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ciranda.dev/engine/live/disk"
	"ciranda.dev/engine/network"
	"ciranda.dev/engine/wire"
	"ciranda.dev/protocol"
	"ciranda.dev/trace"
	"ciranda.dev/transport"
)

// link sets a link at both of its ends, as whoever supervises a cluster does.
func (c *cluster) link(from, to protocol.ID, l network.Link) {
	c.t.Helper()
	for _, n := range c.nodes {
		must(c.t, n.SetLink(from, to, l))
	}
}

func (c *cluster) faults(id protocol.ID) (texts []string) {
	for _, e := range c.traces[id].all() {
		if f, ok := e.Data.(trace.FaultNote); ok {
			texts = append(texts, f.Text)
		}
	}
	return texts
}

func TestCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, "")
		c.startAll()
		c.link(1, 2, network.Link{Cut: true})
		c.call(1, write{})
		c.call(2, write{})
		synctest.Wait()
		if a, b, d := c.state(2).Heard[1], c.state(1).Heard[2], c.state(3).Heard[1]; a != 0 || b != 1 || d != 1 {
			t.Errorf("over 1 -> 2, 2 -> 1, 1 -> 3 came %d, %d, %d", a, b, d)
		}
		// What a cut finds on its way is lost too.
		c.link(1, 2, network.Link{Delay: network.Between(time.Second, time.Second)})
		c.call(1, write{})
		c.link(1, 2, network.Link{Cut: true})
		time.Sleep(1050 * time.Millisecond)
		c.link(1, 2, network.Link{})
		must(t, c.nodes[2].SetLink(1, 2, network.Link{Cut: true})) // its own side only
		c.call(1, write{})
		synctest.Wait()
		c.link(1, 2, network.Link{})
		if got := c.state(2).Heard[1]; got != 0 {
			t.Errorf("node 2 heard %d", got)
		}
		c.call(1, write{})
		synctest.Wait()
		if got := c.state(2).Order; !slices.Equal(got, []uint64{4}) {
			t.Errorf("node 2 heard %v", got)
		}
		c.stopAll()
		if c.losses(1)["cut"] < 3 || c.losses(2)["cut"] == 0 {
			t.Errorf("lost at 1: %v, at 2: %v", c.losses(1), c.losses(2))
		}
		want := []string{"cut 1 -> 2", "link 1 -> 2: delay 1s", "cut 1 -> 2", "mend 1 -> 2", "mend 1 -> 2"}
		if got := c.faults(1); !slices.Equal(got, want[:4]) {
			t.Errorf("faults in the trace: %q", got)
		}
		if err := c.check(); err != nil {
			t.Error(err)
		}
	})
}

// A crash behind a cut link is not told.
func TestCutHidesCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, "")
		c.startAll()
		synctest.Wait()
		must(t, c.nodes[1].Isolate(1))
		must(t, c.nodes[2].Isolate(1))
		c.kill(1)
		synctest.Wait()
		if got := c.state(2).Log; len(got) != 0 {
			t.Errorf("node 2 was told %v", got)
		}
		if got := c.state(3).Log; !slices.Equal(got, []string{"net.down{1 1}"}) {
			t.Errorf("node 3 was told %v", got)
		}
		c.stopAll()
	})
}

func TestLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, "")
		c.startAll()
		send := func(count int) []uint64 {
			c.call(2, read{}) // nothing: keeps both alive
			before := len(c.state(2).Order)
			for range count {
				c.call(1, write{})
			}
			time.Sleep(time.Minute)
			return c.state(2).Order[before:]
		}
		c.link(1, 2, network.Link{Loss: 1})
		if got := send(20); len(got) != 0 {
			t.Errorf("all is lost, but %v", got)
		}
		c.link(1, 2, network.Link{Duplicate: 1})
		if got := send(20); len(got) != 40 {
			t.Errorf("all is doubled, but %v", got)
		}
		c.link(1, 2, network.Link{Delay: network.Between(0, time.Second)})
		if got := send(50); len(got) != 50 || slices.IsSorted(got) {
			t.Errorf("delays differ, but %v", got)
		}
		c.link(1, 2, network.Link{Delay: network.Between(0, time.Second), FIFO: true})
		if got := send(50); len(got) != 50 || !slices.IsSorted(got) {
			t.Errorf("first in, first out, but %v", got)
		}
		must(t, c.nodes[1].Heal())
		if got := send(5); !slices.Equal(got, []uint64{141, 142, 143, 144, 145}) {
			t.Errorf("healed, but %v", got)
		}
		if err := c.nodes[1].SetLink(1, 2, network.Link{Loss: 2}); err == nil || !strings.Contains(err.Error(), "the link 1 -> 2 has a loss of 2") {
			t.Errorf("a loss of 200%%: %v", err)
		}
		c.stopAll()
		if k := c.kinds(1); k[trace.Duplicate] < 20 {
			t.Errorf("%d duplicates in the trace", k[trace.Duplicate])
		}
		if err := c.check(); err != nil {
			t.Error(err)
		}
	})
}

// A node that stands still takes nothing; its senders feel it; it goes on where it was.
func TestFreezeAndBackpressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, "")
		c.mesh.room = 10
		c.options = Options{Inbox: 5}
		c.startAll()
		synctest.Wait()
		must(t, c.nodes[2].Freeze())
		for range 40 {
			c.call(1, write{})
			synctest.Wait()
		}
		if s := c.status(2); !s.Frozen || s.Self.ID != 2 {
			t.Errorf("status %+v", s)
		}
		if got := c.status(1).Stats.Dropped["queue"]; got < 20 || got > 25 {
			t.Errorf("%d of 40 messages found no room in a queue of 10 and an inbox of 5", got)
		}
		beats := c.state(1).Beats[2]
		time.Sleep(time.Second)
		if got := c.state(1).Beats[2]; got != beats {
			t.Errorf("%d beats of a node that stands still", got-beats)
		}
		must(t, c.nodes[2].Thaw())
		synctest.Wait()
		if got := len(c.state(2).Order); got < 15 {
			t.Errorf("heard %d", got)
		}
		must(t, c.nodes[2].Freeze())
		c.stopAll() // a frozen node can be closed
		if k := c.kinds(2); k[trace.Pause] != 2 || k[trace.Resume] != 2 {
			t.Errorf("trace: %v", k)
		}
		if err := c.check(); err != nil {
			t.Error(err)
		}
	})
}

// The first message to a node that is gone asks for a new connection; that it is refused is told once.
func TestGoneNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, "")
		c.startAll()
		synctest.Wait()
		link := c.mesh.ends[1]
		c.kill(2)
		time.Sleep(time.Second) // ten beats
		if got := c.state(1).Log; !slices.Equal(got, []string{"net.down{2 1}", "net.down{2 1}"}) || link.redials != 1 {
			t.Errorf("told %v, after %d redials", got, link.redials)
		}
		c.stopAll()
		if got := c.losses(1)["down"]; got < 9 {
			t.Errorf("%d messages to nobody", got)
		}
	})
}

func TestReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, "")
		c.startAll()
		synctest.Wait()
		must(t, c.nodes[1].Reset(2))
		synctest.Wait()
		for id, want := range map[protocol.ID]string{1: "net.down{2 1}", 2: "net.down{1 1}"} {
			if got := c.state(id).Log; !slices.Equal(got, []string{want}) {
				t.Errorf("node %d was told %v", id, got)
			}
		}
		c.call(1, write{})
		synctest.Wait()
		if c.state(2).Heard[1] != 1 || !c.status(2).Peers[0].Connected {
			t.Error("not connected again")
		}
		c.stopAll()
	})
}

func TestClocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, "")
		n := c.start(1)
		read := func() (now, wall time.Duration) {
			c.call(1, clocks{})
			s := c.state(1)
			return s.Now, s.Wall
		}
		now, wall := read()
		if wall != time.Duration(time.Now().UnixNano()) {
			t.Errorf("the wall clock shows %d", wall)
		}
		must(t, n.JumpClock(-time.Hour))
		time.Sleep(time.Second)
		if a, b := read(); a-now != time.Second || b-wall != time.Second-time.Hour {
			t.Errorf("after a jump and a second: %s, %s", a-now, b-wall)
		}
		must(t, n.SetRate(2))
		c.call(1, arm{[]uint32{timerB}}) // in a second of its own
		now, wall = read()
		time.Sleep(400 * time.Millisecond)
		if len(c.state(1).Fired) != 0 {
			t.Error("expired early")
		}
		time.Sleep(200 * time.Millisecond)
		if a, b := read(); a-now != 1200*time.Millisecond || b-wall != a-now || len(c.state(1).Fired) != 1 {
			t.Errorf("twice as fast, after 600 ms: %s, %s, %d expired", a-now, b-wall, len(c.state(1).Fired))
		}
		if n.SetRate(0) == nil || n.SetSlow(-1) == nil || n.SetDisk(disk.Fault{Stall: true}) == nil {
			t.Error("nonsense was taken")
		}
		c.stopAll()
	})
}

func TestSlowNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, "")
		n := c.start(1)
		must(t, n.SetSlow(30*time.Millisecond))
		begun := time.Now()
		for range 10 {
			c.call(1, read{})
		}
		if took := time.Since(begun); took < 270*time.Millisecond || took > 500*time.Millisecond {
			t.Errorf("ten steps of 30 ms took %s", took)
		}
		c.stopAll()
	})
}

// Each life goes on with a Lamport clock above all that the former ones have shown.
func TestLamportAcrossLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, t.TempDir())
		c.startAll()
		for life := range 5 {
			for range life * 10 {
				c.call(1, write{})
			}
			c.kill(1)
			c.start(1)
			synctest.Wait()
			if got := c.status(2).Peers[0]; got.Incarnation != protocol.Incarnation(life+2) || !got.Connected {
				t.Errorf("node 2 sees %+v", got)
			}
		}
		c.call(2, write{})
		synctest.Wait()
		if c.state(1).Heard[2] != 1 {
			t.Error("node 1 does not hear node 2")
		}
		c.stopAll()
		if err := c.check(); err != nil {
			t.Error(err)
		}
		recovered := 0
		for _, e := range c.traces[1].all() {
			if l, ok := e.Data.(trace.Life); ok && e.Kind == trace.Recover && l.Stored {
				recovered++
			}
		}
		if recovered < 4 {
			t.Errorf("%d recoveries with what was stored", recovered)
		}
	})
}

// raw is an end of the mesh without a node.
type raw struct{ lives []string }

func (r *raw) Up(transport.Hello)                                  {}
func (r *raw) Receive(protocol.ID, protocol.Incarnation, [][]byte) {}
func (r *raw) Down(id protocol.ID, inc protocol.Incarnation)       { r.lives = append(r.lives, id.String()) }
func (r *raw) Room(protocol.ID)                                    {}
func (r *raw) Refused(string, error)                               {}

func TestBadMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, "")
		n := c.start(1)
		const far = 1 << 40
		hello := transport.Hello{ID: 2, Incarnation: 7, Lamport: far}
		tr, err := c.mesh.open(&raw{}, func() transport.Hello { return hello })
		must(t, err)
		body, err := n.codec.Encode(nil, protocol.Packet{Channel: 0, Body: Tell{5}})
		must(t, err)
		good := func(e wire.Envelope) []byte { return append(wire.AppendEnvelope(nil, e), body...) }
		for _, bad := range []struct {
			reason  string
			message []byte
		}{
			{"corrupt", nil},
			{"corrupt", []byte{0xff, 1, 2, 3}},
			{"corrupt", wire.AppendEnvelope(nil, wire.Envelope{Seq: 1, Lamport: 1})},
			{"corrupt", append(good(wire.Envelope{Seq: 1, Lamport: 1}), 0)},
			{"corrupt", good(wire.Envelope{Lamport: 1})},
			{"corrupt", good(wire.Envelope{Seq: 1, Lamport: 1 << 63})},
			{"ceiling", good(wire.Envelope{Seq: 1, Lamport: 0})},
			{"ceiling", good(wire.Envelope{Seq: 1, Lamport: far + 1<<33})},
			{"not-me", good(wire.Envelope{Seq: 1, Lamport: 1, To: 9})},
		} {
			before, clock := c.status(1), n.lamport.Time()
			must(t, tr.Send(1, bad.message, nil))
			synctest.Wait()
			after := c.status(1)
			if after.Stats.Dropped[bad.reason] != before.Stats.Dropped[bad.reason]+1 || after.Stats.Received != 0 {
				t.Errorf("%x: dropped %v", bad.message, after.Stats.Dropped)
			}
			if after.Lamport > clock+3 { // the news of the closed connection is an event
				t.Errorf("%x: the clock went from %d to %d", bad.message, clock, after.Lamport)
			}
		}
		// A stamp that is far ahead is taken, if the handshake told of it.
		must(t, tr.Send(1, good(wire.Envelope{Seq: 1, Lamport: far + 1<<31, To: 1}), nil))
		synctest.Wait()
		if got := c.status(1); got.Stats.Received != 1 || got.Lamport < far+1<<31 || c.state(1).Heard[2] != 5 {
			t.Errorf("dropped %v, clock %d", got.Stats.Dropped, got.Lamport)
		}
		c.stopAll()
		must(t, tr.Close(context.Background()))
	})
}
