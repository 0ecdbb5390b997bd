package docs_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/pki"
)

// vault is a bank that can be asked for its balances.
type vault struct{ api.Bank }

func (vault) Balances(context.Context, *cirandav1.BalancesRequest) (*cirandav1.BalancesResponse, error) {
	total := int64(1 << 60)
	return &cirandav1.BalancesResponse{Total: &total}, nil
}

// The programs in Python ask a server for its balances, as they stand on the page.
func TestSocketsInPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3")
	}
	dir := t.TempDir()
	authority, err := pki.Init(filepath.Join(dir, "authority"), "default")
	if err != nil {
		t.Fatal(err)
	}
	party := func(role pki.Role, name string) string {
		of := filepath.Join(dir, name)
		if err := authority.Issue(of, pki.Request{Role: role, Name: name}); err != nil {
			t.Fatal(err)
		}
		return of
	}
	own, err := pki.Load(party(pki.Gateway, "gateway-1"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "token")
	token, err := api.NewToken(file)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, b := range named(t, "sockets.md").blocks {
		shown, access := file, api.Access{Token: token}
		switch b.info {
		case "python plain":
		case "python tls":
			shown, access = party(pki.Client, "client"), api.Access{Credentials: own}
		default:
			continue
		}
		found++
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, python, "-c", b.text, vaultAt(t, access), shown)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if want := "'total': 1152921504606846976"; err != nil || !strings.Contains(string(out), want) || !strings.Contains(string(out), "'id': 1") {
			t.Errorf("%s: got %s, %v; want %s", b.info, out, err, want)
		}
	}
	if found != 2 {
		t.Errorf("found %d programs", found)
	}
}

// vaultAt serves a vault over plain sockets, and gives the address.
func vaultAt(t *testing.T, a api.Access) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := api.New(api.Config{Services: api.Services{Bank: vault{}}, Access: a, Socket: l})
	s.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		s.Close(ctx)
	})
	return l.Addr().String()
}
