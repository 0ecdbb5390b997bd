package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

// A Request says what credentials are wanted.
type Request struct {
	Role Role
	Name string // as in [Identity]

	// Hosts are DNS names and IP addresses by which programs such as curl and grpcurl, which check them, may call the
	// party. A server has localhost, 127.0.0.1 and ::1 always.
	Hosts []string

	// For is how long the certificate lasts. Zero means 90 days. It never lasts longer than the authority's.
	For time.Duration

	// Owner is to whom the files and the directory are given; only the superuser can. Nil means who calls, or, where the
	// superuser replaces files, who had them.
	Owner *Owner
}

// maxHosts is how many hosts a certificate may name.
const maxHosts = 64

var hostForm = regexp.MustCompile(`^(\*\.)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9])?$`)

// Issue makes a key and signs a certificate of it, and writes certificate.pem, key.pem and authority.pem. The directory
// is made if it is not there. Credentials of the same identity are replaced, those of another one never.
//
// Each file is replaced whole, the certificate last. Who reads between the key and the certificate finds that they do
// not belong together; [Load] looks again then, and [Credentials] in use keep the old pair.
func (a *Authority) Issue(dir string, r Request) error {
	id := Identity{a.cluster, r.Role, r.Name}
	if err := id.check(); err != nil {
		return err
	}
	if err := checkPlace(dir, id); err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("pki: %w", err)
	}
	template, err := a.template(id, r)
	if err != nil {
		return err
	}
	leaf, err := sign(template, a.cert, key.Public(), a.key)
	if err != nil {
		return fmt.Errorf("pki: %w", err)
	}
	b, err := encodeKey(key)
	if err != nil {
		return fmt.Errorf("pki: %w", err)
	}
	return a.place(dir, leaf, b, r.Owner)
}

// checkPlace refuses a directory with something else in it.
func checkPlace(dir string, id Identity) error {
	if _, err := os.Lstat(filepath.Join(dir, authorityKeyFile)); err == nil {
		return fmt.Errorf("pki: %s is the directory of an authority; expected another one for %s", dir, id)
	}
	_, there, err := readLeaf(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("%w; remove it, or take another directory", err)
	case there != id:
		return fmt.Errorf("pki: %s holds the credentials of %s; expected none, or those of %s", dir, there, id)
	}
	return nil
}

func (a *Authority) template(id Identity, r Request) (*x509.Certificate, error) {
	now := time.Now()
	life := r.For
	if life == 0 {
		life = defaultLife
	}
	if life < 0 {
		return nil, fmt.Errorf("pki: found the time %s for a certificate; expected one above 0", life)
	}
	if err := Valid(a.cert, now); err != nil {
		return nil, fmt.Errorf("pki: the authority of %s cannot sign: its certificate %w", a.cluster, err)
	}
	t := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: title(id)}, // for people; the URI is what counts
		URIs:         []*url.URL{id.URI()},
		NotBefore:    now.Add(-backdate),
		NotAfter:     now.Add(min(life, a.cert.NotAfter.Sub(now))),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if id.Role.serves() {
		t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	return t, addHosts(t, hosts(id.Role, r.Hosts))
}

// title is an identity for people, as long as the name of a subject may be: 64 characters (RFC 5280, appendix A.1).
func title(id Identity) string {
	text := id.String()
	return text[:min(len(text), 64)]
}

// hosts are those asked for, behind those that a server has always.
func hosts(role Role, asked []string) []string {
	var all []string
	if role.serves() {
		all = []string{"localhost", "127.0.0.1", "::1"}
	}
	for _, h := range asked {
		if !slices.Contains(all, h) {
			all = append(all, h)
		}
	}
	return all
}

func addHosts(t *x509.Certificate, hosts []string) error {
	if len(hosts) > maxHosts {
		return fmt.Errorf("pki: found %d hosts; expected at most %d", len(hosts), maxHosts)
	}
	for _, h := range hosts {
		if ip, err := netip.ParseAddr(h); err == nil && ip.Zone() == "" {
			t.IPAddresses = append(t.IPAddresses, net.IP(ip.AsSlice()))
		} else if hostForm.MatchString(h) {
			t.DNSNames = append(t.DNSNames, h)
		} else {
			return fmt.Errorf("pki: found the host %.80q; expected a name such as node1.example.org, or an IP address", h)
		}
	}
	return nil
}

// HostsOf are the names and addresses of hosts in a certificate.
func HostsOf(cert *x509.Certificate) []string {
	all := slices.Clone(cert.DNSNames)
	for _, ip := range cert.IPAddresses {
		all = append(all, ip.String())
	}
	return all
}

func (a *Authority) place(dir string, leaf *x509.Certificate, key []byte, owner *Owner) error {
	if err := makeDir(dir); err != nil {
		return fmt.Errorf("pki: %w", err)
	}
	if owner != nil {
		if err := os.Lchown(dir, owner.UID, owner.GID); err != nil {
			return fmt.Errorf("pki: %w", err)
		}
	} else if info, err := os.Lstat(filepath.Join(dir, KeyFile)); err == nil && os.Geteuid() == 0 {
		owner = ownerOf(info)
	}
	if err := writeFile(dir, AuthorityFile, encodeCertificates(a.trusted...), 0o644, owner); err != nil {
		return err
	}
	if err := writeFile(dir, KeyFile, key, 0o600, owner); err != nil {
		return err
	}
	return writeFile(dir, CertificateFile, encodeCertificates(leaf), 0o644, owner)
}

// makeDir makes a directory for its owner alone, in others that may be passed through: it may be given away, they not.
func makeDir(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	return os.MkdirAll(dir, 0o700)
}

// Ensure issues credentials unless there are good ones, and says whether it did. Good are those of the same identity
// and hosts, signed by this authority, with a third of their time left, that trust whom the authority has them trust and
// belong to the owner who is asked for.
func (a *Authority) Ensure(dir string, r Request) (issued bool, err error) {
	if a.suffices(dir, r) {
		return false, nil
	}
	return true, a.Issue(dir, r)
}

func (a *Authority) suffices(dir string, r Request) bool {
	p, id, err := readPair(dir, closed)
	if err != nil || id != (Identity{a.cluster, r.Role, r.Name}) || !p.roots.Equal(poolOf(a.trusted)) {
		return false
	}
	want := &x509.Certificate{}
	if addHosts(want, hosts(r.Role, r.Hosts)) != nil || !slices.Equal(HostsOf(want), HostsOf(p.leaf)) {
		return false
	}
	life, left := p.leaf.NotAfter.Sub(p.leaf.NotBefore)-backdate, time.Until(p.leaf.NotAfter)
	return p.leaf.CheckSignatureFrom(a.cert) == nil && left >= life/3 && ownedBy(dir, r.Owner)
}

func ownedBy(dir string, owner *Owner) bool {
	if owner == nil {
		return true
	}
	info, err := os.Lstat(filepath.Join(dir, KeyFile))
	if err != nil {
		return false
	}
	is := ownerOf(info)
	return is != nil && is.UID == owner.UID && (owner.GID < 0 || is.GID == owner.GID)
}

// Renew replaces credentials by new ones of the same identity and hosts, with a new key, for a time as in [Request]. The
// old certificate may have expired, but this authority must have signed it, or one that it has parties trust: who can
// write to the directory cannot have a certificate of their own making renewed.
func Renew(a *Authority, dir string, life time.Duration) error {
	old, id, err := readLeaf(dir)
	if err != nil {
		return err
	}
	if id.Cluster != a.cluster {
		return fmt.Errorf("pki: %s holds the credentials of %s; the authority is that of %s", dir, id, a.cluster)
	}
	if !a.signed(old) {
		return fmt.Errorf("pki: %s holds the credentials of %s, which another authority has signed", dir, id)
	}
	return a.Issue(dir, Request{Role: id.Role, Name: id.Name, Hosts: HostsOf(old), For: life})
}
