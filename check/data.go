package check

import (
	"ciranda.dev/app/bank"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
	"ciranda.dev/protocol/election"
	"ciranda.dev/trace"
)

// decoders make typed values of what was read from a file, by the name of the indication or note.
var decoders = map[string]func(*trace.Event) (any, bool){}

func decode[T protocol.Event]() {
	var zero T
	decoders[zero.Kind()] = func(e *trace.Event) (any, bool) {
		v, ok := trace.DataOf[T](e)
		return v, ok
	}
}

func init() {
	decode[detector.Suspect]()
	decode[detector.Restore]()
	decode[detector.Stalled]()
	decode[detector.Hint]()
	decode[election.Begun]()
	decode[election.Elected]()
	decode[election.SteppedDown]()
	decode[election.Granted]()
	decode[bank.Opened]()
	decode[bank.Debited]()
	decode[bank.Credited]()
	decode[bank.Settled]()
	decoders[protocol.Reply{}.Kind()] = readReply
}

// typed gives an event whose Data has its type, whether it was recorded in this process or read from a file. What no
// property knows stays as it is.
func typed(e *trace.Event) *trace.Event {
	raw, ok := e.Data.(trace.Raw)
	if !ok || e.Kind != trace.Told && e.Kind != trace.Noted {
		return e
	}
	decoder := decoders[raw.Name]
	if decoder == nil {
		return e
	}
	c := *e
	if c.Data, ok = decoder(e); !ok {
		return e
	}
	return &c
}
