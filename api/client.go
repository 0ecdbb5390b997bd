package api

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	cirandav1 "ciranda.dev/api/ciranda/v1"
)

// A Client calls the services of one process.
type Client struct {
	Node       cirandav1.NodeServiceClient
	Cluster    cirandav1.ClusterServiceClient
	Events     cirandav1.EventServiceClient
	Supervisor cirandav1.SupervisorServiceClient
	Bank       cirandav1.BankServiceClient
	Group      cirandav1.GroupServiceClient
	Snapshots  cirandav1.SnapshotServiceClient
	Echo       cirandav1.EchoServiceClient
	Health     healthv1.HealthClient

	connection connection
	insecure   bool
}

// Insecure says whether the client speaks plain text.
func (c *Client) Insecure() bool { return c.insecure }

// A connection on which a call waits and nothing comes is probed, so that one to a machine that vanished without a word
// is given up, and made anew or to the next address.
const (
	silence = 10 * time.Second // before a probe; servers allow no less than half of it
	probing = 5 * time.Second  // until the connection is given up
)

// Dial makes a client of the gRPC ports at one or more addresses, HOST:PORT,…: of the first that answers, and when that
// is lost, of the next. It connects at the first call, and again when it must. With credentials it speaks only to nodes
// and gateways of the same cluster; with a token it shows that to whoever answers.
func Dial(addresses string, a Access) (*Client, error) {
	if err := a.Validate(); err != nil {
		return nil, err
	}
	servers, err := Addresses(addresses)
	if err != nil {
		return nil, err
	}
	var state resolver.State
	for _, s := range servers {
		state.Endpoints = append(state.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{{Addr: s}}})
	}
	r := manual.NewBuilderWithScheme("ciranda")
	r.InitialState(state)
	c, err := grpc.NewClient(r.Scheme()+":///", append(a.dialOptions(), grpc.WithResolvers(r),
		grpc.WithAuthority(servers[0]),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(16<<20)), grpc.WithDisableServiceConfig(),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: silence, Timeout: probing}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: time.Second,
		}))...)
	if err != nil {
		return nil, fmt.Errorf("api: %s: %w", addresses, err)
	}
	return newClient(c, a), nil
}

// A connection is what a client calls over.
type connection interface {
	grpc.ClientConnInterface
	Close() error
}

func newClient(c connection, a Access) *Client {
	return &Client{
		Node:       cirandav1.NewNodeServiceClient(c),
		Cluster:    cirandav1.NewClusterServiceClient(c),
		Events:     cirandav1.NewEventServiceClient(c),
		Supervisor: cirandav1.NewSupervisorServiceClient(c),
		Bank:       cirandav1.NewBankServiceClient(c),
		Group:      cirandav1.NewGroupServiceClient(c),
		Snapshots:  cirandav1.NewSnapshotServiceClient(c),
		Echo:       cirandav1.NewEchoServiceClient(c),
		Health:     healthv1.NewHealthClient(c),
		connection: c,
		insecure:   a.Insecure(),
	}
}

// Addresses reads "HOST:PORT,HOST:PORT".
func Addresses(text string) ([]string, error) {
	var servers []string
	for address := range strings.SplitSeq(text, ",") {
		address = strings.TrimSpace(address)
		if _, port, err := net.SplitHostPort(address); err != nil || port == "" {
			return nil, Wrong("address", "found the address %.80q; expected HOST:PORT", address)
		}
		servers = append(servers, address)
	}
	return servers, nil
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
