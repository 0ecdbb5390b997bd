package pki

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// The files of a party's credentials.
const (
	CertificateFile = "certificate.pem" // who it is
	KeyFile         = "key.pem"         // the proof, for its owner alone
	AuthorityFile   = "authority.pem"   // whom it trusts; in an authority's directory, its own certificate comes first
)

// authorityKeyFile is named unlike a party's, so that neither directory is taken for the other.
const authorityKeyFile = "authority-key.pem"

// What is read at most: bytes of a file, and certificates in it.
const (
	maxFile         = 64 << 10
	maxCertificates = 16
)

// ReadCertificates reads a file of certificates in PEM, at most 16. Anything else in it is an error, a key above all.
func ReadCertificates(path string) ([]*x509.Certificate, error) {
	b, err := readFile(path, anyone)
	if err != nil {
		return nil, err
	}
	certs, err := decodeCertificates(b)
	if err != nil {
		return nil, fmt.Errorf("pki: %s: %w", path, err)
	}
	return certs, nil
}

func decodeCertificates(b []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("found a %.40q; expected certificates alone", block.Type)
		}
		if len(certs) == maxCertificates {
			return nil, fmt.Errorf("found more than %d certificates", maxCertificates)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(certs)+1, err)
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, errors.New("found no certificate; expected PEM, which begins with -----BEGIN CERTIFICATE-----")
	}
	return certs, nil
}

func decodeKey(b []byte) (crypto.Signer, error) {
	block, rest := pem.Decode(b)
	if block == nil || block.Type != "PRIVATE KEY" || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("found no key; expected PEM that holds a PRIVATE KEY alone (PKCS #8)")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("found a %T; expected a key that signs", key)
	}
	return signer, nil
}

// belongs says whether a certificate is that of a key.
func belongs(cert *x509.Certificate, key crypto.Signer) bool {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(cert.PublicKey)
}

// Fingerprint is the SHA-256 of a certificate in hexadecimal digits, as openssl and browsers show it.
func Fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(sum[:])
}

// access says what a file must be like to be read.
type access func(path string, info fs.FileInfo) error

// anyone: others may read it; but what anybody can write is nobody's word.
func anyone(path string, info fs.FileInfo) error {
	if info.Mode().Perm()&0o002 != 0 && runtime.GOOS != "windows" {
		return fmt.Errorf("pki: %s can be written by everybody (%v); chmod 644 it", path, info.Mode().Perm())
	}
	return nil
}

// closed: nobody but its owner may read it.
func closed(path string, info fs.FileInfo) error {
	if info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows" {
		return fmt.Errorf("pki: the key %s can be read by others (%v); chmod 600 it", path, info.Mode().Perm())
	}
	return nil
}

// own: it is closed, and its owner is who reads it.
func own(path string, info fs.FileInfo) error {
	if foreign(info) {
		return fmt.Errorf("pki: the key %s belongs to another user; it must be that of the user who runs ciranda", path)
	}
	return closed(path, info)
}

func readFile(path string, allowed access) ([]byte, error) {
	info, err := os.Stat(path) // before it is opened: a pipe would be waited for
	if err != nil {
		return nil, fmt.Errorf("pki: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("pki: %s is no plain file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("pki: %w", err)
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil { // of the very file that is read
		return nil, fmt.Errorf("pki: %w", err)
	}
	if err := allowed(path, info); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("pki: %w", err)
	}
	if len(b) > maxFile {
		return nil, fmt.Errorf("pki: %s is larger than %d bytes; expected PEM", path, maxFile)
	}
	return b, nil
}

// writeFile puts a file in its place at once: nobody reads a half of it, and none who may not reads it before its owner
// is set.
func writeFile(dir, name string, b []byte, mode fs.FileMode, owner *Owner) error {
	f, err := os.CreateTemp(dir, ".new-*") // for its owner alone, and no link of somebody else's
	if err != nil {
		return fmt.Errorf("pki: %w", err)
	}
	_, err = f.Write(b)
	if err == nil && owner != nil {
		err = f.Chown(owner.UID, owner.GID)
	}
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("pki: %w", err)
	}
	return nil
}

func encodeCertificates(certs ...*x509.Certificate) []byte {
	var b bytes.Buffer
	for _, c := range certs {
		pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}) // a buffer takes all
	}
	return b.Bytes()
}

func encodeKey(key crypto.Signer) ([]byte, error) {
	b, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: b}), nil
}
