package link_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
	"ciranda.dev/protocol/link"
	"ciranda.dev/protocol/protocoltest"
)

const reliable = protocol.FIFO | protocol.NoLoss

// kit is for stacks of a link, a talker that does not count on it, called "gossip", and one that does, called "talk". A
// transcript's option "small" has windows for two short words, room for three more, and some patience.
var kit = protocoltest.Kit{
	Build: func(self protocol.Self, options []string) (*protocol.Stack, error) {
		opts := link.Options{}
		for _, word := range options {
			switch word {
			case "small":
				opts.Window, opts.Backlog, opts.Patience = 2*shortWord, 3*shortWord, time.Second
			case "trace":
				opts.Trace = true
			default:
				return nil, fmt.Errorf("unknown option %q", word)
			}
		}
		if err := opts.Validate(); err != nil {
			return nil, err
		}
		return protocol.NewStack(self, link.New(opts), &talker{Name: "gossip"}, &talker{Name: "talk", Needs: reliable})
	},
	Calls: map[string]func([]string) (any, error){
		"say":    func(args []string) (any, error) { return say("talk", args) },
		"gossip": func(args []string) (any, error) { return say("gossip", args) },
	},
	Events: map[string]func([]string) (protocol.Event, error){
		"restarted": func(args []string) (protocol.Event, error) {
			n, err := numbers(args)
			return detector.Suspect{Node: protocol.ID(n[0]), Incarnation: protocol.Incarnation(n[1]), Why: detector.Restarted}, err
		},
	},
	Questions: map[string]any{"links": link.Query{}},
}

// shortWord is what a word of one letter counts.
const shortWord = 64 + 8 + 1

func say(talker string, args []string) (any, error) {
	if len(args) != 2 {
		return nil, fmt.Errorf("usage: call NODE say NODE WORD")
	}
	n, err := numbers(args[:1])
	return Say{Talker: talker, To: protocol.ID(n[0]), Text: args[1]}, err
}

// numbers reads two numbers; one not given is 0.
func numbers(args []string) (n [2]uint16, err error) {
	for i := 0; i < min(len(args), 2) && err == nil; i++ {
		var v uint64
		v, err = strconv.ParseUint(args[i], 10, 16)
		n[i] = uint16(v)
	}
	return n, err
}

func TestTranscripts(t *testing.T) { kit.Run(t, "testdata/*.txt") }
