// Package invocation makes calls out of messages: a request, a reply, and a clear word about what is known when the reply
// does not come.
//
// It is two values without input or output. A [Client] is one life of a caller: it numbers calls, sends them again where
// that may help, acknowledges replies, renews its sessions and ends calls at their deadlines. A [Server] is one life of
// a callee: it keeps sessions and reply tables, tells copies from new calls, and says what is to be executed. Both take
// the time and an input, and append to a slice of effects that the caller owns. They start no goroutine and set no
// timer: Next says when Expire wants to be called. They are not safe for use by several goroutines at once.
//
// A [Layer] puts both into a stack: the nodes of a simulated or a live cluster call one another with it, and what happens to each call
// is in the trace.
//
// There are three semantics. [Maybe] sends a request once. [AtLeastOnce] sends it until a reply comes, and the server
// executes every copy: it is for operations that may be repeated. [AtMostOnce] does the same, and the server filters
// copies by the request's id. An [Outcome] says whether the call happened, did not, or may have.
//
// What is not promised. At most once holds as long as the server's memory or the number of its life does: a server that
// restarts without the one must have a new one of the other. A call that ends at its deadline may be executed
// afterwards, within its budget. No order is kept between calls. Nothing here outlives a crash unless it is stored: [Server.Table] gives
// what is to be stored together with the effects, and even then a call that was cut off by a crash ends with nobody knowing.
//
// A client is believed what it says of itself, and of the chain of calls that it is part of. Who is who is for the driver to check.
//
// A. D. Birrell, B. J. Nelson, Implementing Remote Procedure Calls, ACM TOCS 2(1), 1984. Orphans die as in B. J. Nelson,
// Remote Procedure Call, 1981: by reincarnation and by expiration.
package invocation

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A ClientID names a caller: 128 random bits, or [NodeClient] for a node.
type ClientID [16]byte

// NodeClient is the client that a node is. It has 112 zero bits, which no random id has.
func NodeClient(node uint16) ClientID {
	var id ClientID
	id[14], id[15] = byte(node>>8), byte(node)
	return id
}

// String is the id in 32 hexadecimal digits, or "node 3".
func (id ClientID) String() string {
	if n := id.Node(); n != 0 {
		return "node " + strconv.Itoa(int(n))
	}
	return hex.EncodeToString(id[:])
}

// Node is the number of the node that the client is; 0 if it is none.
func (id ClientID) Node() uint16 {
	n := uint16(id[14])<<8 | uint16(id[15])
	if id != NodeClient(n) {
		return 0
	}
	return n
}

// MarshalText gives what String does.
func (id ClientID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads that.
func (id *ClientID) UnmarshalText(text []byte) error {
	if number, ok := strings.CutPrefix(string(text), "node "); ok {
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil || n == 0 {
			return fmt.Errorf("found the client %.40q; expected node 1 to node 65535, or 32 hexadecimal digits", text)
		}
		*id = NodeClient(uint16(n))
		return nil
	}
	b, err := hex.DecodeString(string(text))
	if err != nil || len(b) != len(id) {
		return fmt.Errorf("found the client %.40q; expected 32 hexadecimal digits, or the number of a node, such as node 3", text)
	}
	copy(id[:], b)
	return nil
}

// MarshalBinary gives the 16 bytes.
func (id ClientID) MarshalBinary() ([]byte, error) { return id[:], nil }

// UnmarshalBinary takes 16 bytes.
func (id *ClientID) UnmarshalBinary(b []byte) error {
	if len(b) != len(id) {
		return errors.New("a client id has 16 bytes")
	}
	copy(id[:], b)
	return nil
}

// A RID is the id of a request, the same on every hop and in every copy.
type RID struct {
	Client      ClientID `json:"client"`
	Incarnation uint64   `json:"inc"` // the client's life, from 1
	Seq         uint64   `json:"seq"` // counts the calls of that life, from 1
}

// String is such as "node 3.2.17": the call 17 of node 3 in its life 2. The zero id is "none".
func (r RID) String() string {
	if r == (RID{}) {
		return none
	}
	return fmt.Sprintf("%s.%s.%d", r.Client, LifeNumber(r.Incarnation), r.Seq)
}

const none = "none"

// MarshalText gives what String does.
func (r RID) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads that.
func (r *RID) UnmarshalText(text []byte) error {
	if string(text) == none {
		*r = RID{}
		return nil
	}
	parts := strings.Split(string(text), ".")
	var id RID
	var life LifeNumber
	seq, err := strconv.ParseUint(parts[len(parts)-1], 10, 64)
	if len(parts) != 3 || err != nil || id.Client.UnmarshalText([]byte(parts[0])) != nil || life.UnmarshalText([]byte(parts[1])) != nil {
		return fmt.Errorf("found the call %.60q; expected a client, its life and a number, such as node 3.2.17", text)
	}
	id.Incarnation, id.Seq = uint64(life), seq
	*r = id
	return nil
}

// A LifeNumber is an incarnation of a client as people read it: the number of the process, such as 2, and 2+1 for its first life after
// that with which the process began. See [Life].
type LifeNumber uint64

func (l LifeNumber) String() string {
	text := strconv.FormatUint(Process(uint64(l)), 10)
	if n := l % (1 << livesBits); n > 0 {
		text += "+" + strconv.FormatUint(uint64(n), 10)
	}
	return text
}

// MarshalText gives what String does.
func (l LifeNumber) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads that.
func (l *LifeNumber) UnmarshalText(text []byte) error {
	process, more, several := strings.Cut(string(text), "+")
	p, err := strconv.ParseUint(process, 10, 64-livesBits)
	n := uint64(0)
	if several && err == nil {
		n, err = strconv.ParseUint(more, 10, livesBits)
	}
	if err != nil {
		return fmt.Errorf("found the life %.40q; expected a number, or two with a + between", text)
	}
	*l = LifeNumber(Life(p, n))
	return nil
}

// livesBits is how many bits of an incarnation tell apart the lives of one process.
const livesBits = 20

// Life numbers the lives of a client: those before the n-th of a process, whose own lives are numbered too, were below. A client
// needs a new life whenever a server has ended its session, and the same process may live on towards other servers. n is below a
// million.
func Life(process, n uint64) uint64 { return process<<livesBits + n }

// Process is the number of the process of which a life is one.
func Process(life uint64) uint64 { return life >> livesBits }

// Semantics say how often a call that returns may have been executed.
type Semantics uint8

// The semantics.
const (
	AtMostOnce  Semantics = iota // executed once if it returns, else not or once
	AtLeastOnce                  // executed once or more if it returns: for operations that may be repeated
	Maybe                        // sent once: executed if it returns, else perhaps
)

func (s Semantics) String() string {
	if int(s) < len(semanticsNames) {
		return semanticsNames[s]
	}
	return fmt.Sprintf("semantics %d", uint8(s))
}

var semanticsNames = []string{"at-most-once", "at-least-once", "maybe"}

// A Knowledge says what is known of the execution of a call.
type Knowledge uint8

// What is known.
const (
	Executed    Knowledge = iota + 1 // it was executed, and this is its result
	NotExecuted                      // it was not executed and will not be
	Unknown                          // it may have been executed, or may yet be
)

func (k Knowledge) String() string {
	if k >= Executed && k <= Unknown {
		return [...]string{"executed", "not executed", "unknown"}[k-1]
	}
	return fmt.Sprintf("knowledge %d", uint8(k))
}

// A Status says how a call ended.
type Status uint8

// The ends of calls. A server replies the first six; the client adds the others.
const (
	OK         Status = iota + 1 // executed, with a result
	Failed                       // executed, and the operation returned an error: the result describes it
	Refused                      // not executed, for a reason that stays: the result says it
	Rejected                     // not executed, for a reason that passes
	Overrun                      // the budget ran out before the server could begin
	Orphaned                     // given up, since the client that began the chain of calls is gone
	Deadline                     // the deadline passed at the caller
	Restarted                    // the server has a new life and knows nothing of the call
	SessionEnd                   // the server ended the session
)

func (s Status) String() string {
	if s >= OK && s <= SessionEnd {
		return [...]string{"ok", "failed", "refused", "rejected", "overrun", "orphaned", "deadline", "restarted", "session end"}[s-1]
	}
	return fmt.Sprintf("status %d", uint8(s))
}

// An Outcome is the end of a call.
type Outcome struct {
	RID       RID       `json:"rid"`
	Status    Status    `json:"status"`
	Knowledge Knowledge `json:"knowledge"`
	Result    []byte    `json:"result,omitempty"`
}

// Options are the figures of both sides. Zeros stand for the defaults.
type Options struct {
	Lease   time.Duration // a session that is silent for so long ends: 10 s. Renewed at half.
	Grace   time.Duration // added to the lease at the server: 0. With half a lease, and the time that connecting takes, no failure of the network that is shorter than a lease ends a session.
	Resend  time.Duration // the first wait before a request is sent again where messages get lost: 100 ms. It doubles.
	Longest time.Duration // the longest such wait: 2 s
	Idle    time.Duration // without a call for so long a client acknowledges what it has: 200 ms
	Entries int           // calls of one client at one server, executing or not acknowledged: 1024
	Bytes   int           // of replies of one client that are kept, before further calls are rejected: 64 MiB
	Clients int           // sessions of a server, and lives it remembers: 65,536 of each
	Mistake Mistake       // for the tests of checks only
}

// WithDefaults fills in what is zero.
func (o Options) WithDefaults() Options {
	o.Lease = cmp.Or(o.Lease, 10*time.Second)
	o.Resend = cmp.Or(o.Resend, 100*time.Millisecond)
	o.Longest = cmp.Or(o.Longest, 2*time.Second)
	o.Idle = cmp.Or(o.Idle, 200*time.Millisecond)
	o.Entries = cmp.Or(o.Entries, 1024)
	o.Bytes = cmp.Or(o.Bytes, 64<<20)
	o.Clients = cmp.Or(o.Clients, 65536)
	return o
}

// Validate says which figure makes no sense.
func (o Options) Validate() error {
	o = o.WithDefaults()
	switch {
	case o.Resend < 0 || o.Longest < o.Resend:
		return fmt.Errorf("invocation: the longest wait %v must not be below the first, %v, nor that below 0", o.Longest, o.Resend)
	case o.Lease <= 2*o.Longest:
		return fmt.Errorf("invocation: the lease %v must be more than twice the longest wait, %v", o.Lease, o.Longest)
	case o.Idle < 0 || o.Entries < 0 || o.Bytes < 0 || o.Clients < 0:
		return fmt.Errorf("invocation: idle %v, entries %d, bytes %d and clients %d must be above 0", o.Idle, o.Entries, o.Bytes, o.Clients)
	}
	return nil
}

// never is the time of what is not to come.
const never = time.Duration(1<<63 - 1)
