package api

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	cirandav1 "ciranda.dev/api/ciranda/v1"
)

// A Client calls the services of one process.
type Client struct {
	Node       cirandav1.NodeServiceClient
	Cluster    cirandav1.ClusterServiceClient
	Events     cirandav1.EventServiceClient
	Supervisor cirandav1.SupervisorServiceClient
	Bank       cirandav1.BankServiceClient
	Echo       cirandav1.EchoServiceClient

	connection *grpc.ClientConn
}

// Dial makes a client of the gRPC port at an address. It connects at the first call, and again when it must. Whoever
// answers there is told nothing unless it has the token.
func Dial(address string, a Access) (*Client, error) {
	t := a.Token
	c, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(credentials.NewTLS(t.clientTLS())), grpc.WithPerRPCCredentials(t),
		grpc.WithUnaryInterceptor(strangeUnary), grpc.WithStreamInterceptor(strangeStream),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(16<<20)), grpc.WithDisableServiceConfig(),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: time.Second,
		}))
	if err != nil {
		return nil, fmt.Errorf("api: %s: %w", address, err)
	}
	return &Client{
		Node:       cirandav1.NewNodeServiceClient(c),
		Cluster:    cirandav1.NewClusterServiceClient(c),
		Events:     cirandav1.NewEventServiceClient(c),
		Supervisor: cirandav1.NewSupervisorServiceClient(c),
		Bank:       cirandav1.NewBankServiceClient(c),
		Echo:       cirandav1.NewEchoServiceClient(c),
		connection: c,
	}, nil
}

// strange says of a call that did not begin whether it is for want of the same token at both ends.
func strange(err error) error {
	if text := status.Convert(err).Message(); status.Code(err) == codes.Unavailable &&
		(strings.Contains(text, errKey.Error()) || strings.Contains(text, "remote error: tls: bad certificate")) {
		return &Error{Code: codes.Unauthenticated, Text: "what answers there does not have this token",
			Hint: "each cluster has a token of its own, in the file token of its directory"}
	}
	return err
}

func strangeUnary(ctx context.Context, method string, r, answer any, c *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	return strange(invoke(ctx, method, r, answer, c, opts...))
}

func strangeStream(ctx context.Context, d *grpc.StreamDesc, c *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := open(ctx, d, c, method, opts...)
	return s, strange(err)
}

// Await asks for the cluster's status until want is content with it, and gives that. It asks again whenever something
// happened, and every now and then. If ctx ends before, the status is the last one that came; nil if none did.
func (c *Client) Await(ctx context.Context, want func(*cirandav1.StatusResponse) bool) (*cirandav1.StatusResponse, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.Events.Watch(ctx, &cirandav1.WatchRequest{})
	if err != nil {
		return nil, err
	}
	events := make(chan struct{}, 1)
	go func() {
		for {
			if _, err := stream.Recv(); err != nil {
				return
			}
			select {
			case events <- struct{}{}:
			default: // one is waiting already
			}
		}
	}()
	return c.await(ctx, want, events)
}

// nowAndThen is how long Await goes without asking.
const nowAndThen = 100 * time.Millisecond

func (c *Client) await(ctx context.Context, want func(*cirandav1.StatusResponse) bool, events <-chan struct{}) (*cirandav1.StatusResponse, error) {
	tick := time.NewTicker(nowAndThen)
	defer tick.Stop()
	var last *cirandav1.StatusResponse
	for {
		s, err := c.Cluster.Status(ctx, &cirandav1.StatusRequest{})
		if ctx.Err() != nil {
			return last, ctx.Err()
		}
		if err != nil {
			return last, err
		}
		if last = s; want(s) {
			return s, nil
		}
		select {
		case <-events:
		case <-tick.C:
		case <-ctx.Done():
			return last, ctx.Err()
		}
	}
}

// Close ends the client and its calls.
func (c *Client) Close() error { return c.connection.Close() }
