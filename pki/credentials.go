package pki

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// recheck is how often files are looked at, at most.
const recheck = time.Second

// Credentials are those of one party, from a directory. They follow the directory: when its files have changed, the
// next handshake uses the new ones. What is there then must be whole and of the same identity; else the old ones stay
// in use. All methods may be called at the same time.
type Credentials struct {
	dir      string
	identity Identity

	mu      sync.Mutex
	log     *slog.Logger
	now     pair // in use
	seen    []fs.FileInfo
	checked time.Time
	problem error
}

// A pair is a certificate with its key, and who is trusted.
type pair struct {
	leaf  *x509.Certificate
	key   crypto.Signer
	roots *x509.CertPool
}

func (p pair) shown() *tls.Certificate {
	return &tls.Certificate{Certificate: [][]byte{p.leaf.Raw}, PrivateKey: p.key, Leaf: p.leaf}
}

// patience is how often a reader looks again that has come between two files of a pair that is being renewed.
const patience = 20

// Load reads the credentials in a directory. The key must be closed to others and belong to the user; the certificate
// must be that of the key, signed by an authority in authority.pem, and valid now. Errors name the file and what was
// expected.
func Load(dir string) (*Credentials, error) {
	for range patience {
		c, err := load(dir)
		if !errors.Is(err, errMismatch) {
			return c, err
		}
		time.Sleep(5 * time.Millisecond)
	}
	return load(dir)
}

func load(dir string) (*Credentials, error) {
	seen, err := look(dir)
	if err != nil {
		return nil, fmt.Errorf("pki: %w", err)
	}
	p, id, err := readPair(dir, own)
	if err != nil {
		return nil, err
	}
	return &Credentials{dir: dir, identity: id, now: p, seen: seen, checked: time.Now()}, nil
}

// errMismatch says that the key is not that of the certificate.
var errMismatch = errors.New("the key is not that of the certificate")

// readPair reads and checks what is in a directory.
func readPair(dir string, allowed access) (pair, Identity, error) {
	leaf, id, err := readLeaf(dir)
	if err != nil {
		return pair{}, id, err
	}
	path := filepath.Join(dir, KeyFile)
	b, err := readFile(path, allowed)
	if err != nil {
		return pair{}, id, err
	}
	key, err := decodeKey(b)
	if err != nil {
		return pair{}, id, fmt.Errorf("pki: %s: %w", path, err)
	}
	if !belongs(leaf, key) {
		return pair{}, id, fmt.Errorf("pki: %s: %w %s; ciranda pki renew makes a new pair", path, errMismatch, CertificateFile)
	}
	roots, err := readRoots(filepath.Join(dir, AuthorityFile))
	if err != nil {
		return pair{}, id, err
	}
	if err := vet(leaf, roots, time.Now(), x509.ExtKeyUsageAny); err != nil {
		return pair{}, id, fmt.Errorf("pki: %s: it %w", filepath.Join(dir, CertificateFile), err)
	}
	return pair{leaf, key, roots}, id, nil
}

// readLeaf reads a party's certificate.
func readLeaf(dir string) (*x509.Certificate, Identity, error) {
	path := filepath.Join(dir, CertificateFile)
	certs, err := ReadCertificates(path)
	if err != nil {
		return nil, Identity{}, err
	}
	if len(certs) != 1 {
		return nil, Identity{}, fmt.Errorf("pki: %s holds %d certificates; expected one", path, len(certs))
	}
	id, err := IdentityIn(certs[0])
	if err != nil {
		return nil, id, fmt.Errorf("%s: %w", path, err)
	}
	return certs[0], id, nil
}

func readRoots(path string) (*x509.CertPool, error) {
	certs, err := ReadCertificates(path)
	if err != nil {
		return nil, err
	}
	for _, c := range certs {
		if !c.IsCA {
			return nil, fmt.Errorf("pki: %s: %q is not the certificate of an authority", path, c.Subject.String())
		}
	}
	return poolOf(certs), nil
}

func poolOf(certs []*x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, c := range certs {
		pool.AddCert(c)
	}
	return pool
}

// look says what the files are like, without reading them.
func look(dir string) (seen []fs.FileInfo, err error) {
	for _, name := range []string{CertificateFile, KeyFile, AuthorityFile} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		seen = append(seen, info)
	}
	return seen, nil
}

func unchanged(a, b []fs.FileInfo) bool {
	for i := range a {
		same := os.SameFile(a[i], b[i]) && a[i].Size() == b[i].Size() && a[i].Mode() == b[i].Mode()
		if !same || !a[i].ModTime().Equal(b[i].ModTime()) {
			return false
		}
	}
	return true
}

// current gives what is in use now, after a look at the directory if the last one was a while ago.
func (c *Credentials) current() pair {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.checked).Abs() >= recheck {
		c.checked = now
		c.settle(c.refresh())
	}
	return c.now
}

// refresh takes the files up if they have changed, or were not good the last time.
func (c *Credentials) refresh() error {
	seen, err := look(c.dir)
	if err != nil {
		return fmt.Errorf("pki: %w", err)
	}
	if c.problem == nil && unchanged(seen, c.seen) {
		return nil
	}
	p, id, err := readPair(c.dir, own)
	if err != nil {
		return err
	}
	if id != c.identity {
		return fmt.Errorf("pki: %s now holds the credentials of %s; expected those of %s", c.dir, id, c.identity)
	}
	c.now, c.seen = p, seen
	if c.log != nil {
		c.log.Info("took up new credentials", "identity", id, "until", p.leaf.NotAfter)
	}
	return nil
}

// settle remembers how a look went, and logs what is new.
func (c *Credentials) settle(err error) {
	if err != nil && c.log != nil && (c.problem == nil || c.problem.Error() != err.Error()) {
		c.log.Warn("the new credentials are not good; the old ones stay in use", "error", err, "until", c.now.leaf.NotAfter)
	}
	c.problem = err
}

// LogTo says where it is logged that new credentials are taken up, or are not good. Without it nothing is.
func (c *Credentials) LogTo(log *slog.Logger) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log = log
}

// Identity is whose credentials these are. It never changes.
func (c *Credentials) Identity() Identity { return c.identity }

// Expires is when the certificate in use ends.
func (c *Credentials) Expires() time.Time { return c.current().leaf.NotAfter }

// Problem says why the files that are there now are not in use, if so. They are looked at again at the next handshake.
func (c *Credentials) Problem() error {
	c.current()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.problem
}
