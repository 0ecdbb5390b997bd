package protocoltest_test

import (
	"fmt"
	"testing"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/protocoltest"
)

// A counter counts the ticks of its timer, tells the others, and keeps the count over its lives.
type counter struct {
	protocol.Base
	ticks, heard int
}

type (
	tick struct{ Count int } // "I have counted so far"
	add  struct{ Number int }
	told struct {
		Count int `json:"count"`
	}
)

func (told) Kind() string { return "counter.told" }

func (c *counter) Start(o *protocol.Out) {
	o.Set(protocol.Timer{}, time.Second+time.Duration(o.Draw(100))*time.Millisecond)
}

func (c *counter) Recover(s protocol.Stored, o *protocol.Out) {
	if v, ok := s("ticks"); ok {
		c.ticks = int(v[0])
	}
	c.Start(o)
}

func (c *counter) Receive(from protocol.ID, m protocol.Message, o *protocol.Out) {
	c.heard += m.(tick).Count
	o.Indicate(told{c.heard})
}

func (c *counter) Expire(t protocol.Timer, o *protocol.Out) {
	c.ticks++
	o.Persist("ticks", []byte{byte(c.ticks)})
	o.SendAll(tick{c.ticks})
	o.Set(t, time.Second)
}

func (c *counter) Request(r any, o *protocol.Out) bool {
	call, ok := r.(protocol.Call)
	if ok {
		c.ticks += call.Body.(add).Number
		o.Indicate(protocol.Reply{ID: call.ID, Body: told{c.ticks}})
	}
	return ok
}

func (c *counter) Answer(any) (any, bool) { return told{c.heard}, true }

func (c *counter) Traits() protocol.Traits {
	return protocol.Traits{Channel: "counter", Messages: []protocol.Message{tick{}}, Timers: []string{"tick"}}
}

func (c *counter) String() string { return fmt.Sprintf("%d ticks, heard %d", c.ticks, c.heard) }

func TestTranscripts(t *testing.T) {
	protocoltest.Kit{
		Build: func(self protocol.Self, _ []string) (*protocol.Stack, error) {
			return protocol.NewStack(self, &counter{})
		},
		Calls:     map[string]func([]string) (any, error){"add": func([]string) (any, error) { return add{5}, nil }},
		Questions: map[string]any{"heard": 0},
	}.Run(t, "testdata/*.txt")
}
