package pki

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLoadNamesTheFile(t *testing.T) {
	a := newCluster(t, "default")
	big := strings.Repeat("x", maxFile+1)
	for _, test := range []struct{ file, text, want string }{
		{CertificateFile, "", "found no certificate"},
		{CertificateFile, big, "larger than 65536 bytes"},
		{KeyFile, big, "larger than 65536 bytes"},
		{AuthorityFile, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "certificate 1"},
	} {
		dir := issue(t, a, Operator, "ana")
		if err := os.WriteFile(filepath.Join(dir, test.file), []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(dir)
		if err == nil || !strings.Contains(err.Error(), filepath.Join(dir, test.file)) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.file, err, test.want)
		}
	}
}

func TestLoadRefusesOpenKey(t *testing.T) {
	dir := issue(t, newCluster(t, "default"), Operator, "ana")
	for _, test := range []struct {
		file string
		mode os.FileMode
		want string
	}{
		{KeyFile, 0o640, "chmod 600"},
		{KeyFile, 0o604, "chmod 600"},
		{AuthorityFile, 0o666, "chmod 644"},
		{CertificateFile, 0o646, "chmod 644"},
	} {
		path := filepath.Join(dir, test.file)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		os.Chmod(path, test.mode)
		if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s %v: got %v", test.file, test.mode, err)
		}
		os.Chmod(path, info.Mode())
	}
	if _, err := Load(dir); err != nil {
		t.Error(err)
	}
}

// An authority's directory, a leaf as an authority, and a certificate of an authority are not a party's credentials.
func TestLoadRefusesMixedUp(t *testing.T) {
	home := filepath.Join(t.TempDir(), "authority")
	a, err := Init(home, "default")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Load(home); err == nil {
		t.Error("loaded the directory of an authority")
	}
	for from, to := range map[string]string{
		CertificateFile: AuthorityFile,
		AuthorityFile:   CertificateFile,
	} {
		dir := issue(t, a, Node, "3")
		b, err := os.ReadFile(filepath.Join(dir, from))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, to), b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), to) {
			t.Errorf("%s as %s: %v", from, to, err)
		}
	}
}

// What is decoded is encoded in the same way.
func FuzzDecode(f *testing.F) {
	home := filepath.Join(f.TempDir(), "authority")
	a, err := Init(home, "default")
	if err != nil {
		f.Fatal(err)
	}
	dir := filepath.Join(f.TempDir(), "node")
	if err := a.Issue(dir, Request{Role: Node, Name: "3"}); err != nil {
		f.Fatal(err)
	}
	for _, name := range []string{CertificateFile, KeyFile, AuthorityFile} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if certs, err := decodeCertificates(b); err == nil {
			again, err := decodeCertificates(encodeCertificates(certs...))
			if err != nil || len(again) != len(certs) {
				t.Errorf("%d certificates become %d: %v", len(certs), len(again), err)
			}
			for _, c := range certs {
				id, err := IdentityIn(c)
				if err == nil && id.check() != nil {
					t.Errorf("read the identity %s", id)
				}
				ClusterOf(c)
			}
		}
		if key, err := decodeKey(b); err == nil {
			again, err := encodeKey(key)
			if err != nil {
				t.Error(err)
			}
			if twice, err := decodeKey(again); err != nil || !bytes.Equal(must(encodeKey(twice)), again) {
				t.Errorf("a key becomes another one: %v", err)
			}
		}
	})
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}
