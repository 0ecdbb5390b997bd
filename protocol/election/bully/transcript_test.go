package bully_test

import (
	"fmt"
	"strconv"
	"testing"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
	"ciranda.dev/protocol/detector/oracle"
	"ciranda.dev/protocol/election"
	"ciranda.dev/protocol/election/bully"
	"ciranda.dev/protocol/protocoltest"
)

// kit makes groups whose detectors the transcript plays. The words after the size are the rules.
var kit = protocoltest.Kit{
	Build: func(self protocol.Self, words []string) (*protocol.Stack, error) {
		opts := bully.Options{}
		for _, word := range words {
			switch word {
			case "stable":
				opts.Stable = true
			case "quorum":
				opts.Quorum = true
			case "classic":
				opts.Classic = true
			case "nobeat":
				opts.NoBeat = true
			default:
				m, err := strconv.Atoi(word)
				if err != nil {
					return nil, fmt.Errorf("unknown rule %q", word)
				}
				opts.Mistake = bully.Mistake(m)
			}
		}
		return protocol.NewStack(self, oracle.New(oracle.Options{}), bully.New(opts))
	},
	Calls: map[string]func([]string) (any, error){
		"campaign": func([]string) (any, error) { return election.Campaign{}, nil },
	},
	Events: map[string]func([]string) (protocol.Event, error){
		"suspect": func(args []string) (protocol.Event, error) {
			id, err := number(args)
			return oracle.Choose{Node: id, Choice: oracle.Suspect}, err
		},
		"restore": func(args []string) (protocol.Event, error) {
			id, err := number(args)
			return oracle.Choose{Node: id, Choice: oracle.Restore}, err
		},
		"stalled": func(args []string) (protocol.Event, error) {
			id, err := number(args)
			return detector.Stalled{Node: id, Incarnation: 1, On: true}, err
		},
	},
	Questions: map[string]any{"leader": election.Query{}},
}

func number(args []string) (protocol.ID, error) {
	if len(args) != 1 {
		return 0, fmt.Errorf("expected the number of a node")
	}
	id, err := strconv.ParseUint(args[0], 10, 16)
	return protocol.ID(id), err
}

func TestTranscripts(t *testing.T) { kit.Run(t, "testdata/*.txt") }
