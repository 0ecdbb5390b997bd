package api

import (
	"crypto"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"time"
)

// Clients and servers show each other that they have the token before either sends anything: both ends of a TLS
// connection have a key that is derived from it. So who listens on the port of a process that is gone learns nothing.
// Tools without that key still call the gRPC port in plain text, with the token in a header, at their own risk.

// key is the private key of all who have the token.
func (t Token) key() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(t.Secret("api")) }

// certificate carries the key. Nobody looks at what else it says.
func (t Token) certificate() tls.Certificate {
	key := t.key()
	form := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Unix(1<<33, 0)}
	der, err := x509.CreateCertificate(nil, form, form, key.Public(), key)
	if err != nil {
		panic("api: " + err.Error()) // only for forms that are wrong
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

var errKey = errors.New("the other end does not have the cluster's token")

// same takes only connections whose other end has the same key.
func (t Token) same() func(tls.ConnectionState) error {
	key := t.key().Public().(ed25519.PublicKey)
	return func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 1 && key.Equal(s.PeerCertificates[0].PublicKey.(crypto.PublicKey)) {
			return nil
		}
		return errKey
	}
}

func (t Token) serverTLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{t.certificate()},
		ClientAuth: tls.RequireAnyClientCert, VerifyConnection: t.same(), NextProtos: []string{"h2"}}
}

func (t Token) clientTLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{t.certificate()},
		InsecureSkipVerify: true, VerifyConnection: t.same()} // no name and no authority: it is the key that counts
}
