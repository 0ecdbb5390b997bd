package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"ciranda.dev/api"
)

// DefaultName is the cluster that is meant where none is named.
const DefaultName = "default"

// The names of files in a cluster's directory.
const (
	shapeFile    = "cluster.json"  // what the cluster is made of
	endpointFile = "endpoint.json" // where its supervisor answers, while there is one
	tokenFile    = "token"         // the secret of those who may act on it, if it is insecure
	lockFile     = "lock"          // held by its supervisor
	logsDir      = "logs"
	nodesDir     = "nodes"
	binaryDir    = "bin"

	authorityDir   = "authority"   // who signs the certificates of its parties
	credentialsDir = "credentials" // those of the parties that up starts, and of who uses them here
)

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// Dir is the directory of the cluster of a name: NAME below $XDG_STATE_HOME/ciranda, or below the place where the
// system keeps what programs remember. It need not exist.
func Dir(name string) (string, error) {
	if !nameForm.MatchString(name) {
		return "", mistake("such as lesson-3", "found the name %.40q; expected up to 32 lower-case letters, digits and hyphens", name)
	}
	root, err := root()
	return filepath.Join(root, name), err
}

func root() (string, error) {
	if state := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, "ciranda"), nil
	}
	if local := os.Getenv("LocalAppData"); runtime.GOOS == "windows" && local != "" {
		return filepath.Join(local, "ciranda"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", failure("set HOME, or XDG_STATE_HOME to a directory of yours", "there is no place for what clusters keep: %v", err)
	}
	if runtime.GOOS == "darwin" {
		return filepath.Join(home, "Library", "Application Support", "ciranda"), nil
	}
	return filepath.Join(home, ".local", "state", "ciranda"), nil
}

// mistake is an error of the user, with what to do about it.
func mistake(hint, format string, args ...any) error {
	e := api.Wrong("", format, args...)
	e.Hint = hint
	return e
}

// failure is an error of the surroundings.
func failure(hint, format string, args ...any) error {
	e := api.Failed(hint, format, args...)
	e.Code = codes.Unavailable
	return e
}

// An Endpoint is where a cluster's supervisor answers.
type Endpoint struct {
	Cluster string `json:"cluster"`
	PID     int    `json:"pid"`
	GRPC    string `json:"grpc"`
	HTTP    string `json:"http"`

	Insecure bool `json:"insecure"`

	Gateways []GatewayEndpoint `json:"gateways"`
}

// Listens says whether there is a process behind the endpoint, even one that stands still and does not answer.
func (e Endpoint) Listens() bool {
	c, err := net.DialTimeout("tcp", e.GRPC, time.Second)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// Find tells where the supervisor of the cluster of a name on this machine answers.
func Find(name string) (Endpoint, error) {
	var e Endpoint
	dir, err := Dir(name)
	if err != nil {
		return e, err
	}
	if err := checkOwner(dir); err != nil {
		return e, err
	}
	if err := readJSON(filepath.Join(dir, endpointFile), &e); errors.Is(err, fs.ErrNotExist) {
		return e, notRunning(name)
	} else if err != nil {
		return e, err
	}
	return e, nil
}

// Connect makes a client of the supervisor of the cluster of a name on this machine, as an operator.
func Connect(name string) (*api.Client, Endpoint, error) {
	e, err := Find(name)
	if err != nil {
		return nil, e, err
	}
	access, err := Access(name)
	if err != nil {
		return nil, e, err
	}
	client, err := api.Dial(e.GRPC, access)
	return client, e, err
}

func notRunning(name string) error {
	hint := "ciranda up starts it"
	if others := Running(); len(others) > 0 {
		hint = "running are " + strings.Join(others, ", ") + "; name one with --name"
	}
	return failure(hint, "no cluster %q is running here", name)
}

// Running names the clusters of this machine that have a supervisor, in order.
func Running() []string {
	var names []string
	root, err := root()
	if err != nil {
		return nil
	}
	found, _ := filepath.Glob(filepath.Join(root, "*", endpointFile))
	for _, path := range found {
		var e Endpoint
		if readJSON(path, &e) == nil && e.Listens() { // else it was killed, and left its file
			names = append(names, filepath.Base(filepath.Dir(path)))
		}
	}
	slices.Sort(names)
	return names
}

// maxJSON is the size of the largest of our own files, in bytes.
const maxJSON = 64 << 10

func readJSON(path string, into any) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Size() > maxJSON {
		return fmt.Errorf("cluster: %s has %d bytes; expected at most %d", path, info.Size(), maxJSON)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("cluster: %s: %w", path, err)
	}
	return nil
}

// writeJSON writes a file at once: nobody reads a half of it.
func writeJSON(path string, from any) error {
	b, err := json.MarshalIndent(from, "", "  ")
	if err != nil {
		return err
	}
	temporary := path + ".new"
	if err := os.WriteFile(temporary, append(b, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

// RunsDir is where runs are kept that violated what was expected of them. It is made if it is not there.
func RunsDir() (string, error) {
	dir, err := root()
	if err != nil {
		return "", err
	}
	dir = filepath.Join(dir, "runs")
	return dir, os.MkdirAll(dir, 0o700)
}
