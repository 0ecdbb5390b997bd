package api

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/pki"
)

// free is the method that anybody may call who is let into the port: probes ask it and it tells nothing but health.
const free = "/grpc.health.v1.Health/Check"

// needs are the roles that methods need, by their full names. Those of the contract state them there.
var needs = sync.OnceValue(func() map[string]pki.Role {
	roles := map[string]pki.Role{
		"/grpc.health.v1.Health/List":                                    pki.Observer,
		"/grpc.health.v1.Health/Watch":                                   pki.Observer,
		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo":      pki.Observer,
		"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": pki.Observer,
	}
	protoregistry.GlobalFiles.RangeFilesByPackage("ciranda.v1", func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			addNeeds(roles, f.Services().Get(i))
		}
		return true
	})
	return roles
})

// addNeeds adds the roles that the methods of a service state. One that states none is left out.
func addNeeds(roles map[string]pki.Role, s protoreflect.ServiceDescriptor) {
	for i := range s.Methods().Len() {
		m := s.Methods().Get(i)
		stated, _ := proto.GetExtension(m.Options(), cirandav1.E_Needs).(cirandav1.Role)
		role, err := pki.ParseRole(strings.ToLower(strings.TrimPrefix(stated.String(), "ROLE_")))
		if err == nil {
			roles["/"+string(s.FullName())+"/"+string(m.Name())] = role
		}
	}
}

// deeds are what methods do, as people say it.
var deeds = map[string]string{
	cirandav1.BankService_Transfer_FullMethodName:         "moving money",
	cirandav1.GroupService_Multicast_FullMethodName:       "sending messages to the group",
	cirandav1.GroupService_MulticastStream_FullMethodName: "sending messages to the group",
	cirandav1.GroupService_Leave_FullMethodName:           "having a node leave the group",
	cirandav1.SnapshotService_Take_FullMethodName:         "taking a snapshot",
	cirandav1.GroupService_Join_FullMethodName:            "having a node join the group",
}

// RequireRole says whether who makes the call of a context may call a method, such as /ciranda.v1.BankService/Transfer.
// Every server of the contract must ask it. A method that states no role is for nobody.
func RequireRole(ctx context.Context, method string) error {
	need, caller := needs()[method], Caller(ctx)
	switch {
	case method == free || caller.Role.May(need):
		return nil
	case need == 0:
		return &Error{Code: codes.PermissionDenied, Text: fmt.Sprintf("%s states no role that it needs, so nobody may call it", method)}
	}
	what := strings.ReplaceAll(strings.TrimPrefix(method, "/ciranda.v1."), "/", ".")
	if words := deeds[method]; words != "" {
		what = words
	}
	return &Error{Code: codes.PermissionDenied,
		Text: fmt.Sprintf("%s needs the role %s; you are %s %s", what, need, caller.Role, caller.Name),
		Hint: fmt.Sprintf("ciranda pki issue --role %s makes credentials that may; --credentials shows them", need)}
}

// UnaryRole lets a call through whose caller, as the context has it, has the role that the method needs.
func UnaryRole(ctx context.Context, r any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if err := RequireRole(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	return next(ctx, r)
}

// enter gives the context of a call of the gRPC port: who makes it is known there, and may.
func (a Access) enter(ctx context.Context, method string) (context.Context, error) {
	if method == free && a.Insecure() {
		return ctx, nil
	}
	from, header := &peer.Peer{}, ""
	if p, ok := peer.FromContext(ctx); ok {
		from = p
	}
	if md, ok := metadata.FromIncomingContext(ctx); ok && len(md["authorization"]) == 1 {
		header = md["authorization"][0]
	}
	id, err := a.identify(from.Addr, header)
	if err != nil {
		return nil, err
	}
	ctx = WithCaller(ctx, id)
	return ctx, RequireRole(ctx, method)
}

func (a Access) unary(ctx context.Context, r any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	ctx, err := a.enter(ctx, info.FullMethod)
	if err != nil {
		return nil, err
	}
	return next(ctx, r)
}

func (a Access) stream(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	ctx, err := a.enter(s.Context(), info.FullMethod)
	if err != nil {
		return err
	}
	return next(srv, entered{s, ctx})
}

// entered is a stream whose context knows the caller.
type entered struct {
	grpc.ServerStream
	ctx context.Context
}

func (s entered) Context() context.Context { return s.ctx }

// connectRoles asks for the role on the HTTP port, where the context knows the caller already.
type connectRoles struct{}

func (connectRoles) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
		if err := RequireRole(ctx, r.Spec().Procedure); err != nil {
			return nil, err
		}
		return next(ctx, r)
	}
}

func (connectRoles) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

func (connectRoles) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, c connect.StreamingHandlerConn) error {
		if err := RequireRole(ctx, c.Spec().Procedure); err != nil {
			return err
		}
		return next(ctx, c)
	}
}
