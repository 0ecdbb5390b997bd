package cluster

import (
	"context"
	"crypto/tls"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"ciranda.dev/pki"
)

// office is a supervisor of which nothing runs.
func office(t *testing.T) *Supervisor {
	return &Supervisor{cfg: Config{Name: "test"}, dir: t.TempDir(), shape: Shape{Nodes: 2}, log: slog.New(slog.DiscardHandler)}
}

func TestEveryPartyHasCredentials(t *testing.T) {
	s := office(t)
	if err := s.secure(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]pki.Role{"1": pki.Node, "2": pki.Node, "supervisor": pki.Gateway, "gateway-1": pki.Gateway,
		"operator": pki.Operator, "client": pki.Client, "observer": pki.Observer} {
		c, err := pki.Load(credentials(s.dir, name))
		if err != nil || c.Identity() != (pki.Identity{Cluster: "test", Role: want, Name: name}) {
			t.Errorf("%s: got %v, %v", name, c, err)
		}
	}
	if s.access.Insecure() || s.access.Credentials.Identity().Name != "supervisor" {
		t.Errorf("the supervisor's access is %+v", s.access)
	}
	if err := os.Remove(filepath.Join(s.dir, authorityDir, pki.AuthorityFile)); err != nil {
		t.Fatal(err)
	}
	if err := s.secure(); err == nil {
		t.Error("a part of the authority is gone, and another one was made in its place")
	}
}

// Credentials are renewed in good time while the cluster runs, and not before.
func TestCredentialsAreRenewedDaily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := office(t)
		if err := s.secure(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go s.renewDaily(ctx)
		begun, first := time.Now(), certificate(t, s)
		for day := range 365 {
			time.Sleep(24 * time.Hour)
			synctest.Wait()
			if left := time.Until(certificate(t, s).Leaf.NotAfter); left < 25*24*time.Hour {
				t.Fatalf("on day %d the credentials have %s left", day, left)
			}
			if now := certificate(t, s); time.Since(begun) < 50*24*time.Hour && !now.Leaf.Equal(first.Leaf) {
				t.Fatalf("on day %d the credentials are new already", day)
			}
		}
		if certificate(t, s).Leaf.Equal(first.Leaf) {
			t.Error("in a year nothing was renewed")
		}
	})
}

func certificate(t *testing.T, s *Supervisor) tls.Certificate {
	t.Helper()
	dir := credentials(s.dir, "1")
	c, err := tls.LoadX509KeyPair(filepath.Join(dir, pki.CertificateFile), filepath.Join(dir, pki.KeyFile))
	if err != nil {
		t.Fatal(err)
	}
	return c
}
