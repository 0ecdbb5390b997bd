package pki

import (
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestAuthority(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "authority")
	if _, err := Init(dir, "lesson-3"); err != nil {
		t.Fatal(err)
	}
	a, err := Open(dir)
	if err != nil || a.Cluster() != "lesson-3" {
		t.Fatalf("opened %+v, %v", a, err)
	}
	info, err := os.Stat(filepath.Join(dir, authorityKeyFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key is %v, %v", info.Mode(), err)
	}
	if _, err := Init(dir, "lesson-3"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("an authority is overwritten: %v", err)
	}
	if _, err := Open(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("opened an empty directory: %v", err)
	}
	if !a.cert.IsCA || a.cert.MaxPathLen != 0 || !a.cert.MaxPathLenZero || a.cert.KeyUsage != x509.KeyUsageCertSign {
		t.Errorf("the certificate is %+v", a.cert)
	}
	if _, err := Init(filepath.Join(t.TempDir(), "a"), "Default"); err == nil {
		t.Error("made an authority for a cluster that cannot be")
	}
}

// A party cannot sign: its certificate is not one of an authority, and an authority between is not trusted.
func TestPartyCannotSign(t *testing.T) {
	a := newCluster(t, "default")
	node := party(t, a, Node, "3")
	false3 := *a
	p := node.current()
	false3.cert, false3.key, false3.trusted = p.leaf, p.key, a.trusted
	dir := filepath.Join(t.TempDir(), "eve")
	if err := false3.Issue(dir, Request{Role: Operator, Name: "eve"}); err == nil {
		if _, err := Load(dir); err == nil {
			t.Error("what a node has signed is taken")
		}
	}
}

func TestIssued(t *testing.T) {
	a := newCluster(t, "default")
	for _, test := range []struct {
		role  Role
		name  string
		hosts string
		usage int
	}{
		{Node, "3", "localhost n3 127.0.0.1 ::1 10.0.0.3", 2},
		{Gateway, "g1", "localhost n3 127.0.0.1 ::1 10.0.0.3", 2},
		{Operator, "ana", "n3 10.0.0.3", 1},
		{Observer, strings.Repeat("a", 63), "n3 10.0.0.3", 1},
	} {
		dir := filepath.Join(t.TempDir(), "deep", test.name)
		if err := a.Issue(dir, Request{Role: test.role, Name: test.name, Hosts: []string{"n3", "10.0.0.3", "n3"}}); err != nil {
			t.Fatal(err)
		}
		leaf := mustLoad(t, dir).current().leaf
		if got := strings.Join(HostsOf(leaf), " "); got != test.hosts {
			t.Errorf("%s: hosts %s, want %s", test.name, got, test.hosts)
		}
		if n := len(leaf.Subject.CommonName); n > 64 {
			t.Errorf("%s: the name of its subject has %d characters", test.name, n)
		}
		if len(leaf.ExtKeyUsage) != test.usage || leaf.IsCA || leaf.SerialNumber.BitLen() < 64 {
			t.Errorf("%s: %v, authority %v, serial %x", test.name, leaf.ExtKeyUsage, leaf.IsCA, leaf.SerialNumber)
		}
		found, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil || len(found) != 3 {
			t.Errorf("files %v, %v", found, err)
		}
		info, err := os.Stat(filepath.Join(dir, KeyFile))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the key is %v, %v", info.Mode(), err)
		}
	}
}

func TestIssueRefuses(t *testing.T) {
	a := newCluster(t, "default")
	taken := issue(t, a, Operator, "ana")
	for _, test := range []struct {
		dir  string
		r    Request
		want string
	}{
		{t.TempDir(), Request{Name: "ana"}, "expected node, gateway"},
		{t.TempDir(), Request{Role: Node, Name: "ana"}, "expected its number"},
		{t.TempDir(), Request{Role: Client, Name: "../ana"}, "lower-case letters"},
		{t.TempDir(), Request{Role: Client, Name: "ana", Hosts: []string{"a b"}}, `the host "a b"`},
		{t.TempDir(), Request{Role: Client, Name: "ana", Hosts: make([]string, maxHosts+1)}, `the host ""`},
		{t.TempDir(), Request{Role: Client, Name: "ana", For: -1}, "expected one above 0"},
		{taken, Request{Role: Operator, Name: "eve"}, "holds the credentials of operator ana"},
		{taken, Request{Role: Observer, Name: "ana"}, "holds the credentials of operator ana"},
	} {
		if err := a.Issue(test.dir, test.r); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: got %v, want %q", test.r, err, test.want)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(taken, ".new-*")); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

// No certificate outlives its authority, and one that has ended signs nothing.
func TestBoundByAuthority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newCluster(t, "default")
		time.Sleep(authorityLife - time.Hour)
		if c := party(t, a, Node, "3"); time.Until(c.Expires()) != time.Hour {
			t.Errorf("it ends %s from now", time.Until(c.Expires()))
		}
		time.Sleep(time.Hour + time.Second)
		err := a.Issue(t.TempDir(), Request{Role: Node, Name: "3"})
		if err == nil || !strings.Contains(err.Error(), "the authority of default cannot sign: its certificate expired") {
			t.Error(err)
		}
	})
}

func TestRenewRefuses(t *testing.T) {
	a, twin, other := newCluster(t, "default"), newCluster(t, "default"), newCluster(t, "lesson")
	dir := issue(t, twin, Node, "3")
	if err := Renew(a, dir, 0); err == nil || !strings.Contains(err.Error(), "another authority has signed") {
		t.Errorf("renewed what another authority has signed: %v", err)
	}
	if err := Renew(other, dir, 0); err == nil || !strings.Contains(err.Error(), "that of lesson") {
		t.Errorf("renewed for another cluster: %v", err)
	}
	if err := Renew(a, t.TempDir(), 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("renewed nothing: %v", err)
	}
}

// Ensure does nothing until two thirds of the time are over, or something else is wanted.
func TestEnsure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, twin := newCluster(t, "default"), newCluster(t, "default")
		dir := filepath.Join(t.TempDir(), "node")
		r := Request{Role: Node, Name: "3", For: 30 * time.Minute}
		expect := func(a *Authority, want bool) {
			t.Helper()
			if got, err := a.Ensure(dir, r); err != nil || got != want {
				t.Errorf("issued %v, %v; want %v", got, err, want)
			}
		}
		expect(a, true)
		expect(a, false)
		time.Sleep(20 * time.Minute)
		expect(a, false)
		time.Sleep(time.Second)
		expect(a, true)
		time.Sleep(time.Hour) // expired
		expect(a, true)
		r.Hosts = []string{"n3"}
		expect(a, true)
		expect(a, false)
		expect(twin, true)
		expect(twin, false)
		os.Remove(filepath.Join(dir, KeyFile))
		expect(twin, true)
		r.Name = "4"
		if _, err := twin.Ensure(dir, r); err == nil {
			t.Error("the credentials of another node are overwritten")
		}
	})
}

// Rotating by hand: while both authorities are trusted, parties with certificates of either speak to each other.
func TestRotation(t *testing.T) {
	oldHome, newHome := filepath.Join(t.TempDir(), "old"), filepath.Join(t.TempDir(), "new")
	old, err := Init(oldHome, "default")
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := Init(newHome, "default")
	if err != nil {
		t.Fatal(err)
	}
	nodeDir, anaDir := issue(t, old, Node, "3"), issue(t, old, Operator, "ana")
	for _, path := range []string{filepath.Join(newHome, AuthorityFile), filepath.Join(oldHome, AuthorityFile)} {
		other := fresh
		if strings.HasPrefix(path, newHome) {
			other = old
		}
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		f.Write(encodeCertificates(other.cert))
		f.Close()
	}
	connect := func() {
		t.Helper()
		if _, _, s, c := shake(mustLoad(t, nodeDir).Server(), mustLoad(t, anaDir).Client()); s != nil || c != nil {
			t.Errorf("server %v, client %v", s, c)
		}
	}
	for _, step := range []struct{ home, dir string }{{oldHome, nodeDir}, {oldHome, anaDir}, {newHome, nodeDir}, {newHome, anaDir}} {
		a, err := Open(step.home)
		if err != nil {
			t.Fatal(err)
		}
		if err := Renew(a, step.dir, 0); err != nil {
			t.Fatal(err)
		}
		connect()
	}
	os.WriteFile(filepath.Join(newHome, AuthorityFile), encodeCertificates(fresh.cert), 0o644)
	if fresh, err = Open(newHome); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{nodeDir, anaDir} {
		if err := Renew(fresh, dir, 0); err != nil {
			t.Fatal(err)
		}
	}
	connect()
	if _, _, s, _ := shake(mustLoad(t, nodeDir).Server(), party(t, old, Operator, "eve").Client()); s == nil {
		t.Error("the old authority is still trusted")
	}
}

// Whoever reads while others renew gets a pair that belongs together.
func TestReadWhileRenewing(t *testing.T) {
	a := newCluster(t, "default")
	dir := issue(t, a, Node, "3")
	var renewing sync.WaitGroup
	renewing.Go(func() {
		for range 30 {
			if err := Renew(a, dir, 0); err != nil {
				t.Error(err)
			}
		}
	})
	done := make(chan struct{})
	go func() { renewing.Wait(); close(done) }()
	for reads := 0; ; reads++ {
		if c, err := Load(dir); err != nil {
			t.Error(err)
		} else if p := c.current(); !belongs(p.leaf, p.key) {
			t.Error("loaded a key of another certificate")
		}
		select {
		case <-done:
			return
		default:
		}
	}
}

func TestOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only the superuser gives files away")
	}
	a := newCluster(t, "default")
	dir := filepath.Join(t.TempDir(), "credentials", "node")
	r := Request{Role: Node, Name: "3", Owner: &Owner{65532, 65533}}
	if err := a.Issue(dir, r); err != nil {
		t.Fatal(err)
	}
	check := func() {
		t.Helper()
		for _, name := range []string{".", KeyFile, CertificateFile, AuthorityFile} {
			info, err := os.Stat(filepath.Join(dir, name))
			if err != nil || *ownerOf(info) != *r.Owner {
				t.Errorf("%s belongs to %+v, %v", name, ownerOf(info), err)
			}
		}
	}
	check()
	if info, err := os.Stat(filepath.Dir(dir)); err != nil || info.Mode().Perm()&0o011 != 0o011 {
		t.Errorf("the new owner cannot pass %s: %v, %v", filepath.Dir(dir), info.Mode(), err)
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "belongs to another user") {
		t.Errorf("loaded another's key: %v", err)
	}
	if err := Renew(a, dir, 0); err != nil {
		t.Fatal(err)
	}
	check()
	if issued, err := a.Ensure(dir, r); err != nil || issued {
		t.Errorf("issued %v, %v", issued, err)
	}
	r.Owner = &Owner{65532, 65532}
	if issued, err := a.Ensure(dir, r); err != nil || !issued {
		t.Errorf("another group: issued %v, %v", issued, err)
	}
	check()
}
