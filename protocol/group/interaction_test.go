package group_test

import (
	"fmt"
	"strconv"
	"testing"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/protocoltest"
)

// A seer is a failure detector that knows what a transcript tells it.
type seer struct{ protocol.Base }

func (*seer) Traits() protocol.Traits {
	return protocol.Traits{Channel: "seer", Gives: protocol.FailureDetection}
}
func (*seer) String() string { return "" }
func (*seer) Request(r any, _ *protocol.Out) bool {
	switch r.(type) {
	case detector.Watch, detector.Reset:
		return true
	}
	return false
}

// kit is for groups without traffic over a seer.
var kit = protocoltest.Kit{
	Build: func(self protocol.Self, options []string) (*protocol.Stack, error) {
		if len(options) > 0 {
			return nil, fmt.Errorf("unknown option %q", options[0])
		}
		return protocol.NewStack(self, &seer{}, group.New(group.Options{}))
	},
	Calls: map[string]func([]string) (any, error){
		"leave": func([]string) (any, error) { return group.Leave{}, nil },
		"join":  func([]string) (any, error) { return group.Join{}, nil },
		"ready": func([]string) (any, error) { return group.Ready{}, nil },
	},
	Events: map[string]func([]string) (protocol.Event, error){
		"suspect": func(args []string) (protocol.Event, error) {
			id, inc, err := lifeOf(args)
			return detector.Suspect{Node: id, Incarnation: inc, Why: detector.Timeout}, err
		},
		"restore": func(args []string) (protocol.Event, error) {
			id, inc, err := lifeOf(args)
			return detector.Restore{Node: id, Incarnation: inc}, err
		},
	},
	Questions: map[string]any{"view": group.Query{}},
}

// lifeOf reads a node, and its incarnation if that is not the first.
func lifeOf(args []string) (protocol.ID, protocol.Incarnation, error) {
	id, err := strconv.Atoi(args[0])
	inc := 1
	if err == nil && len(args) > 1 {
		inc, err = strconv.Atoi(args[1])
	}
	return protocol.ID(id), protocol.Incarnation(inc), err
}

func TestTranscripts(t *testing.T) { kit.Run(t, "testdata/*.txt") }
