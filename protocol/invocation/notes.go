package invocation

import (
	"time"

	"ciranda.dev/protocol"
)

// The notes of a [Layer] for the trace.
type (
	// Called is the note of a call, by its caller.
	Called struct {
		RID       RID           `json:"rid"`
		Root      RID           `json:"root"`   // the first call of the chain; itself if it is that
		Parent    RID           `json:"parent"` // the call whose execution makes it; zero if none does
		Server    protocol.ID   `json:"server"`
		Op        uint32        `json:"op"`
		Semantics string        `json:"sem"`
		Timeout   time.Duration `json:"timeout"` // 0: it has no deadline
	}
	// Again notes that a request is sent once more.
	Again struct {
		RID    RID `json:"rid"`
		Copies int `json:"copies"` // with this one
	}
	// Begun notes that an execution begins.
	Begun struct {
		RID       RID           `json:"rid"`
		Root      RID           `json:"root"`
		Op        uint32        `json:"op"`
		Semantics string        `json:"sem"`
		Budget    time.Duration `json:"budget"` // left at the sending; 0: no end
	}
	// Over notes that an execution ends, with its effect.
	Over struct {
		RID    RID    `json:"rid"`
		Status string `json:"status"`
		Result string `json:"result"`
	}
	// Returned notes the end of a call, at its caller.
	Returned struct {
		RID       RID    `json:"rid"`
		Status    string `json:"status"`
		Knowledge string `json:"knowledge"`
		Result    string `json:"result"`
	}
	// Forgotten notes that a server drops a reply.
	Forgotten struct {
		RID RID `json:"rid"`
	}
	// Restored notes that a restarted server knows of an execution from its storage: a crash may have come before it was noted.
	Restored struct {
		RID    RID    `json:"rid"`
		Status string `json:"status"` // of the reply; orphaned if the execution was not over
		Result string `json:"result"`
	}
	// Opened notes that a server opens a session.
	Opened struct {
		Client      ClientID   `json:"client"`
		Incarnation LifeNumber `json:"inc"`
	}
	// Ended notes that a server's session is over: it expired, its client said goodbye, or has a new life.
	Ended struct {
		Client      ClientID   `json:"client"`
		Incarnation LifeNumber `json:"inc"`
	}
	// Held notes that a client counts on its session at a server for a time.
	Held struct {
		Server      protocol.ID   `json:"server"`
		Incarnation LifeNumber    `json:"inc"` // the client's
		For         time.Duration `json:"for"`
	}
	// LostSession notes that a client learns that its session is over.
	LostSession struct {
		Server      protocol.ID `json:"server"`
		Incarnation LifeNumber  `json:"inc"`
	}
)

// Kind is the event's name in traces.
func (Called) Kind() string { return "rpc.call" }

// Kind is the event's name in traces.
func (Again) Kind() string { return "rpc.again" }

// Kind is the event's name in traces.
func (Begun) Kind() string { return "rpc.exec" }

// Kind is the event's name in traces.
func (Over) Kind() string { return "rpc.execend" }

// Kind is the event's name in traces.
func (Returned) Kind() string { return "rpc.return" }

// Kind is the event's name in traces.
func (Forgotten) Kind() string { return "rpc.forget" }

// Kind is the event's name in traces.
func (Restored) Kind() string { return "rpc.restored" }

// Kind is the event's name in traces.
func (Opened) Kind() string { return "ses.open" }

// Kind is the event's name in traces.
func (Ended) Kind() string { return "ses.expire" }

// Kind is the event's name in traces.
func (Held) Kind() string { return "ses.held" }

// Kind is the event's name in traces.
func (LostSession) Kind() string { return "ses.lost" }
