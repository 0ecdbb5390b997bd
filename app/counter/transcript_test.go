package counter_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"ciranda.dev/app/counter"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/invocation"
	"ciranda.dev/protocol/protocoltest"
)

// kit is for counters on the layer of calls. "call 1 add 2 5s" has node 1 call node 2.
var kit = protocoltest.Kit{
	Build: func(self protocol.Self, options []string) (*protocol.Stack, error) {
		var layer invocation.LayerOptions
		var app counter.Options
		for _, word := range options {
			switch word {
			case "durable":
				layer.Durable = true
			case "at-least-once":
				app.Semantics = invocation.AtLeastOnce
			case "maybe":
				app.Semantics = invocation.Maybe
			case "small":
				layer.Entries = 1
			default:
				return nil, fmt.Errorf("unknown option %q", word)
			}
		}
		return protocol.NewStack(self, invocation.New(layer), counter.New(app))
	},
	Calls: map[string]func([]string) (any, error){
		"add":     func(args []string) (any, error) { return do(counter.Add, args) },
		"slow":    func(args []string) (any, error) { return do(counter.SlowAdd, args) },
		"forward": func(args []string) (any, error) { return do(counter.ForwardAdd, args) },
		"strange": func(args []string) (any, error) { return do(99, args) },
	},
	Questions: map[string]any{"counter": counter.Query{}},
}

// do reads "2 5s": whom to call, and for how long to wait.
func do(op uint32, args []string) (any, error) {
	if len(args) == 0 || len(args) > 2 {
		return nil, fmt.Errorf("usage: call NODE OPERATION NODE [TIMEOUT]")
	}
	n, err := strconv.ParseUint(args[0], 10, 16)
	d := counter.Do{Server: protocol.ID(n), Op: op}
	if err == nil && len(args) == 2 {
		d.Timeout, err = time.ParseDuration(args[1])
	}
	return d, err
}

func TestTranscripts(t *testing.T) { kit.Run(t, "testdata/*.txt") }
