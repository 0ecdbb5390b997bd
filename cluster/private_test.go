package cluster

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"ciranda.dev/api"
)

// Another user could prepare the place where a cluster will be.
func TestPlacesOfOthersAreRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the system does not tell")
	}
	const stranger = 12345
	for name, prepare := range map[string]func(root, dir string) error{
		"the directory can be written by others": func(_, dir string) error { return os.Chmod(dir, 0o777) },
		"the root can be written by others":      func(root, _ string) error { return os.Chmod(root, 0o770) },
		"the directory is another's":             func(_, dir string) error { return os.Chown(dir, stranger, stranger) },
		"the root is another's":                  func(root, _ string) error { return os.Chown(root, stranger, stranger) },
		"the directory is another's link": func(root, dir string) error {
			os.Rename(dir, root+".mine")
			if err := os.Symlink(root+".mine", dir); err != nil {
				return err
			}
			return os.Lchown(dir, stranger, stranger)
		},
	} {
		home(t)
		dir, err := Dir("test")
		if err != nil {
			t.Fatal(err)
		}
		os.MkdirAll(dir, 0o700)
		if err := checkOwner(dir); err != nil {
			t.Errorf("before: %v", err)
		}
		if err := prepare(filepath.Dir(dir), dir); os.IsPermission(err) {
			continue // only root can give files away
		} else if err != nil {
			t.Fatal(err)
		}
		if s, err := prepareCluster(); err == nil || !strings.Contains(err.Error(), "not yours alone") {
			t.Errorf("%s: up: got %v, %v", name, s, err)
		}
		if _, _, err := Connect("test"); err == nil || !strings.Contains(err.Error(), "not yours alone") {
			t.Errorf("%s: a client: got %v", name, err)
		}
	}
}

func prepareCluster() (*Supervisor, error) { return prepare(Config{Name: "test"}) }

func TestTokenOfAnotherIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	if _, err := api.NewToken(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, 12345, 12345); err != nil {
		t.Skip("only root can give files away")
	}
	if _, err := api.ReadToken(path); err == nil || !strings.Contains(err.Error(), "another user") {
		t.Errorf("got %v", err)
	}
}
