package transporttest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"testing"
	"time"

	"ciranda.dev/protocol"
)

// An Authority issues certificates to the nodes of a test.
type Authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// NewAuthority makes an authority of which nobody else knows.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{certificate: &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}}
	a.certificate, a.key = a.issue(t, a.certificate)
	return a
}

// issue signs a certificate; with its own key if it is the authority's.
func (a *Authority) issue(t testing.TB, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer := a.key
	if signer == nil {
		signer = key
	}
	template.SerialNumber = big.NewInt(1)
	template.NotAfter = time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate, key
}

// TLS is TLS 1.3 with certificates at both ends, for a node at the loopback address.
func (a *Authority) TLS(t testing.TB, id protocol.ID) *tls.Config {
	t.Helper()
	leaf, key := a.issue(t, &x509.Certificate{
		URIs: []*url.URL{{Scheme: "kit", Host: fmt.Sprint(id)}}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return &tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
		Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}},
	}
}

// Identify says to which node the other end's certificate was issued.
func Identify(state tls.ConnectionState) (id protocol.ID, err error) {
	if _, err := fmt.Sscan(state.PeerCertificates[0].URIs[0].Host, &id); err != nil {
		return protocol.None, fmt.Errorf("the certificate names no node: %w", err)
	}
	return id, nil
}

// certified has a node show the certificate of node id, and no secret.
func certified(a *Authority, id protocol.ID) func(*Setup, *node) {
	return func(s *Setup, n *node) {
		s.Secret, s.TLS, s.Identify = nil, a.TLS(n.t, id), Identify
	}
}

// Nodes with certificates of their own need no secret.
func testCertificates(t *testing.T, kit Kit) {
	authority := NewAuthority(t)
	a, b := open(t, kit, hello(1, 1), certified(authority, 1)), open(t, kit, hello(2, 1), certified(authority, 2))
	connect(t, a, b)
	a.send(2, "you are")
	b.expect("you are")
	b.send(1, "so are you")
	a.expect("so are you")
	a.quiet()
}

// A node cannot pass for another with a certificate of its own, whoever dials.
func testAnothersCertificate(t *testing.T, kit Kit) {
	authority := NewAuthority(t)
	for name, meet := range map[string]func(honest, liar *node){
		"dials":   func(honest, liar *node) { liar.SetPeer(1, honest.Addr()) },
		"accepts": func(honest, liar *node) { honest.SetPeer(3, liar.Addr()) },
	} {
		t.Run(name, func(t *testing.T) {
			honest, liar := open(t, kit, hello(1, 1), certified(authority, 1)), open(t, kit, hello(3, 1), certified(authority, 2))
			meet(honest, liar)
			honest.expectRefusal("certificate is node 2's", "hello says node 3")
			liar.expectRefusal("certificate is node 2's", "hello says node 3")
			liar.quiet()
			honest.quiet()
			if honest.Stats().Refused == 0 {
				t.Error("the refusal was not counted")
			}
		})
	}
}

// A certificate of another authority, or none, is turned away before anything is said.
func testStrangersCertificate(t *testing.T, kit Kit) {
	authority := NewAuthority(t)
	a := open(t, kit, hello(1, 1), certified(authority, 1))
	for name, change := range map[string]func(*Setup, *node){
		"another authority": func(s *Setup, n *node) {
			certified(NewAuthority(t), 2)(s, n)
			s.TLS.RootCAs = authority.TLS(t, 2).RootCAs
		},
		"none": func(s *Setup, n *node) {
			certified(authority, 2)(s, n)
			s.TLS.Certificates = nil
		},
	} {
		stranger := open(t, kit, hello(2, 1), change)
		stranger.SetPeer(1, a.Addr())
		a.expectRefusal("certificate")
		stranger.expectRefusal("tls")
		stranger.quiet()
		for range a.refused.all() { // it came again before it was closed
			t.Log(name, "came again")
		}
	}
	a.quiet()
}
