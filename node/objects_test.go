package node

import (
	"context"
	"strings"
	"testing"

	"ciranda.dev/api"
	"ciranda.dev/pki"
	"ciranda.dev/rmi"
)

// An adder is a remote object of the test.
type adder interface {
	Add(ctx context.Context, n int) (int, error)
}

type addIn struct{ N int }
type addOut struct{ Sum int }

var adderRemote = rmi.NewInterface("test.Adder", func(r *rmi.Remote) adder { return adderStub{r} })

var adderAdd = rmi.NewMethod(adderRemote, "Add", rmi.AtMostOnce,
	func(ctx context.Context, c adder, in *addIn, out *addOut) (err error) {
		out.Sum, err = c.Add(ctx, in.N)
		return err
	})

type adderStub struct{ *rmi.Remote }

func (s adderStub) Add(ctx context.Context, n int) (int, error) {
	out, err := adderAdd.Invoke(ctx, s.Remote, &addIn{n})
	return out.Sum, err
}

type sum struct{ n int }

func (c *sum) Add(_ context.Context, n int) (int, error) {
	c.n += n
	return c.n, nil
}

// Objects of a node are called at its gRPC port, by programs and by nodes, which find each other by their numbers.
func TestNodesServeObjects(t *testing.T) {
	o, configs := secure(t)
	t.Run("secure", func(t *testing.T) { serveObjects(t, configs, o.access(t, pki.Client, "alice")) })
	plain := three(t)
	t.Run("plain", func(t *testing.T) { serveObjects(t, plain, plain[0].Access) })
}

func serveObjects(t *testing.T, configs []Config, access api.Access) {
	nodes := make([]*Node, len(configs))
	for i, c := range configs {
		nodes[i] = start(t, c)
		defer stop(t, nodes[i])
	}
	options := rmi.Options{}
	ObjectAccess(access, &options)
	program, err := rmi.Dial(t.Context(), configs[0].GRPC, options)
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	ref, err := adderRemote.Export(nodes[2].Objects(), &sum{})
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range []*rmi.Node{program, nodes[1].Objects()} {
		c, err := adderRemote.At(t.Context(), n, ref)
		if err != nil {
			t.Fatal(err)
		}
		if sum, err := c.Add(t.Context(), 2); err != nil || sum != 2*(i+1) {
			t.Errorf("got %d, %v", sum, err)
		}
	}
}

// Who has not the cluster's credentials calls nothing.
func TestStrangersCallNoObjects(t *testing.T) {
	o, configs := secure(t)
	defer stop(t, start(t, configs[0]))
	other := newOffice(t, "other")
	for want, access := range map[string]api.Access{
		"":                    o.access(t, pki.Observer, "olga"),
		"this port needs TLS": {Token: "0123456789abcdef"},
		"of another cluster":  other.access(t, pki.Operator, "mallory"),
	} {
		options := rmi.Options{}
		ObjectAccess(access, &options)
		n, err := rmi.Dial(t.Context(), configs[0].GRPC, options)
		if err == nil {
			n.Close()
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	plain := three(t)
	defer stop(t, start(t, plain[0]))
	_, err := rmi.Dial(t.Context(), plain[0].GRPC, rmi.Options{Secret: []byte("a guess")})
	if err == nil || !strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}
