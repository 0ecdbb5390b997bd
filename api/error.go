package api

import (
	"context"
	"errors"
	"fmt"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// An Error is what a service answers in place of a result. It travels whole over both ports.
type Error struct {
	Code  codes.Code // what kind of error it is
	Field string     // the field of the request that is wrong, such as "fault.partition.sides"; empty if none is
	Text  string     // what happened, in a line
	Hint  string     // what to do about it; may be empty
}

func (e *Error) Error() string { return e.Text }

// Wrong says that a field of a request is not what was expected.
func Wrong(field, format string, args ...any) *Error {
	return &Error{Code: codes.InvalidArgument, Field: field, Text: fmt.Sprintf(format, args...)}
}

// Failed says that a request is sound but cannot be done now, and what to do about it.
func Failed(hint, format string, args ...any) *Error {
	return &Error{Code: codes.FailedPrecondition, Text: fmt.Sprintf(format, args...), Hint: hint}
}

// domain names the project in error details.
const domain = "ciranda.dev"

// GRPCStatus is the error as gRPC carries it.
func (e *Error) GRPCStatus() *status.Status {
	s := status.New(e.Code, e.Text)
	for _, d := range e.details() {
		if with, err := s.WithDetails(d); err == nil {
			s = with
		}
	}
	return s
}

// detail is a message as both ways of attaching one to an error want it.
type detail interface {
	proto.Message
	Reset()
	String() string
	ProtoMessage()
}

func (e *Error) details() []detail {
	var ds []detail
	if e.Field != "" {
		violation := &errdetails.BadRequest_FieldViolation{Field: e.Field, Description: e.Text}
		ds = append(ds, &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{violation}})
	}
	if e.Hint != "" {
		ds = append(ds, &errdetails.ErrorInfo{Reason: "HINT", Domain: domain, Metadata: map[string]string{"hint": e.Hint}})
	}
	return ds
}

// toConnect is an error of a service as connect carries it.
func toConnect(err error) error {
	e := AsError(err) // a gateway passes on what a node answered over gRPC
	if e == nil {
		return err
	}
	c := connect.NewError(connect.Code(e.Code), errors.New(e.Text))
	for _, d := range e.details() {
		if with, err := connect.NewErrorDetail(d); err == nil {
			c.AddDetail(with)
		}
	}
	return c
}

// AsError reads an error of a service, or one that a client received over gRPC. It gives nil if err is neither.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	s, ok := status.FromError(err)
	if !ok || err == nil {
		return nil
	}
	e = &Error{Code: s.Code(), Text: s.Message()}
	for _, d := range s.Details() {
		switch d := d.(type) {
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				e.Field = v.GetField()
			}
		case *errdetails.ErrorInfo:
			e.Hint = d.GetMetadata()["hint"]
		}
	}
	return e
}

// connectErrors turns the services' errors into connect's.
type connectErrors struct{}

func (connectErrors) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
		answer, err := next(ctx, r)
		return answer, toConnect(err)
	}
}

func (connectErrors) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

func (connectErrors) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, c connect.StreamingHandlerConn) error { return toConnect(next(ctx, c)) }
}
