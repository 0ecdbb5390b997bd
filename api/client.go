package api

import (
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"

	cirandav1 "ciranda.dev/api/ciranda/v1"
)

// A Client calls the services of one process.
type Client struct {
	Node       cirandav1.NodeServiceClient
	Cluster    cirandav1.ClusterServiceClient
	Supervisor cirandav1.SupervisorServiceClient

	connection *grpc.ClientConn
}

// Dial makes a client of the gRPC port at an address. It connects at the first call, and again when it must.
func Dial(address string, t Token) (*Client, error) {
	c, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithPerRPCCredentials(t),
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
		Supervisor: cirandav1.NewSupervisorServiceClient(c),
		connection: c,
	}, nil
}

// Close ends the client and its calls.
func (c *Client) Close() error { return c.connection.Close() }
