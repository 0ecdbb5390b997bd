// Package detectortest has what the tests of all detectors share: a layer above the detector, and the commands of
// their transcripts.
package detectortest

import (
	"fmt"
	"strconv"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
	"ciranda.dev/protocol/protocoltest"
)

// A Watcher is a layer that watches all nodes and says hello when it is called.
type Watcher struct {
	protocol.Base
	greeted int
}

// Hello is a Watcher's message.
type Hello struct{}

// Greet is a call: say Hello to all.
type Greet struct{}

// A Got is the indication of a Hello that the detector let pass.
type Got struct {
	From        protocol.ID          `json:"from"`
	Incarnation protocol.Incarnation `json:"inc"`
}

// Kind is the event's name in traces.
func (Got) Kind() string { return "watcher.got" }

// Start watches all.
func (w *Watcher) Start(o *protocol.Out) {
	for _, id := range o.Self().Group {
		o.Request(detector.Watch{Node: id})
	}
}

// Receive tells of a Hello.
func (w *Watcher) Receive(from protocol.ID, _ protocol.Message, o *protocol.Out) {
	w.greeted++
	o.Indicate(Got{from, o.SenderIncarnation()})
}

// Request handles calls: greetings, and requests to be passed down.
func (w *Watcher) Request(r any, o *protocol.Out) bool {
	call := r.(protocol.Call)
	if _, ok := call.Body.(Greet); ok {
		o.SendAll(Hello{})
	} else {
		o.Request(call.Body)
	}
	return true
}

// Traits say what the layer is.
func (w *Watcher) Traits() protocol.Traits {
	return protocol.Traits{
		Channel: "watcher", Needs: protocol.FailureDetection, Messages: []protocol.Message{Hello{}},
	}
}

func (w *Watcher) String() string { return fmt.Sprintf("greeted %d times", w.greeted) }

// Kit is for stacks of a detector and a Watcher. Its calls are "greet", "watch NODE" and "reset NODE [LIFE]", its
// question is "suspects".
func Kit(build func(options []string) (protocol.Layer, error)) protocoltest.Kit {
	return protocoltest.Kit{
		Build: func(self protocol.Self, options []string) (*protocol.Stack, error) {
			d, err := build(options)
			if err != nil {
				return nil, err
			}
			return protocol.NewStack(self, d, &Watcher{})
		},
		Calls: map[string]func([]string) (any, error){
			"greet": func([]string) (any, error) { return Greet{}, nil },
			"watch": func(args []string) (any, error) {
				n, err := numbers(args)
				return detector.Watch{Node: protocol.ID(n[0])}, err
			},
			"reset": func(args []string) (any, error) {
				n, err := numbers(args)
				return detector.Reset{Node: protocol.ID(n[0]), Incarnation: protocol.Incarnation(n[1])}, err
			},
		},
		Questions: map[string]any{"suspects": detector.Query{}},
	}
}

// numbers reads up to two numbers; those not given are 0.
func numbers(args []string) ([2]uint16, error) {
	n := [2]uint16{}
	for i := range min(len(args), 2) {
		v, err := strconv.ParseUint(args[i], 10, 16)
		if err != nil {
			return n, err
		}
		n[i] = uint16(v)
	}
	return n, nil
}
