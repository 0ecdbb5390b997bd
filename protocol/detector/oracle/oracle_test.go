package oracle_test

import (
	"fmt"
	"testing"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
	"ciranda.dev/protocol/detector/detectortest"
	"ciranda.dev/protocol/detector/oracle"
)

func TestTranscripts(t *testing.T) {
	kit := detectortest.Kit(func(options []string) (protocol.Layer, error) {
		opts := oracle.Options{}
		if len(options) > 0 && options[0] == "suspect-again" {
			opts.Mistake = oracle.SuspectAgain
		}
		return oracle.New(opts), nil
	})
	kit.Events = map[string]func([]string) (protocol.Event, error){
		"suspect": choice(oracle.Suspect), "restore": choice(oracle.Restore),
	}
	kit.Run(t, "testdata/*.txt")
}

func choice(c oracle.Choice) func([]string) (protocol.Event, error) {
	return func(args []string) (protocol.Event, error) {
		e := oracle.Choose{Choice: c}
		_, err := fmt.Sscan(args[0], &e.Node)
		return e, err
	}
}

// A choice that changes nothing costs nothing: the engine asks first.
func TestMay(t *testing.T) {
	d := oracle.New(oracle.Options{})
	self := protocol.Self{ID: 1, Incarnation: 1, Group: []protocol.ID{1, 2, 3}}
	s, err := protocol.NewStack(self, d, &detectortest.Watcher{})
	if err != nil {
		t.Fatal(err)
	}
	out := &protocol.Out{}
	suspect, restore := oracle.Choose{Node: 2, Choice: oracle.Suspect}, oracle.Choose{Node: 2, Choice: oracle.Restore}
	if d.May(suspect) {
		t.Error("nobody watches node 2, yet it may be suspected")
	}
	s.Start(protocol.Inputs{}, out)
	if !d.May(suspect) || d.May(restore) {
		t.Error("of a trusted node only a suspicion changes anything")
	}
	s.Notify(suspect, protocol.Inputs{}, out)
	if d.May(suspect) || !d.May(restore) {
		t.Error("of a suspected node only a restoration changes anything")
	}
	if d.May(oracle.Choose{Node: 1, Choice: oracle.Suspect}) {
		t.Error("a node may suspect itself")
	}
}

// The engine suspects node 2 at node 1.
func ExampleChoose() {
	self := protocol.Self{ID: 1, Incarnation: 1, Group: []protocol.ID{1, 2}}
	stack, err := protocol.NewStack(self, oracle.New(oracle.Options{}), &detectortest.Watcher{})
	if err != nil {
		fmt.Println(err)
		return
	}
	out := &protocol.Out{}
	stack.Start(protocol.Inputs{}, out)
	stack.Notify(oracle.Choose{Node: 2, Choice: oracle.Suspect}, protocol.Inputs{}, out)
	fmt.Println(stack.Answer(detector.Query{}))
	// Output: {[2]} true
}
