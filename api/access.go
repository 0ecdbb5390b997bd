package api

import (
	"context"
	"errors"
	"net"

	"google.golang.org/grpc/codes"

	"ciranda.dev/pki"
)

// Access is what a process shows to others and demands of them, at all its ports. Exactly one of its fields is set.
type Access struct {
	// Credentials make the cluster secure: TLS 1.3 at every port, with a certificate of the cluster from both ends.
	Credentials *pki.Credentials
	// Token makes it insecure: plain text at every port, and a secret in each call. Whoever shows it is an operator.
	Token Token
}

// Insecure says whether what is sent can be read and changed on its way.
func (a Access) Insecure() bool { return a.Credentials == nil }

// Validate says whether there is exactly one way in.
func (a Access) Validate() error {
	switch {
	case a.Credentials == nil && a.Token == "":
		return errors.New("api: there are neither credentials nor a token")
	case a.Credentials != nil && a.Token != "":
		return errors.New("api: there are credentials and a token; expected one of them")
	}
	return nil
}

// tokenCaller is whoever has shown the token.
var tokenCaller = pki.Identity{Role: pki.Operator, Name: "token"}

// identify says who calls over a connection from an address, with an authorization header.
func (a Access) identify(from net.Addr, header string) (pki.Identity, error) {
	if a.Insecure() {
		if err := a.Token.check(header); err != nil {
			return pki.Identity{}, err
		}
		trust(from)
		return tokenCaller, nil
	}
	if c, ok := from.(caller); ok && c.connection.identity.Role != 0 {
		return c.connection.identity, nil
	}
	return pki.Identity{}, &Error{Code: codes.Unauthenticated, Text: "the connection shows no certificate",
		Hint: "ciranda pki issue makes one"}
}

// callerKey is where a context has who calls.
type callerKey struct{}

// WithCaller gives the context of a call that somebody makes. Only servers that have checked who it is may use it.
func WithCaller(ctx context.Context, id pki.Identity) context.Context {
	return context.WithValue(ctx, callerKey{}, id)
}

// Caller says who makes the call of a context. In an insecure cluster it is an operator named token. Outside of calls it
// is nobody, who may do nothing.
func Caller(ctx context.Context) pki.Identity {
	id, _ := ctx.Value(callerKey{}).(pki.Identity)
	return id
}
