package rmi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"reflect"
	"sync"

	"github.com/fxamacker/cbor/v2"

	"ciranda.dev/protocol/invocation"
)

// Happened says whether a call was executed.
type Happened uint8

// What can be known of a call that failed.
const (
	Unknown Happened = iota // it may have been executed
	No                      // it was not, and will not be
	Yes                     // it was
)

// String is "unknown", "no" or "yes".
func (h Happened) String() string { return [...]string{"unknown", "no", "yes"}[h] }

// A Kind says why a call failed.
type Kind uint8

// The kinds of errors.
const (
	Failed      Kind = iota // the method gave an error: it is what Error unwraps to
	Panicked                // the method panicked; the stack is in the log of its node
	NoObject                // there is no object of that reference, or no longer
	NoMethod                // the object's interface has no such method
	BadArgument             // an argument, or all of them together, cannot be read or sent
	BadResult               // the same of a result
	NoTime                  // the deadline came, or the caller gave up
	NoReach                 // there is no connection to the node
	Forbidden               // the caller's credentials do not allow it
	Deadlock                // the object takes one call at a time and this one came from within it
	Busy                    // the node executes too many calls of this caller
	Lost                    // the node was restarted, or ended the session: what it knew of the call is gone
)

var kindNames = [...]string{"failed", "panicked", "no such object", "no such method", "bad argument", "bad result", "no time",
	"no connection", "forbidden", "deadlock", "busy", "lost"}

// String is the kind in words, such as "no such object".
func (k Kind) String() string {
	if int(k) >= len(kindNames) {
		return fmt.Sprintf("kind %d", uint8(k))
	}
	return kindNames[k]
}

// Errors for errors.Is, one for each kind that a caller may want to tell from others. For [NoTime] it is
// [context.DeadlineExceeded], or [context.Canceled] if the caller gave up.
var (
	ErrNoObject  = errors.New("no such object")
	ErrNoReach   = errors.New("no connection")
	ErrDeadlock  = errors.New("deadlock")
	ErrPanicked  = errors.New("the method panicked")
	ErrForbidden = errors.New("forbidden")
	ErrLost      = errors.New("what the node knew of the call is gone")
)

var sentinels = map[Kind]error{NoObject: ErrNoObject, Deadlock: ErrDeadlock, Panicked: ErrPanicked, NoReach: ErrNoReach,
	Forbidden: ErrForbidden, Lost: ErrLost}

// An Error is why a call failed.
type Error struct {
	Kind     Kind
	Happened Happened // whether the method was executed
	Where    string   // the node that was called, for people
	Method   string   // such as "Account.Deposit"
	Text     string   // for people; empty if the kind says it all

	cause error
}

// Error is like "rmi: Account.Deposit on node 3: no reply in 2s; it may have happened". An error that the method itself gave reads
// as that does, so that objects here and elsewhere sound the same.
func (e *Error) Error() string {
	if e.Kind == Failed && e.cause != nil {
		return e.cause.Error()
	}
	text := "rmi: "
	if e.Method != "" {
		text += e.Method
		if e.Where != "" {
			text += " on " + e.Where
		}
		text += ": "
	}
	if text += e.Kind.String(); e.Text != "" {
		text += ": " + e.Text
	}
	if e.Happened == Unknown {
		text += "; it may have been executed"
	}
	return text
}

// Unwrap is the error that the method gave, rebuilt here: those that were registered are themselves again.
func (e *Error) Unwrap() error { return e.cause }

// Is says whether target stands for this kind of error.
func (e *Error) Is(target error) bool { return target == sentinels[e.Kind] && target != nil }

// Wrong says that an argument is wrong, before the method was executed. Generated code uses it.
func Wrong(argument string, err error) error {
	return &wrongArgument{&Error{Kind: BadArgument, Happened: No, Text: argument + ": " + err.Error()}}
}

// A wrongArgument is told from errors of calls that a method made itself.
type wrongArgument struct{ is *Error }

func (w *wrongArgument) Error() string { return w.is.Error() }

// thrown is the error of an execution: the method's own, unless it was not executed.
func thrown(err error) *Error {
	if wrong, ok := err.(*wrongArgument); ok {
		return wrong.is
	}
	return &Error{Kind: Failed, Happened: Yes, cause: err}
}

// The errors that are themselves again elsewhere.
var registered = struct {
	sync.RWMutex
	values map[string]error
	names  map[error]string
	types  map[string]reflect.Type
	typed  map[reflect.Type]string
}{values: map[string]error{}, names: map[error]string{}, types: map[string]reflect.Type{}, typed: map[reflect.Type]string{}}

func init() {
	for name, err := range map[string]error{"context.Canceled": context.Canceled, "context.DeadlineExceeded": context.DeadlineExceeded,
		"io.EOF": io.EOF, "io.ErrUnexpectedEOF": io.ErrUnexpectedEOF, "fs.ErrNotExist": fs.ErrNotExist, "fs.ErrExist": fs.ErrExist,
		"errors.ErrUnsupported": errors.ErrUnsupported} {
		RegisterError(name, err)
	}
	for _, err := range []error{ErrNoObject, ErrNoReach, ErrDeadlock, ErrPanicked, ErrForbidden, ErrLost} {
		RegisterError("rmi: "+err.Error(), err)
	}
	t := reflect.TypeFor[*Error]() // what it wraps is carried beside it
	registered.types["rmi.Error"], registered.typed[t] = t, "rmi.Error"
}

// RegisterError makes an error value one that calls carry: errors.Is finds it in the error of a call whose method gave it. The
// name must be the same, and the value registered, in both processes. It panics if the name is taken.
func RegisterError(name string, value error) {
	registered.Lock()
	defer registered.Unlock()
	if registered.values[name] != nil || registered.types[name] != nil {
		panic(fmt.Sprintf("rmi: two errors are registered as %q", name))
	}
	registered.values[name], registered.names[value] = value, name
}

// RegisterErrorType makes a type of errors one that calls carry, with its exported fields: errors.As finds it. E is a structure or
// a pointer to one. It panics if the name is taken or the fields cannot go to another process.
func RegisterErrorType[E error](name string) {
	t := reflect.TypeFor[E]()
	s := t
	if s.Kind() == reflect.Pointer {
		s = s.Elem()
	}
	if err := crosses(s); err != nil {
		panic(fmt.Sprintf("rmi: the error %s: %v", t, err))
	}
	registered.Lock()
	defer registered.Unlock()
	if registered.values[name] != nil || registered.types[name] != nil {
		panic(fmt.Sprintf("rmi: two errors are registered as %q", name))
	}
	registered.types[name], registered.typed[t] = t, name
}

// A wireError is why a call failed, on its way to the caller.
type wireError struct {
	Kind  Kind     `cbor:"k"`
	Text  string   `cbor:"t,omitempty"`
	Cause *carried `cbor:"c,omitempty"`
}

// encodeError makes the reply of an execution that failed.
func encodeError(err error) (invocation.Status, []byte) {
	e, ok := err.(*Error)
	if !ok {
		e = thrown(err)
	}
	w := wireError{Kind: e.Kind, Text: e.Text}
	if e.cause != nil {
		c := carry(e.cause)
		w.Cause = &c
	}
	b, err := encMode.Marshal(w)
	if err != nil {
		panic("rmi: " + err.Error()) // it is texts and numbers
	}
	if e.Happened == No {
		return invocation.Refused, b
	}
	return invocation.Failed, b
}

// failed is the error of a call that ended so.
func (m *methodCore) failed(ctx context.Context, r *Remote, o *invocation.Outcome) *Error {
	e := &Error{Where: r.peer.id.String(), Method: m.title(), Happened: happened[o.Knowledge]}
	var w wireError
	switch o.Status {
	case invocation.Failed, invocation.Refused:
		if err := decMode.Unmarshal(o.Result, &w); err != nil {
			w = wireError{Kind: BadResult, Text: "the error cannot be read: " + err.Error()}
		}
		if e.Kind, e.Text = w.Kind, w.Text; w.Cause != nil {
			e.cause = w.Cause.error()
		}
	case invocation.Rejected:
		e.Kind, e.Text = Busy, string(o.Result)
	case invocation.Overrun:
		e.Kind, e.cause = NoTime, context.DeadlineExceeded
	case invocation.Orphaned:
		e.Kind, e.Text = Lost, string(o.Result)
	case invocation.Deadline:
		r.peer.late(ctx, e)
	case invocation.Restarted:
		e.Kind, e.Text = Lost, "the node was restarted"
	default:
		e.Kind, e.Text = Lost, "the session is over"
	}
	return e
}

var happened = map[invocation.Knowledge]Happened{invocation.Executed: Yes, invocation.NotExecuted: No, invocation.Unknown: Unknown}

// late says why nothing came in time.
func (p *Peer) late(ctx context.Context, e *Error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case context.Cause(ctx) == context.Canceled:
		e.Kind, e.Text, e.cause = NoTime, "the caller gave up", context.Canceled
	case p.current() == nil && p.gone:
		e.Kind, e.Text = NoObject, "its node's session is over"
	case p.current() == nil:
		e.Kind = NoReach
		if p.trouble != nil {
			e.Text = p.trouble.Error()
		}
	default:
		e.Kind, e.Text, e.cause = NoTime, "no reply before the deadline", context.DeadlineExceeded
	}
}

// wrong is the error of arguments that cannot be sent.
func (m *methodCore) wrong(r *Remote, err error) error {
	e := err.(*Error)
	e.Where, e.Method = r.peer.id.String(), m.title()
	return e
}

// garbled is the error of results that cannot be read.
func (m *methodCore) garbled(r *Remote, err error) error {
	return &Error{Kind: BadResult, Happened: Yes, Where: r.peer.id.String(), Method: m.title(), Text: err.(*Error).Text}
}

// A carried error is an error on its way: what it says, what it is if that is registered, and what it wraps.
type carried struct {
	Text  string          `cbor:"t"`
	Name  string          `cbor:"n,omitempty"`
	Data  cbor.RawMessage `cbor:"d,omitempty"`
	Wraps []carried       `cbor:"w,omitempty"`
}

// Limits of an error on its way.
const (
	maxErrorText = 4 << 10
	maxErrors    = 32 // in one tree
)

// carry makes an error ready for its way.
func carry(err error) carried {
	left := maxErrors
	return carryPart(err, &left)
}

func carryPart(err error, left *int) carried {
	*left--
	c := carried{Text: cutText(err.Error())}
	registered.RLock()
	if reflect.TypeOf(err).Comparable() {
		c.Name = registered.names[err]
	}
	if name := registered.typed[reflect.TypeOf(err)]; c.Name == "" && name != "" {
		if b, e := encode(err); e == nil {
			c.Name, c.Data = name, b
		}
	}
	registered.RUnlock()
	var within []error
	switch w := err.(type) {
	case interface{ Unwrap() error }:
		within = []error{w.Unwrap()}
	case interface{ Unwrap() []error }:
		within = w.Unwrap()
	}
	for _, e := range within {
		if e != nil && *left > 0 {
			c.Wraps = append(c.Wraps, carryPart(e, left))
		}
	}
	return c
}

func cutText(text string) string {
	if len(text) > maxErrorText {
		return text[:maxErrorText] + "…"
	}
	return text
}

// error rebuilds an error.
func (c *carried) error() error {
	within := make([]error, 0, len(c.Wraps))
	for i := range c.Wraps {
		within = append(within, c.Wraps[i].error())
	}
	if c.Name != "" {
		registered.RLock()
		value, t := registered.values[c.Name], registered.types[c.Name]
		registered.RUnlock()
		if t != nil {
			value = rebuild(t, c.Data)
		}
		if value != nil && value.Error() == c.Text && len(within) == 0 {
			return value
		}
		if value != nil {
			within = append(within, value)
		}
	}
	return &foreign{c.Text, within}
}

// rebuild makes an error of a registered type; nil if its data are of another one.
func rebuild(t reflect.Type, data []byte) error {
	p := reflect.New(t)
	to := p
	if t.Kind() == reflect.Pointer {
		p.Elem().Set(reflect.New(t.Elem()))
		to = p.Elem()
	}
	if decMode.Unmarshal(data, to.Interface()) != nil {
		return nil
	}
	return p.Elem().Interface().(error)
}

// A foreign error has only the text of one elsewhere, and what that wrapped.
type foreign struct {
	text  string
	wraps []error
}

func (f *foreign) Error() string   { return f.text }
func (f *foreign) Unwrap() []error { return f.wraps }
