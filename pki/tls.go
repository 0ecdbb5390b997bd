package pki

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"ciranda.dev/protocol"
)

// Server gives the settings of a server: TLS 1.3, and a certificate of the same cluster, signed by an authority that is
// trusted and valid now, from each client. The error of a handshake that is refused says whom and why; the client sees
// no more of it than "bad certificate" or "certificate required". Callers may add NextProtos.
//
// The certificate is checked by VerifyConnection and not by crypto/tls, for the authorities are read again while the
// server runs; so the state of a connection has no VerifiedChains. There are no session tickets: then each connection
// shows its certificate again, and one that has expired or was renewed counts from the next connection on.
func (c *Credentials) Server() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		ClientAuth:             tls.RequireAnyClientCert,
		SessionTicketsDisabled: true,
		GetCertificate:         func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current().shown(), nil },
		VerifyConnection:       func(s tls.ConnectionState) error { return c.admit(s, x509.ExtKeyUsageClientAuth) },
	}
}

// Client gives the settings of a client: TLS 1.3, and the party's certificate for the server. The server must show a
// certificate of the same cluster, signed by an authority that is trusted and valid now, and have one of the roles
// given; without any, [Gateway] or [Node]. The error of a handshake that is refused says whom and why.
//
// The name of the host that was dialed is not checked: who has the certificate of a node is that node, wherever it is.
// Who needs one certain node compares [IdentityOf] with it.
func (c *Credentials) Client(servers ...Role) *tls.Config {
	if len(servers) == 0 {
		servers = []Role{Gateway, Node}
	}
	servers = slices.Clone(servers)
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		InsecureSkipVerify:     true, // of the host's name; VerifyConnection checks all else
		SessionTicketsDisabled: true,
		GetClientCertificate:   func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.ownCertificate() },
		VerifyConnection:       func(s tls.ConnectionState) error { return c.admit(s, x509.ExtKeyUsageServerAuth, servers...) },
	}
}

// Peer gives the settings for both ends of connections between nodes: each shows its certificate, and takes only that of
// a node of the same cluster. [PeerID] says which. Nothing else of [Credentials.Server] and [Credentials.Client] differs.
func (c *Credentials) Peer() *tls.Config {
	both := c.Server()
	both.InsecureSkipVerify = true // of the host's name, as for a client
	both.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.ownCertificate() }
	both.VerifyConnection = func(s tls.ConnectionState) error {
		if err := c.admit(s, x509.ExtKeyUsageClientAuth); err != nil {
			return err
		}
		id, err := IdentityIn(s.PeerCertificates[0])
		if err == nil && id.Role != Node {
			err = fmt.Errorf("refused %s: only nodes may join", id)
		}
		return err
	}
	return both
}

// PeerID says which node is at the other end of a connection that was made with [Credentials.Peer].
func PeerID(s tls.ConnectionState) (protocol.ID, error) {
	id, err := IdentityOf(s)
	return id.Node(), err
}

// ownCertificate gives the certificate of a client. One that has expired is not shown: the server would refuse it with
// an alert that does not say why.
func (c *Credentials) ownCertificate() (*tls.Certificate, error) {
	p := c.current()
	if err := Valid(p.leaf, time.Now()); err != nil {
		return nil, fmt.Errorf("pki: the certificate of %s in %s %w", c.identity, c.dir, err)
	}
	return p.shown(), nil
}

// admit checks the certificate that the other end has shown. Without roles, any will do.
func (c *Credentials) admit(s tls.ConnectionState, usage x509.ExtKeyUsage, roles ...Role) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("pki: the other end shows no certificate")
	}
	leaf := s.PeerCertificates[0]
	id, err := IdentityIn(leaf)
	if err != nil {
		return fmt.Errorf("pki: refused a certificate without identity: %w", err)
	}
	if err := c.judge(leaf, id, usage, roles); err != nil {
		return fmt.Errorf("pki: refused %s: the certificate %w", id, err)
	}
	return nil
}

func (c *Credentials) judge(leaf *x509.Certificate, id Identity, usage x509.ExtKeyUsage, roles []Role) error {
	if id.Cluster != c.identity.Cluster {
		return fmt.Errorf("is of another cluster; expected %s", c.identity.Cluster)
	}
	if err := vet(leaf, c.current().roots, time.Now(), usage); err != nil {
		return err
	}
	if len(roles) > 0 && !slices.Contains(roles, id.Role) {
		return fmt.Errorf("is no server's here; expected the role %s", either(roles))
	}
	return nil
}

func either(roles []Role) string {
	var names []string
	for _, r := range roles {
		names = append(names, r.String())
	}
	return strings.Join(names, " or ")
}

// vet says in words what is wrong with a certificate, as the end of "the certificate …". There are no authorities
// between: what signs must be trusted itself.
func vet(leaf *x509.Certificate, roots *x509.CertPool, now time.Time, usage x509.ExtKeyUsage) error {
	if err := Valid(leaf, now); err != nil {
		return err
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}})
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("was signed by another authority than those of %s (%w)", AuthorityFile, err)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Errorf("was signed by an authority that is not valid now (%w)", err)
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return fmt.Errorf("is not for this end of a connection (%w)", err)
	case err != nil:
		return fmt.Errorf("is not good: %w", err)
	}
	return nil
}

// Valid says in words whether a certificate counts at a time. The error is the end of "the certificate …".
func Valid(cert *x509.Certificate, now time.Time) error {
	switch {
	case now.After(cert.NotAfter):
		return fmt.Errorf("expired on %s; ciranda pki renew makes a new one", stamp(cert.NotAfter))
	case now.Before(cert.NotBefore):
		return fmt.Errorf("is valid from %s only, and here it is %s; is a clock wrong?", stamp(cert.NotBefore), stamp(now))
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }
