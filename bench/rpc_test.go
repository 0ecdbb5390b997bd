package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"ciranda.dev/api"
	"ciranda.dev/pki"
)

// The test's own program is the server, or a member, where it is started as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[2] == "multicast-member" {
		if err := ServeMulticast(os.Stdin, os.Stdout); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		return
	}
	if len(os.Args) > 3 && os.Args[2] == "rpc-server" {
		if err := serveTest(os.Args[3:]); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func serveTest(args []string) (err error) {
	var a api.Access
	if args[0] == "--credentials" {
		a.Credentials, err = pki.Load(args[1])
	} else {
		a.Token, err = api.ReadToken(args[1])
	}
	if err != nil {
		return err
	}
	return ServeRPC(a, os.Stdin, os.Stdout)
}

func TestRPC(t *testing.T) {
	for _, insecure := range []bool{false, true} {
		rounds := 0
		r, err := RPC(t.Context(), RPCOptions{For: 80 * time.Millisecond, Rounds: 2, Insecure: insecure,
			Progress: func(int, int) { rounds++ }})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, c := range r.Results {
			names = append(names, c.Name)
			if c.Calls == 0 || c.P50 <= 0 || c.P99 < c.P50 || c.TimesRaw <= 0 || c.PerSecond <= 0 || c.CPU < 0 {
				t.Errorf("%+v", c)
			}
		}
		if want := []string{"raw", "socket", "grpc", "rmi", "net/rpc"}; !slices.Equal(names, want) {
			t.Errorf("results %v, want %v", names, want)
		}
		if r.RawP50 != r.Results[0].P50 || r.RawFree <= 0 || r.Results[0].TimesRaw != 1 || r.TLS == insecure || r.Size != 64 || rounds != 2 {
			t.Errorf("%+v, after %d rounds", r, rounds)
		}
	}
}

func TestRPCIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	_, err := RPC(ctx, RPCOptions{For: time.Hour, Rounds: 1, Insecure: true, Progress: func(int, int) { cancel(enough) }})
	if !errors.Is(err, enough) {
		t.Errorf("got %v, want %v", err, enough)
	}
}

// The floor refuses what is no message of its own before it makes room for it.
func TestRawLength(t *testing.T) {
	long := bufio.NewReader(bytes.NewReader([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1}))
	if b, err := readRaw(long, nil); err == nil || cap(b) != 0 {
		t.Errorf("%d bytes were made room for, error %v", cap(b), err)
	}
	message := []byte{0, 0, 0, 2, 0, 0, 0, 1, 'h', 'i'}
	got, err := readRaw(bufio.NewReader(bytes.NewReader(message)), nil)
	if err != nil || !bytes.Equal(got, message) {
		t.Errorf("got %v, %v", got, err)
	}
}
