package scenarios_test

import (
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"ciranda.dev/scenarios"
	"ciranda.dev/trace"
)

var rewrite = flag.Bool("rewrite", false, "write the golden hashes anew")

const golden = "testdata/golden.txt"

// The same steps give the same trace, byte for byte, on every machine and with every version of Go: the hashes of the
// full traces of seed 1 stay as they are. They change with the protocols and with the trace's format, and then the
// commit says why.
func TestGolden(t *testing.T) {
	var now strings.Builder
	for _, name := range scenarios.List() {
		s, err := scenarios.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if s.Cluster.Nodes > 10 {
			continue
		}
		hash := sha256.New()
		if err := s.WriteRun(context.Background(), 1, trace.Full, hash, trace.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&now, "%-24s %x\n", name, hash.Sum(nil))
	}
	if *rewrite {
		if err := os.WriteFile(golden, []byte(now.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	before, after := strings.Split(string(want), "\n"), strings.Split(now.String(), "\n")
	for i := range max(len(before), len(after)) {
		if i >= len(before) || i >= len(after) || before[i] != after[i] {
			t.Fatalf("the trace is another than it was:\n%s\n%s\nIf that is meant, go test ./scenarios -run Golden -rewrite", at(before, i), at(after, i))
		}
	}
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "(nothing)"
}
