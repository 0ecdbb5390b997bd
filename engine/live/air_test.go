package live

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"ciranda.dev/engine/network"
	"ciranda.dev/protocol"
	"ciranda.dev/trace"
	"ciranda.dev/transport"
)

// An air carries broadcasts to all ends but the sender's, at once.
type air struct {
	mu    sync.Mutex
	size  int // of the largest message; 0: none gets through
	voice map[protocol.ID]*voice
}

type voice struct {
	transport.Transport
	air   *air
	hello func() transport.Hello
	ears  transport.Hearer
}

func (a *air) open(m *mesh, h transport.Handler, hello func() transport.Hello) (transport.Transport, error) {
	inner, err := m.open(h, hello)
	v := &voice{inner, a, hello, h.(transport.Hearer)}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.voice[hello().ID] = v
	return v, err
}

func (v *voice) Broadcast(m []byte) error {
	if len(m) > v.air.carries() {
		return transport.ErrTooLarge
	}
	v.air.mu.Lock()
	defer v.air.mu.Unlock()
	me := v.hello()
	for id, other := range v.air.voice {
		if id != me.ID {
			other.ears.Hear(me.ID, me.Incarnation, [][]byte{slices.Clone(m)})
		}
	}
	return nil
}

func (a *air) carries() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.size
}

func (v *voice) Carries() protocol.Carries {
	size := v.air.carries()
	return protocol.Carries{Broadcasts: size > 0, Size: size}
}

// set changes what the air carries, and tells all.
func (a *air) set(size int) {
	a.mu.Lock()
	a.size = size
	a.mu.Unlock()
	for _, v := range a.voice {
		v.ears.Carries()
	}
}

// A broadcast is one sending that all others hear. The stack is told when the network carries it, and a fault on any link
// ends that for as long as it lasts.
func TestBroadcast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, "")
		c.air = &air{voice: map[protocol.ID]*voice{}}
		c.startAll()
		synctest.Wait()
		said := []string{}
		told := func(what string, want ...string) {
			t.Helper()
			synctest.Wait()
			said = append(said, want...)
			if got := c.state(1).Log; !slices.Equal(got, said) {
				t.Errorf("after %s: told %v, want %v", what, got, said)
			}
		}
		told("the beginning")
		c.air.set(1000)
		told("the network carries them", "net.carries{true 965 }")
		c.air.set(1000)
		told("the same again")
		c.call(1, shout{300})
		c.call(1, shout{3000})
		synctest.Wait()
		for _, id := range c.group {
			want := []int{300}
			if id == 1 {
				want = nil
			}
			if got := c.state(id).Aloud; !slices.Equal(got, want) {
				t.Errorf("node %d heard %v, want %v", id, got, want)
			}
		}
		if lost := c.losses(1); lost["size"] != 2 {
			t.Errorf("lost are %v", lost)
		}
		c.link(1, 2, network.Link{Loss: 0.5})
		told("a fault", "net.carries{false 0 faults are injected on links of this node}")
		c.call(1, shout{100})
		synctest.Wait()
		if lost := c.losses(1); lost["cut"] != 2 {
			t.Errorf("lost are %v", lost)
		}
		c.link(1, 2, network.Link{})
		told("its end", "net.carries{true 965 }")
		c.air.set(0)
		told("the network ceases to carry them", "net.carries{false 0 }")
		sent := 0
		for _, e := range c.traces[1].all() {
			if e.Kind == trace.Send && e.Peer == protocol.None {
				sent++
			}
		}
		if sent != 3 {
			t.Errorf("%d broadcasts are recorded", sent)
		}
		if err := c.check(); err != nil {
			t.Error(err)
		}
		c.stopAll()
	})
}

// What is no message, or is for a layer that does not listen, is dropped; nobody's connection pays for it.
func TestBadBroadcast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, "")
		c.air = &air{voice: map[protocol.ID]*voice{}, size: 1000}
		c.startAll()
		synctest.Wait()
		for _, m := range [][]byte{nil, {7}, {0, 1, 1, 0, 9, 9}, {0, 0, 1, 0}} {
			c.air.voice[1].ears.Hear(2, 99, [][]byte{m})
		}
		c.call(2, shout{1})
		synctest.Wait()
		if got := c.state(1).Aloud; !slices.Equal(got, []int{1}) {
			t.Errorf("heard %v", got)
		}
		if n := c.losses(1)["corrupt"]; n != 4 {
			t.Errorf("lost are %v", c.losses(1))
		}
		if resets := c.mesh.ends[1].resets; resets > 0 {
			t.Errorf("%d connections were broken", resets)
		}
		c.stopAll()
	})
}
