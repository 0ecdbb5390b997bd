package cli

import (
	"bufio"
	"context"
	"io"
	"strings"
	"testing"

	"ciranda.dev/protocol/invocation"
	"ciranda.dev/rmi"
)

// Watch shows what is there, and then each change, as text or as JSON.
func TestWatchNames(t *testing.T) {
	for asJSON, want := range map[bool][]string{
		false: {"1 bank/alice: Account ", "2 bank/bob: Account ", "3 bank/alice: gone"},
		true: {`{"revision":1,"name":"bank/alice","is":{"name":"bank/alice","interface":"Account","owner":"node 3","inc":1,"object":`,
			`{"revision":2,"name":"bank/bob","is":{`, `{"revision":3,"name":"bank/alice","is":null}`},
	} {
		n, err := rmi.New(rmi.Options{Secret: []byte("secret")})
		if err != nil {
			t.Fatal(err)
		}
		names := n.Names()
		bind := func(name string) {
			ref := rmi.Ref{Ref: invocation.Ref{Owner: invocation.NodeClient(3), Incarnation: 1, Object: invocation.ObjectID{7}, Interface: "Account"}}
			if err := names.Bind(t.Context(), name, ref, map[string]string{"of": "it"}); err != nil {
				t.Fatal(err)
			}
		}
		bind("bank/alice")
		ctx, cancel := context.WithCancel(t.Context())
		r, w := io.Pipe()
		over := make(chan error)
		go func() { over <- watchNames(ctx, names, "bank/", w, asJSON) }()
		lines := bufio.NewScanner(r)
		for i, begins := range want {
			if !lines.Scan() || !strings.HasPrefix(lines.Text(), begins) {
				t.Errorf("got %q, want %q", lines.Text(), begins)
			}
			switch i { // what follows on the line
			case 0:
				bind("bank/bob")
			case 1:
				if err := names.Unbind(ctx, "bank/alice"); err != nil {
					t.Fatal(err)
				}
			}
		}
		cancel()
		if err := <-over; err != nil {
			t.Error(err)
		}
		n.Close()
	}
}
