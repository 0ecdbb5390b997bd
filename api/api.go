// Package api is the edge between Ciranda's processes and their users: the services of ciranda/v1 served as gRPC on
// one port and as JSON over HTTP on another, and the client for them.
//
// A service is one Go value ([Node], [Cluster], [Supervisor], [Bank], [Group], [Snapshots]); [New] puts it on both ports. With credentials
// ([Access]) both ports speak TLS 1.3 alone, and both ends show certificates of the cluster. Each method states in the
// contract which role it needs ([RequireRole]), and a service learns who calls it ([Caller]). With a token everything is
// plain text: whoever shows the token in a call is an operator.
//
// What it does not promise: anything against who can read or change what a cluster with a token sends; such ports belong
// on the loopback interface, where the HTTP port also refuses what a web page of another origin, or one that a foreign
// name resolves here, makes a browser send. Nor does it protect a server from its own cluster: a party with a
// certificate can keep it busy.
package api

import (
	"context"

	"connectrpc.com/connect"
	"google.golang.org/grpc"

	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/api/ciranda/v1/cirandav1connect"
)

// A Node is the service of one node.
type Node interface {
	Describe(context.Context, *cirandav1.DescribeRequest) (*cirandav1.DescribeResponse, error)
	BeginElection(context.Context, *cirandav1.BeginElectionRequest) (*cirandav1.BeginElectionResponse, error)
	SetLinks(context.Context, *cirandav1.SetLinksRequest) (*cirandav1.SetLinksResponse, error)
	BreakLinks(context.Context, *cirandav1.BreakLinksRequest) (*cirandav1.BreakLinksResponse, error)
	SetDisk(context.Context, *cirandav1.SetDiskRequest) (*cirandav1.SetDiskResponse, error)
	SetSlow(context.Context, *cirandav1.SetSlowRequest) (*cirandav1.SetSlowResponse, error)
	SetClock(context.Context, *cirandav1.SetClockRequest) (*cirandav1.SetClockResponse, error)
	MakeWell(context.Context, *cirandav1.MakeWellRequest) (*cirandav1.MakeWellResponse, error)
	Freeze(context.Context, *cirandav1.FreezeRequest) (*cirandav1.FreezeResponse, error)
	// Follow calls send for each batch until ctx ends or send fails.
	Follow(ctx context.Context, r *cirandav1.FollowRequest, send func(*cirandav1.FollowResponse) error) error
}

// A Cluster is the service of the cluster as a whole.
type Cluster interface {
	Status(context.Context, *cirandav1.StatusRequest) (*cirandav1.StatusResponse, error)
	Elect(context.Context, *cirandav1.ElectRequest) (*cirandav1.ElectResponse, error)
	SetFault(context.Context, *cirandav1.SetFaultRequest) (*cirandav1.SetFaultResponse, error)
	Heal(context.Context, *cirandav1.HealRequest) (*cirandav1.HealResponse, error)
	// Watch calls send for each batch until ctx ends or send fails.
	Watch(ctx context.Context, r *cirandav1.WatchRequest, send func(*cirandav1.WatchResponse) error) error
}

// A Supervisor is the service that acts on processes.
type Supervisor interface {
	Kill(context.Context, *cirandav1.KillRequest) (*cirandav1.KillResponse, error)
	Pause(context.Context, *cirandav1.PauseRequest) (*cirandav1.PauseResponse, error)
	Resume(context.Context, *cirandav1.ResumeRequest) (*cirandav1.ResumeResponse, error)
	Restart(context.Context, *cirandav1.RestartRequest) (*cirandav1.RestartResponse, error)
	Down(context.Context, *cirandav1.DownRequest) (*cirandav1.DownResponse, error)
}

// A Bank is the service of the bank, or of one account of it.
type Bank interface {
	Transfer(context.Context, *cirandav1.TransferRequest) (*cirandav1.TransferResponse, error)
	Account(context.Context, *cirandav1.AccountRequest) (*cirandav1.AccountResponse, error)
	Balances(context.Context, *cirandav1.BalancesRequest) (*cirandav1.BalancesResponse, error)
}

// Services are what a process serves. A nil one is not served. Every process serves EchoService.
type Services struct {
	Node       Node
	Cluster    Cluster // and EventService
	Supervisor Supervisor
	Bank       Bank
	Group      Group
	Snapshots  Snapshots
}

// maxEcho is the size of the largest echo, in bytes.
const maxEcho = 64 << 10

// echo is the EchoService.
type echo struct{}

func (echo) Echo(_ context.Context, r *cirandav1.EchoRequest) (*cirandav1.EchoResponse, error) {
	if n := len(r.GetPayload()); n > maxEcho {
		return nil, Wrong("payload", "found %d bytes; expected at most %d", n, maxEcho)
	}
	return &cirandav1.EchoResponse{Payload: r.GetPayload()}, nil
}

// The generated interfaces differ in how a stream is written, and in nothing else.
type (
	grpcNode      struct{ Node }
	grpcEvents    struct{ Cluster }
	connectNode   struct{ Node }
	connectEvents struct{ Cluster }
)

func (n grpcNode) Follow(r *cirandav1.FollowRequest, s grpc.ServerStreamingServer[cirandav1.FollowResponse]) error {
	return n.Node.Follow(s.Context(), r, s.Send)
}

func (c grpcEvents) Watch(r *cirandav1.WatchRequest, s grpc.ServerStreamingServer[cirandav1.WatchResponse]) error {
	return c.Cluster.Watch(s.Context(), r, s.Send)
}

func (n connectNode) Follow(ctx context.Context, r *cirandav1.FollowRequest, s *connect.ServerStream[cirandav1.FollowResponse]) error {
	return n.Node.Follow(ctx, r, s.Send)
}

func (c connectEvents) Watch(ctx context.Context, r *cirandav1.WatchRequest, s *connect.ServerStream[cirandav1.WatchResponse]) error {
	return c.Cluster.Watch(ctx, r, s.Send)
}

func (s Services) registerGRPC(r grpc.ServiceRegistrar) {
	if s.Node != nil {
		cirandav1.RegisterNodeServiceServer(r, grpcNode{s.Node})
	}
	if s.Cluster != nil {
		cirandav1.RegisterClusterServiceServer(r, s.Cluster)
		cirandav1.RegisterEventServiceServer(r, grpcEvents{s.Cluster})
	}
	if s.Supervisor != nil {
		cirandav1.RegisterSupervisorServiceServer(r, s.Supervisor)
	}
	if s.Bank != nil {
		cirandav1.RegisterBankServiceServer(r, s.Bank)
	}
	if s.Group != nil {
		cirandav1.RegisterGroupServiceServer(r, grpcGroup{s.Group})
	}
	if s.Snapshots != nil {
		cirandav1.RegisterSnapshotServiceServer(r, s.Snapshots)
	}
	cirandav1.RegisterEchoServiceServer(r, echo{})
}

func (s Services) registerHTTP(handle handleFunc, opts ...connect.HandlerOption) {
	if s.Node != nil {
		handle(cirandav1connect.NewNodeServiceHandler(connectNode{s.Node}, opts...))
	}
	if s.Cluster != nil {
		handle(cirandav1connect.NewClusterServiceHandler(s.Cluster, opts...))
		handle(cirandav1connect.NewEventServiceHandler(connectEvents{s.Cluster}, opts...))
	}
	if s.Supervisor != nil {
		handle(cirandav1connect.NewSupervisorServiceHandler(s.Supervisor, opts...))
	}
	if s.Bank != nil {
		handle(cirandav1connect.NewBankServiceHandler(s.Bank, opts...))
	}
	if s.Group != nil {
		handle(cirandav1connect.NewGroupServiceHandler(connectGroup{s.Group}, opts...))
	}
	if s.Snapshots != nil {
		handle(cirandav1connect.NewSnapshotServiceHandler(s.Snapshots, opts...))
	}
	handle(cirandav1connect.NewEchoServiceHandler(echo{}, opts...))
}
