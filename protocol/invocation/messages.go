package invocation

import "time"

// What goes between a client and a server.
type (
	// A Request asks for an execution.
	Request struct {
		RID               RID
		Root, Parent      RID           // of a nested call: the first call of the chain, and the one that made this one
		Session           uint64        // as the [Welcome] said
		ServerIncarnation uint64        // the life of the server that the call is for
		Semantics         Semantics     //
		Op                uint32        // what to do: the driver's number
		Args              []byte        // never changed once given
		Budget            time.Duration // what is left until the deadline, at the sending
		AckBelow          uint64        // all calls to this server below it are over at the client
	}

	// A Reply ends a request. Status is [OK], [Failed], [Refused], [Rejected] or [Overrun].
	Reply struct {
		RID               RID
		Status            Status
		Result            []byte
		ServerIncarnation uint64
	}

	// A Signal is one of the small messages. Which fields count depends on its kind.
	Signal struct {
		Kind              SignalKind
		RID               RID           // Client and Incarnation always; Seq of Working, Stale, Expired and Cancel
		Session           uint64        // of Welcome, Ping, Ack and Bye
		ServerIncarnation uint64        // of what a server sends, and of Ping: the life that is pinged, if that may have changed
		Stamp             time.Duration // of Hello and Ping: the client's clock; Welcome and Pong bring it back
		Lease             time.Duration // of Welcome
		AckBelow          uint64        // of Ack and Ping
	}
)

// A SignalKind says what a [Signal] is.
type SignalKind uint8

// The signals: those of a client first.
const (
	Hello   SignalKind = iota + 1 // a client asks for its session, or for a new one
	Ping                          // renews a session without a call
	Ack                           // acknowledges replies, without a call
	Cancel                        // nobody waits for the call any more
	Bye                           // ends a session
	Welcome                       // the session, in answer to Hello
	Pong                          // in answer to Ping
	Working                       // the call is being executed, in answer to a copy of it
	Stale                         // the call was for a former life of the server
	Expired                       // the session is over, for this life of the client
)

func (k SignalKind) String() string {
	if k >= Hello && k <= Expired {
		return [...]string{"hello", "ping", "ack", "cancel", "bye", "welcome", "pong", "working", "stale", "expired"}[k-1]
	}
	return "unknown signal"
}
