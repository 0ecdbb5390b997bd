package api

import (
	"context"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// dialOptions are how a client shows who it is, and says in words why it is not let in.
func (a Access) dialOptions() []grpc.DialOption {
	words := []grpc.DialOption{grpc.WithUnaryInterceptor(a.unaryInWords), grpc.WithStreamInterceptor(a.streamInWords)}
	if a.Insecure() {
		return append(words, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithPerRPCCredentials(a.Token))
	}
	return append(words, grpc.WithTransportCredentials(credentials.NewTLS(a.Credentials.Client())))
}

// The beginnings of what gRPC says of connections that came to nothing, and what some peers say at the other side of
// the border of TLS.
const (
	failedHandshake = "authentication handshake failed: "
	plainAnswer     = "first record does not look like a TLS handshake"
	httpAnswer      = "http2: frame too large"
	badCertificate  = "remote error: tls: "
)

// inWords says of a call that did not begin why, if it is for want of the right credentials.
func (a Access) inWords(err error) error {
	if status.Code(err) != codes.Unavailable {
		return err
	}
	text := status.Convert(err).Message()
	refused := func(text, hint string) error {
		return &Error{Code: codes.Unauthenticated, Text: text, Hint: hint}
	}
	switch _, after, found := strings.Cut(text, failedHandshake+"pki: "); {
	case a.Insecure() && strings.Contains(text, httpAnswer):
		return refused("this cluster needs a certificate", "--credentials DIR shows one; ciranda pki issue makes one")
	case strings.Contains(text, plainAnswer):
		return refused("the server speaks plain text: is it --insecure?", "--insecure with --token-file speaks plain text too")
	case found:
		return refused(strings.TrimSuffix(after, `"`), "")
	case !a.Insecure() && strings.Contains(text, badCertificate):
		return refused("the server refused the certificate of "+a.Credentials.Identity().String(),
			"its log says why; ciranda pki show tells of yours")
	}
	return err
}

func (a Access) unaryInWords(ctx context.Context, method string, r, answer any, c *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	return a.inWords(invoke(ctx, method, r, answer, c, opts...))
}

func (a Access) streamInWords(ctx context.Context, d *grpc.StreamDesc, c *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := open(ctx, d, c, method, opts...)
	return s, a.inWords(err)
}
