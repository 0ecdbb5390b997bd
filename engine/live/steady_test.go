package live

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"ciranda.dev/engine/network"
	"ciranda.dev/protocol"
)

// The stack is told of each change of what a link is good for, once and in order.
func TestSteadyLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, "")
		c.gives = protocol.FIFO | protocol.NoLoss
		c.startAll()
		told := func(what string, want ...string) {
			t.Helper()
			synctest.Wait()
			if got := c.state(1).Log; !slices.Equal(got, want) {
				t.Errorf("after %s: told %v, want %v", what, got, want)
			}
		}
		said := []string{"net.steady{2 1 true}"}
		told("the connection", said...)
		c.link(1, 2, network.Link{Loss: 0.5})
		said = append(said, "net.steady{2 1 false}")
		told("loss", said...)
		c.link(1, 2, network.Link{Loss: 0.5, Delay: network.Between(time.Millisecond, time.Second)})
		told("more of it", said...)
		c.link(1, 2, network.Link{})
		said = append(said, "net.steady{2 1 true}")
		told("its end", said...)
		c.link(2, 1, network.Link{Cut: true})
		said = append(said, "net.steady{2 1 false}")
		told("a cut of what comes back", said...)
		c.link(2, 1, network.Link{})
		said = append(said, "net.steady{2 1 true}")
		told("the cut's end", said...)
		must(t, c.nodes[1].Reset(2))
		synctest.Wait()
		said = append(said, "net.down{2 1}", "net.steady{2 1 false}")
		c.call(1, write{})
		synctest.Wait()
		said = append(said, "net.steady{2 1 true}")
		told("a connection in place of one that was closed", said...)
		c.kill(2)
		said = append(said, "net.down{2 1}", "net.steady{2 1 false}")
		told("the peer's death", said...)
		c.stopAll()
	})
}

// What the transport does not queue is lost: the link is not steady until there is room again.
func TestFullQueueIsNotSteady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, "")
		c.gives, c.mesh.room, c.options = protocol.FIFO|protocol.NoLoss, 10, Options{Inbox: 5}
		c.startAll()
		synctest.Wait()
		must(t, c.nodes[2].Freeze())
		for range 40 {
			c.call(1, write{})
			synctest.Wait()
		}
		if c.losses(1)["queue"] == 0 {
			t.Fatal("the queue never was full")
		}
		if got := c.state(1).Log; got[len(got)-1] != "net.steady{2 1 false}" {
			t.Errorf("told %v", got)
		}
		must(t, c.nodes[2].Thaw())
		synctest.Wait()
		if got := c.state(1).Log; got[len(got)-1] != "net.steady{2 1 true}" {
			t.Errorf("once there was room: told %v", got)
		}
		c.stopAll()
	})
}

// A stack that does not care is told nothing.
func TestNobodyAsksForSteadyLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, "")
		c.startAll()
		c.link(1, 2, network.Link{Loss: 0.5})
		synctest.Wait()
		if got := c.state(1).Log; len(got) > 0 {
			t.Errorf("told %v", got)
		}
		c.stopAll()
	})
}
