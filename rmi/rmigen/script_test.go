package main

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// The test's own program is rmigen in the scripts. Under the race detector it must not wait a second before it exits.
func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	testscript.Main(m, map[string]func(){"rmigen": main})
}

var rewrite = flag.Bool("rewrite", false, "write what the scripts expect anew, for review")

// Each script is a module of its own, without a network.
func TestScripts(t *testing.T) {
	goEnv := goEnv(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		UpdateScripts:       *rewrite,
		Setup: func(e *testscript.Env) error {
			for name, value := range goEnv {
				e.Setenv(name, value)
			}
			e.Setenv("GOPROXY", "off")
			e.Setenv("GOFLAGS", "-mod=mod")
			e.Setenv("GOWORK", "off")
			e.Setenv("GORACE", "atexit_sleep_ms=0")
			return nil
		},
	})
}

// goEnv is where go keeps what it has built and read. Scripts have another home, and would build all anew.
func goEnv(t *testing.T) map[string]string {
	t.Helper()
	b, err := exec.CommandContext(t.Context(), "go", "env", "-json", "GOCACHE", "GOMODCACHE", "GOTOOLCHAIN").Output()
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	if err := json.Unmarshal(b, &env); err != nil {
		t.Fatal(err)
	}
	return env
}
