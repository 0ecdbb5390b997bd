package accounts

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/rmi"
)

// A Client is a bank elsewhere, called by remote objects. Its errors are those of the API, and say of a transfer what is known. It
// connects when it is first used, and again when it must.
type Client struct {
	node    *rmi.Node
	address string
}

// NewClient makes a client of the bank of the process at an address.
func NewClient(n *rmi.Node, address string) *Client { return &Client{n, address} }

var _ cirandav1.BankServiceClient = (*Client)(nil)

// bank finds the bank. That is asked for each time: the process may be another one now.
func (c *Client) bank(ctx context.Context) (Bank, error) {
	p, err := c.node.Reach(ctx, c.address)
	if err != nil {
		return nil, &rmi.Error{Kind: rmi.NoReach, Happened: rmi.No, Where: c.address, Text: err.Error()}
	}
	b, err := BankRemote.Offered(ctx, p, Offered)
	if err != nil {
		return nil, &rmi.Error{Kind: rmi.NoReach, Happened: rmi.No, Where: c.address, Text: err.Error()}
	}
	return b, nil
}

// Transfer moves money.
func (c *Client) Transfer(ctx context.Context, r *cirandav1.TransferRequest, o ...grpc.CallOption) (*cirandav1.TransferResponse, error) {
	b, err := c.bank(ctx)
	if err != nil {
		return nil, tell(err, o)
	}
	id := r.GetId()
	is, err := b.Transfer(ctx, Order{From: r.GetFrom(), To: r.GetTo(), Amount: r.GetAmount(), Wait: r.GetWait(), Client: id.GetClient(),
		Number: id.GetNumber(), Below: id.GetBelow()})
	if err != nil {
		return nil, tell(err, o)
	}
	return is.message(), nil
}

// Account shows an account.
func (c *Client) Account(ctx context.Context, r *cirandav1.AccountRequest, o ...grpc.CallOption) (*cirandav1.AccountResponse, error) {
	b, err := c.bank(ctx)
	if err != nil {
		return nil, tell(err, o)
	}
	s, err := b.State(ctx, r.GetAccount())
	if err != nil {
		return nil, tell(err, o)
	}
	return &cirandav1.AccountResponse{Account: s.message()}, nil
}

// Balances shows all accounts.
func (c *Client) Balances(ctx context.Context, _ *cirandav1.BalancesRequest, o ...grpc.CallOption) (*cirandav1.BalancesResponse, error) {
	b, err := c.bank(ctx)
	if err != nil {
		return nil, tell(err, o)
	}
	all, err := b.Balances(ctx)
	if err != nil {
		return nil, tell(err, o)
	}
	return all.message(), nil
}

// Echo gives back what it is sent, as the process at the other end does.
func (c *Client) Echo(ctx context.Context, r *cirandav1.EchoRequest, _ ...grpc.CallOption) (*cirandav1.EchoResponse, error) {
	p, err := c.node.Reach(ctx, c.address)
	if err != nil {
		return nil, tell(&rmi.Error{Kind: rmi.NoReach, Happened: rmi.No, Where: c.address, Text: err.Error()}, nil)
	}
	b, err := p.Echo(ctx, r.GetPayload())
	if err != nil {
		return nil, tell(err, nil)
	}
	return &cirandav1.EchoResponse{Payload: b}, nil
}

// tell turns the error of a call into one of the API. What is certain is marked as a server's word: the trailer says it.
func tell(err error, options []grpc.CallOption) error {
	var is *rmi.Error
	if !errors.As(err, &is) {
		return err
	}
	if said := new(api.Error); is.Happened == rmi.Yes && errors.As(err, &said) {
		mark(options)
		return said
	}
	e := &api.Error{Code: codes.Unknown, Text: err.Error()}
	if is.Happened == rmi.No {
		mark(options)
		e.Code, e.Text = codes.Unavailable, fmt.Sprintf("%v; it did not happen", err)
		if is.Kind == rmi.BadArgument {
			e.Code = codes.InvalidArgument
		}
	}
	return e
}

// mark says that an error is certain, as the trailer of a server's answer does.
func mark(options []grpc.CallOption) {
	for _, o := range options {
		if t, ok := o.(grpc.TrailerCallOption); ok {
			*t.TrailerAddr = metadata.Pairs("over", "objects")
		}
	}
}
