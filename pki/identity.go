package pki

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"ciranda.dev/protocol"
)

// scheme is that of the URIs in certificates.
const scheme = "ciranda"

// maxURI is the length of the longest URI of an identity, in bytes, and some more.
const maxURI = 256

var (
	clusterForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`) // as package cluster has it
	nameForm    = regexp.MustCompile(`^[a-z0-9-]{1,63}$`)
)

// An Identity says who a party is. A certificate holds it as the URI ciranda://CLUSTER/ROLE/NAME.
type Identity struct {
	Cluster string // up to 32 lower-case letters, digits and hyphens
	Role    Role
	Name    string // up to 63 lower-case letters, digits and hyphens; a node's is its number
}

// String is the identity for people, such as "node 3 of default".
func (i Identity) String() string { return fmt.Sprintf("%s %s of %s", i.Role, i.Name, i.Cluster) }

// Node is the number of a node, or [protocol.None] for who is not one.
func (i Identity) Node() protocol.ID {
	if i.Role != Node {
		return protocol.None
	}
	n, err := nodeNumber(i.Name)
	if err != nil {
		return protocol.None
	}
	return n
}

// nodeNumber reads the one form that a number has, so that no two names are of one node.
func nodeNumber(name string) (protocol.ID, error) {
	n, err := strconv.ParseUint(name, 10, 16)
	if err != nil || n == 0 || strconv.FormatUint(n, 10) != name {
		return protocol.None, fmt.Errorf("pki: found the name %.70q for a node; expected its number, 1 to 65535", name)
	}
	return protocol.ID(n), nil
}

// URI is the identity as it stands in a certificate.
func (i Identity) URI() *url.URL {
	return &url.URL{Scheme: scheme, Host: i.Cluster, Path: "/" + i.Role.String() + "/" + i.Name}
}

func (i Identity) check() error {
	if err := checkCluster(i.Cluster); err != nil {
		return err
	}
	if !i.Role.known() {
		return fmt.Errorf("pki: found %s; expected node, gateway, operator, client or observer", i.Role)
	}
	if !nameForm.MatchString(i.Name) {
		return fmt.Errorf("pki: found the name %.70q; expected up to 63 lower-case letters, digits and hyphens", i.Name)
	}
	if i.Role == Node {
		_, err := nodeNumber(i.Name)
		return err
	}
	return nil
}

func checkCluster(name string) error {
	if !clusterForm.MatchString(name) {
		return fmt.Errorf("pki: found the cluster %.40q; expected up to 32 lower-case letters, digits and hyphens", name)
	}
	return nil
}

// ParseIdentity reads an identity from the URI of a certificate. It takes only what [Identity.URI] gives.
func ParseIdentity(u *url.URL) (Identity, error) {
	text := u.String()
	path := strings.Split(u.Path, "/")
	if len(text) > maxURI || u.Scheme != scheme || len(path) != 3 {
		return Identity{}, fmt.Errorf("pki: found the URI %.80q; expected ciranda://CLUSTER/ROLE/NAME", text)
	}
	role, err := ParseRole(path[1])
	if err != nil {
		return Identity{}, err
	}
	i := Identity{Cluster: u.Host, Role: role, Name: path[2]}
	if err := i.check(); err != nil {
		return Identity{}, err
	}
	if i.URI().String() != text {
		return Identity{}, fmt.Errorf("pki: found the URI %.80q; expected %s", text, i.URI())
	}
	return i, nil
}

// IdentityIn reads the identity in a certificate. It does not check who signed it.
func IdentityIn(cert *x509.Certificate) (Identity, error) {
	if len(cert.URIs) != 1 {
		return Identity{}, fmt.Errorf("pki: the certificate of %.80q has %d URIs; expected ciranda://CLUSTER/ROLE/NAME alone",
			cert.Subject.String(), len(cert.URIs))
	}
	return ParseIdentity(cert.URIs[0])
}

// IdentityOf says who is at the other end of a connection. The connection must have been made with the settings of
// [Credentials.Server] or [Credentials.Client], which let none through whose certificate is not good; of any other
// connection it tells nothing that can be relied on.
func IdentityOf(state tls.ConnectionState) (Identity, error) {
	if !state.HandshakeComplete || len(state.PeerCertificates) == 0 {
		return Identity{}, errors.New("pki: the other end has not shown a certificate")
	}
	return IdentityIn(state.PeerCertificates[0])
}
