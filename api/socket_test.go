package api

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/pki"
)

// serveSockets starts a server with a socket port, and gives its address and what it logs.
func serveSockets(t *testing.T, a Access) (string, *record) {
	t.Helper()
	l, log := listen(t), &record{}
	s := New(Config{Services: Services{Cluster: village{NewFeed[*cirandav1.Event](4)}}, Access: a, Socket: l,
		Log: slog.New(slog.NewTextHandler(log, nil))})
	s.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		s.Close(ctx)
	})
	return l.Addr().String(), log
}

func dialSocket(t *testing.T, address string, a Access) *Client {
	t.Helper()
	c, err := DialSocket(address, a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// The services and roles of the other ports are those of the socket port.
func TestSocketsServeTheSame(t *testing.T) {
	o := newOffice(t, "default")
	secure, _ := serveSockets(t, o.access(t, pki.Node, "3"))
	plain, _ := serveSockets(t, Access{Token: "0123456789abcdefghij"})
	for address, a := range map[string]Access{secure: o.access(t, pki.Operator, "oda"), plain: {Token: "0123456789abcdefghij"}} {
		c := dialSocket(t, address, a)
		if s, err := c.Cluster.Status(t.Context(), &cirandav1.StatusRequest{}); err != nil || s.Leader != 5 || s.Cluster != "village" {
			t.Errorf("got %v, %v", s, err)
		}
		_, err := c.Cluster.Elect(t.Context(), &cirandav1.ElectRequest{Node: "9"})
		if e, want := AsError(err), (Error{codes.InvalidArgument, "node", `node: found "9"; expected one of 1, 2`, ""}); e == nil || *e != want {
			t.Errorf("got %+v, want %+v", e, want)
		}
		_, err = c.Cluster.SetFault(t.Context(), &cirandav1.SetFaultRequest{})
		if e, want := AsError(err), (Error{codes.FailedPrecondition, "", "not now", "wait a while"}); e == nil || *e != want {
			t.Errorf("got %+v, want %+v", e, want)
		}
	}
	observer := dialSocket(t, secure, o.access(t, pki.Observer, "ana"))
	if _, err := observer.Cluster.Status(t.Context(), &cirandav1.StatusRequest{}); err != nil {
		t.Error(err)
	}
	_, err := observer.Cluster.Elect(t.Context(), &cirandav1.ElectRequest{Node: "1"})
	if status.Code(err) != codes.PermissionDenied || !strings.Contains(err.Error(), "you are observer ana") {
		t.Errorf("an observer calls an election: %v", err)
	}
}

// Who has not the right credentials is told so in words, and named in the log.
func TestSocketsRefuseStrangers(t *testing.T) {
	o, other := newOffice(t, "default"), newOffice(t, "other")
	secure, log := serveSockets(t, o.access(t, pki.Node, "3"))
	plain, plainLog := serveSockets(t, Access{Token: "0123456789abcdefghij"})
	for _, c := range []struct {
		name, address string
		access        Access
		code          codes.Code
		text          string
	}{
		{"another token", plain, Access{Token: "zyxwvutsrqponmlkjihg"}, codes.Unauthenticated, "token"},
		{"a certificate in plain text", plain, o.access(t, pki.Client, "a"), codes.Unauthenticated, "plain text"},
		{"a token for a certificate", secure, Access{Token: "0123456789abcdefghij"}, codes.Unauthenticated, "needs a certificate"},
		{"another cluster", secure, other.access(t, pki.Client, "a"), codes.Unauthenticated, "other"},
	} {
		_, err := dialSocket(t, c.address, c.access).Cluster.Status(t.Context(), &cirandav1.StatusRequest{})
		if status.Code(err) != c.code || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.text)
		}
	}
	log.await(t, "speaks plain text")
	plainLog.await(t, "does not show the cluster's token")
}

// A browser that has a certificate cannot be made to speak to the port: it names protocols that are not this one. What
// names none is let in.
func TestSocketsAreNotForBrowsers(t *testing.T) {
	o := newOffice(t, "default")
	address, _ := serveSockets(t, o.access(t, pki.Node, "3"))
	config := o.access(t, pki.Client, "ana").Credentials.Client()
	config.NextProtos = []string{"h2", "http/1.1"}
	if c, err := tls.Dial("tcp", address, config); err == nil {
		c.Close()
		t.Error("a browser is let in")
	}
	config.NextProtos = nil
	c, err := tls.Dial("tcp", address, config)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintln(c, `{"id":1,"call":"echo.echo"}`)
	if got, err := bufio.NewReader(c).ReadString('\n'); got != `{"id":1,"result":{"payload":""}}`+"\n" {
		t.Errorf("got %q, %v", got, err)
	}
}

// Many who are known may be idle at once; strangers take no place of theirs.
func TestSocketsHoldManyWhoAreKnown(t *testing.T) {
	address, _ := serveSockets(t, Access{Token: "0123456789abcdefghij"})
	idle := make([]net.Conn, 600)
	for i := range idle {
		idle[i] = connectTo(t, address)
		fmt.Fprintln(idle[i], `{"token":"0123456789abcdefghij"}`)
		if got, err := bufio.NewReader(idle[i]).ReadString('\n'); got != `{"result":{}}`+"\n" {
			t.Fatalf("connection %d: got %q, %v", i, got, err)
		}
	}
	strangers := make([]net.Conn, socketPort.strangers+1)
	for i := range strangers {
		strangers[i] = connectTo(t, address)
		io.WriteString(strangers[i], `{"token":`)
	}
	if _, ok := ends(strangers[0]); !ok {
		t.Error("the oldest stranger stays")
	}
	for i, c := range idle {
		fmt.Fprintln(c, `{"call":"echo.echo"}`)
		if got, err := bufio.NewReader(c).ReadString('\n'); got != `{"result":{"payload":""}}`+"\n" {
			t.Fatalf("afterwards, connection %d: got %q, %v", i, got, err)
		}
	}
}
