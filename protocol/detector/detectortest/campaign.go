package detectortest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
	"ciranda.dev/protocol/protocoltest"
)

// Campaign lets a group of nodes suffer at random: crashes, returns, cuts, losses, delays, reordering, pauses, closed
// connections, resets. Then all heals and the group is left alone for the time calm. It gives the first promise that
// was broken, in words, or "": of one life Suspect and Restore alternate, nothing is told of a life after a newer one,
// and in the end the suspected nodes are just those that are down. The same seed gives the same run.
func Campaign(kit protocoltest.Kit, size int, seed uint64, calm time.Duration, options ...string) string {
	c := campaign{
		Bench: kit.New(size, options...), size: size, rand: rand.New(rand.NewPCG(seed, seed)),
		told: map[[2]protocol.ID]opinion{},
	}
	c.Observe, c.Quiet = c.observe, true
	c.do("start")
	for range 40 {
		c.suffer()
	}
	return c.judge(calm)
}

type campaign struct {
	*protocoltest.Bench
	size   int
	rand   *rand.Rand
	told   map[[2]protocol.ID]opinion // by observer and observed, of the observer's present life
	broken string
}

// An opinion is what was last told of a node.
type opinion struct {
	life      protocol.Incarnation
	suspected bool
}

// do carries out a command. One that cannot be done now is passed over.
func (c *campaign) do(format string, args ...any) {
	_, _ = c.Do(fmt.Sprintf(format, args...))
}

func (c *campaign) node() protocol.ID { return protocol.ID(1 + c.rand.IntN(c.size)) }

// suffer does one thing to the group.
func (c *campaign) suffer() {
	a, b := c.node(), c.node()
	for a == b {
		b = c.node()
	}
	switch c.rand.IntN(16) {
	case 0, 1, 2, 3, 4:
		c.do("run %dms", 1+c.rand.IntN(200))
	case 5, 6:
		c.do("pass %dms", 1+c.rand.IntN(150))
	case 7:
		c.do("deliver %d %d last", a, b)
	case 8:
		c.do("drop %d %d", a, b)
	case 9:
		c.crash(a)
	case 10, 11:
		c.recover(a)
	case 12:
		c.do("cut %d %d", a, b)
	case 13:
		c.do("heal")
	case 14:
		c.do("%s %d", []string{"pause", "resume"}[c.rand.IntN(2)], a)
	case 15:
		c.do("%s", []string{fmt.Sprintf("down %d %d", a, b), fmt.Sprintf("call %d reset %d", a, b)}[c.rand.IntN(2)])
	}
}

// crash crashes a node. Its connections are closed, which some of the others notice.
func (c *campaign) crash(id protocol.ID) {
	if c.Stack(id) == nil {
		return
	}
	c.do("crash %d", id)
	for other := protocol.ID(1); int(other) <= c.size; other++ {
		if other != id && c.rand.IntN(2) == 0 {
			c.do("down %d %d", other, id)
		}
	}
}

// recover brings a node back. It has told nothing yet.
func (c *campaign) recover(id protocol.ID) {
	if c.Stack(id) != nil {
		return
	}
	for other := protocol.ID(1); int(other) <= c.size; other++ {
		delete(c.told, [2]protocol.ID{id, other})
	}
	c.do("recover %d", id)
}

func (c *campaign) observe(id protocol.ID, e protocol.Effect) {
	if e.Kind != protocol.Indicate {
		return
	}
	switch told := e.Body.(type) {
	case detector.Suspect:
		c.check(id, told.Node, opinion{told.Incarnation, true}, told.Why)
	case detector.Restore:
		c.check(id, told.Node, opinion{told.Incarnation, false}, "")
	}
}

// check compares what is told with what was told before.
func (c *campaign) check(id, about protocol.ID, now opinion, why detector.Why) {
	pair := [2]protocol.ID{id, about}
	before, known := c.told[pair]
	switch {
	case c.broken != "":
	case known && now.life < before.life && why != detector.Restarted:
		c.broken = fmt.Sprintf("%s: node %d tells of life %d of node %d after life %d", c.Now(), id, now.life, about, before.life)
	case known && now.life < before.life:
		return // the answer to a Reset
	case known && now == before && why != detector.Restarted:
		c.broken = fmt.Sprintf("%s: node %d tells the same twice of node %d: %v", c.Now(), id, about, now)
	case !now.suspected && (!known || now.life != before.life):
		c.broken = fmt.Sprintf("%s: node %d restores node %d, life %d, which it did not suspect", c.Now(), id, about, now.life)
	}
	c.told[pair] = now
}

// judge ends the suffering, lets the group be, and compares suspicions with the truth.
func (c *campaign) judge(calm time.Duration) string {
	down := []protocol.ID{}
	for id := protocol.ID(1); int(id) <= c.size; id++ {
		c.do("resume %d", id)
		if c.Stack(id) == nil {
			down = append(down, id)
		}
	}
	c.do("heal")
	c.do("run %s", calm)
	for id := protocol.ID(1); int(id) <= c.size && c.broken == ""; id++ {
		if s := c.Stack(id); s != nil {
			answer, _ := s.Answer(detector.Query{})
			if got := answer.(detector.Opinion).Suspects; !slices.Equal(got, down) {
				c.broken = fmt.Sprintf("in the end node %d suspects %v; down are %v", id, got, down)
			}
		}
	}
	return c.broken
}
