package references_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"ciranda.dev/app/references"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/dgc"
	"ciranda.dev/protocol/protocoltest"
)

// kit is for nodes that refer to objects of one another. "call 1 give 1 2" has node 1 give its first reference to node 2.
var kit = protocoltest.Kit{
	Build: func(self protocol.Self, options []string) (*protocol.Stack, error) {
		if len(options) > 0 {
			return nil, fmt.Errorf("unknown option %q", options[0])
		}
		return protocol.NewStack(self, dgc.New(dgc.LayerOptions{}), references.New(references.Options{}))
	},
	Calls: map[string]func([]string) (any, error){
		"make": func(args []string) (any, error) { return do(references.Make, args) },
		"give": func(args []string) (any, error) { return do(references.Give, args) },
		"drop": func(args []string) (any, error) { return do(references.Drop, args) },
	},
	Questions: map[string]any{"references": references.Query{}},
}

// do reads "1 2": which reference, and to whom it is given.
func do(verb references.Verb, args []string) (any, error) {
	var numbers [2]uint64
	if len(args) > len(numbers) {
		return nil, fmt.Errorf("usage: call NODE VERB [WHICH [TO]]")
	}
	for i, a := range args {
		var err error
		if numbers[i], err = strconv.ParseUint(a, 10, 16); err != nil {
			return nil, err
		}
	}
	return references.Do{Verb: verb, Which: int(numbers[0]), To: protocol.ID(numbers[1])}, nil
}

func TestTranscripts(t *testing.T) { kit.Run(t, "testdata/*.txt") }

// What makes no sense is refused with what was expected.
func TestOptions(t *testing.T) {
	for _, o := range []dgc.LayerOptions{{Lease: -1}, {Grace: -1}, {Resend: -1}, {Options: dgc.Options{Pin: -time.Second}}} {
		if o.Validate() == nil {
			t.Errorf("%+v is taken", o)
		}
	}
	if (references.Options{Every: -1}).Validate() == nil || (references.Options{Few: -1}).Validate() == nil || (references.Options{}).Validate() != nil {
		t.Error("wrong options are taken, or right ones are not")
	}
}
