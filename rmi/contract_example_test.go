package rmi_test

import (
	"context"
	"fmt"

	"ciranda.dev/rmi"
)

// A Counter is a remote interface without generated code. Its methods are called by descriptors.
type Counter interface {
	Add(ctx context.Context, n int) (sum int, err error)
}

type addIn struct {
	N int `cbor:"n"`
}

type addOut struct {
	Sum int `cbor:"sum"`
}

var counterRemote = rmi.NewInterface[Counter]("example.org/count.Counter", nil)

var add = rmi.NewMethod(counterRemote, "Add", rmi.AtMostOnce,
	func(ctx context.Context, c Counter, in *addIn, out *addOut) (err error) {
		out.Sum, err = c.Add(ctx, in.N)
		return err
	})

type counter struct{ sum int }

func (c *counter) Add(_ context.Context, n int) (int, error) {
	c.sum += n
	return c.sum, nil
}

// What the generator writes can be written by hand: the interface, and each method with the form of its arguments and results.
func ExampleNewMethod() {
	options := rmi.Options{Secret: []byte("a secret of both")}
	server, err := rmi.Listen("127.0.0.1:0", options)
	if err != nil {
		panic(err)
	}
	defer server.Close()
	ref, err := counterRemote.Export(server, &counter{sum: 40}, rmi.Serial())
	if err != nil {
		panic(err)
	}

	client, err := rmi.Dial(context.Background(), server.Addr().String(), options)
	if err != nil {
		panic(err)
	}
	defer client.Close()
	out, err := add.Invoke(context.Background(), client.Remote(ref), &addIn{N: 2})
	fmt.Println(out.Sum, err)
	// Output: 42 <nil>
}
