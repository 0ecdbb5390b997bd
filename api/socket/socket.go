// Package socket serves the calls of Ciranda's services over a plain TCP connection, to anything that can send a line: a
// line of JSON a request, a line of JSON an answer.
//
//	{"id": 1, "call": "bank.transfer", "args": {"from": 1, "to": 2, "amount": 5}, "deadline_ms": 5000}
//	{"id":1,"result":{"from":1,"number":7,"to":2,"amount":5,"settled":false}}
//	{"id":1,"error":{"code":"invalid_argument","message":"…","field":"to","hint":"…"}}
//
// A [Server] takes the same services and interceptors as a gRPC server does; a [Client] is what the generated clients of
// gRPC call. Calls are the unary methods by their short names: BankService.Transfer is bank.transfer. "help" lists them.
// Requests of a connection are done in order, one at a time; whoever wants more opens more connections.
//
// A server bounds what each connection may hold: a line is at most 64 KiB and arrives within ten seconds, an answer is
// taken within ten seconds, and all the lines together, and all the calls at a time, have a limit. An idle connection
// stays; it costs a goroutine and half a kilobyte, and what TLS needs for it.
//
// What it does not promise: streams, which need gRPC or HTTP; that a call ends when its connection does, for a client that
// has said all it wants to may close its half and still wait for answers, so only its deadline ends a call; and that a
// call without an answer was not done. Nor does it look into TLS: who sends half a record may keep that, 16 KiB, open.
package socket

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
)

// Limits of a request.
const (
	MaxLine   = 64 << 10         // bytes of a line, without its end
	firstLine = 8 << 10          // of the line with the token
	maxDepth  = 32               // of values inside values
	maxID     = 128              // bytes of an id, as it is written
	Deadline  = 10 * time.Second // of a call that states none
	longest   = 10 * time.Minute // deadline that a call may state
)

// domain names the project in the details of errors.
const domain = "ciranda.dev"

// A problem is what is answered in place of a result.
type problem struct {
	code                 codes.Code
	message, field, hint string
}

func (p *problem) Error() string { return p.message }

// wrong says that something of a request is not what was expected.
func wrong(field, format string, args ...any) *problem {
	return &problem{code: codes.InvalidArgument, field: field, message: fmt.Sprintf(format, args...)}
}

// within puts a field before the place that an error names.
func within(err error, field string) error {
	var p *problem
	if !errors.As(err, &p) {
		return err
	}
	within := *p
	switch {
	case p.field == "" || p.field[0] == '[':
		within.field = field + p.field
	default:
		within.field = field + "." + p.field
	}
	return &within
}

// problemOf is an error of a service as it is answered.
func problemOf(err error) *problem {
	var p *problem
	if errors.As(err, &p) {
		return p
	}
	s, ok := status.FromError(err)
	if !ok {
		s = status.FromContextError(err)
	}
	p = &problem{code: s.Code(), message: s.Message()}
	for _, d := range s.Details() {
		switch d := d.(type) {
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				p.field = v.GetField()
			}
		case *errdetails.ErrorInfo:
			p.hint = d.GetMetadata()["hint"]
		}
	}
	return p
}

// GRPCStatus is the problem as gRPC's clients know errors.
func (p *problem) GRPCStatus() *status.Status {
	s := status.New(p.code, p.message)
	add := func(d protoadapt.MessageV1) {
		if with, err := s.WithDetails(d); err == nil {
			s = with
		}
	}
	if p.field != "" {
		violation := &errdetails.BadRequest_FieldViolation{Field: p.field, Description: p.message}
		add(&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{violation}})
	}
	if p.hint != "" {
		add(&errdetails.ErrorInfo{Reason: "HINT", Domain: domain, Metadata: map[string]string{"hint": p.hint}})
	}
	return s
}

// codeName is a code as it is answered, such as "not_found".
func codeName(c codes.Code) string { return connect.Code(c).String() }

// codeNamed is the code of a name; Unknown if there is none of that name.
func codeNamed(name string) codes.Code {
	var c connect.Code
	if c.UnmarshalText([]byte(name)) != nil {
		return codes.Unknown
	}
	return codes.Code(c)
}

// shortName is the name of a call: bank.transfer for /ciranda.v1.BankService/Transfer.
func shortName(method string) string {
	service, name, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	service = service[strings.LastIndexByte(service, '.')+1:]
	return snake(strings.TrimSuffix(service, "Service")) + "." + snake(name)
}

// snake writes a name such as BeginElection as begin_election.
func snake(name string) string {
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
