package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// How long certificates last, and how far back they begin, for clocks that are behind.
const (
	authorityLife = 10 * 365 * 24 * time.Hour
	defaultLife   = 90 * 24 * time.Hour
	backdate      = time.Hour
)

// An Authority signs the certificates of a cluster. Its key never leaves its directory.
type Authority struct {
	cluster string
	cert    *x509.Certificate
	trusted []*x509.Certificate // cert, and others that parties are to trust beside it
	key     crypto.Signer
}

// Cluster is the name of the cluster whose authority this is.
func (a *Authority) Cluster() string { return a.cluster }

// Init makes an authority for a cluster, for ten years: authority.pem and, for its owner alone, authority-key.pem. The
// directory is made if it is not there. What is there is never overwritten: then the error is [fs.ErrExist].
func Init(dir, cluster string) (*Authority, error) {
	if err := checkCluster(cluster); err != nil {
		return nil, err
	}
	for _, name := range []string{AuthorityFile, authorityKeyFile, CertificateFile, KeyFile} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return nil, fmt.Errorf("pki: %s has a file %s already; expected an empty directory: %w", dir, name, fs.ErrExist)
		}
	}
	a, err := newAuthority(cluster)
	if err != nil {
		return nil, fmt.Errorf("pki: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("pki: %w", err)
	}
	return a, a.write(dir)
}

func newAuthority(cluster string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: "authority of " + cluster},
		URIs:                  []*url.URL{{Scheme: scheme, Host: cluster}},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(authorityLife),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	cert, err := sign(template, template, key.Public(), key)
	return &Authority{cluster, cert, []*x509.Certificate{cert}, key}, err
}

// write writes the key first, and not over another: of two who do this at once, one fails.
func (a *Authority) write(dir string) error {
	b, err := encodeKey(a.key)
	if err != nil {
		return fmt.Errorf("pki: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, authorityKeyFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("pki: %w", err)
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("pki: %w", err)
	}
	return writeFile(dir, AuthorityFile, encodeCertificates(a.cert), 0o644, nil)
}

// Open reads an authority. Its key must be closed to others and belong to the user.
func Open(dir string) (*Authority, error) {
	path, keyPath := filepath.Join(dir, AuthorityFile), filepath.Join(dir, authorityKeyFile)
	if _, err := os.Stat(keyPath); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("pki: %s is no authority; ciranda pki init makes one: %w", dir, err)
	}
	certs, err := ReadCertificates(path)
	if err != nil {
		return nil, err
	}
	b, err := readFile(keyPath, own)
	if err != nil {
		return nil, err
	}
	key, err := decodeKey(b)
	if err != nil {
		return nil, fmt.Errorf("pki: %s: %w", keyPath, err)
	}
	if !belongs(certs[0], key) {
		return nil, fmt.Errorf("pki: %s: the key is not that of the first certificate in %s", keyPath, AuthorityFile)
	}
	cluster, err := ClusterOf(certs[0])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &Authority{cluster, certs[0], certs, key}, nil
}

// ClusterOf says which cluster's authority a certificate is of.
func ClusterOf(cert *x509.Certificate) (string, error) {
	if !cert.IsCA || len(cert.URIs) != 1 || cert.URIs[0].String() != scheme+"://"+cert.URIs[0].Host {
		return "", fmt.Errorf("pki: %.80q is no authority; expected the URI ciranda://CLUSTER", cert.Subject.String())
	}
	return cert.URIs[0].Host, checkCluster(cert.URIs[0].Host)
}

// serial draws the number of a certificate: 128 bits, positive.
func serial() *big.Int {
	b := make([]byte, 16)
	rand.Read(b) // it never fails
	return new(big.Int).SetBytes(b)
}

func sign(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// signed says whether the authority, or another that it has parties trust, has signed a certificate at some time.
func (a *Authority) signed(cert *x509.Certificate) bool {
	return slices.ContainsFunc(a.trusted, func(by *x509.Certificate) bool { return cert.CheckSignatureFrom(by) == nil })
}
