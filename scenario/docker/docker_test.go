package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"ciranda.dev/engine/network"
	"ciranda.dev/node"
	"ciranda.dev/protocol"
	"ciranda.dev/scenario"
	"ciranda.dev/trace"
)

// built is where the program is that the tests' nodes run.
var built string

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(built)
		os.Exit(code)
	}))
}

// program builds ciranda as containers need it, once.
var program = sync.OnceValues(func() (path string, err error) {
	if built, err = os.MkdirTemp("", "ciranda-test-"); err != nil {
		return "", err
	}
	path = filepath.Join(built, "ciranda")
	build := exec.Command("go", "build", "-o", path, "ciranda.dev/cmd/ciranda")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	build.Stderr = os.Stderr
	return path, build.Run()
})

// engine gives the place of an engine, or skips the test.
func engine(t *testing.T) Place {
	t.Helper()
	if testing.Short() {
		t.Skip("it starts containers and takes some seconds")
	}
	if _, err := platform(t.Context()); err != nil {
		t.Skip("SKIPPED:", err)
	}
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nothingLeft(t) })
	return Place{Program: path}
}

// nothingLeft says that the runs of this process that have ended have left nothing.
func nothingLeft(t *testing.T) {
	t.Helper()
	for _, list := range [][]string{{"ps", "--all", "--format", "{{.Names}}"}, {"volume", "ls", "--format", "{{.Name}}"},
		{"network", "ls", "--format", "{{.Name}}"}} {
		out, err := command(context.Background(), nil, append(list, "--filter", "label="+label)...)
		if err != nil {
			t.Error(err)
		}
		if strings.Contains(out, "run-"+strconv.Itoa(os.Getpid())+"-") {
			t.Errorf("%s: left is %s", list[0], out)
		}
	}
	if dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), "ciranda-run-"+strconv.Itoa(os.Getpid())+"-*")); len(dirs) > 0 {
		t.Errorf("left is %s", dirs)
	}
}

func parse(t *testing.T, text string) *scenario.Scenario {
	t.Helper()
	s, err := scenario.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const crash = `
cluster: {nodes: 3, detector: {timeout: 700ms}, election: {beat: 70ms}, app: bank}
steps:
  - {when: elected, load: {every: 10ms, for: 2s, again: 300ms}}
  - {when: elected, after: 300ms, pause: leader}
  - {when: {suspected: 3}, crash: 3}
  - {when: elected, after: 300ms, recover: last}
  - {when: elected, after: 300ms, crash: {node: 1, disk: lost}}
  - {when: elected, after: 300ms, recover: last}
duration: 10s
expect:
  - leader-agreed: {within: 3s}
  - incarnations-rise
  - suspicions-alternate
`

const apart = `
cluster: {nodes: 3, detector: {timeout: 700ms}, election: {beat: 70ms}}
steps:
  - {when: elected, after: 300ms, isolate: leader}
  - {when: {suspected: 3}, crash: {node: 3, disk: lost}}
  - {when: elected, recover: last}
  - {when: elected, after: 1s, cut: 1 -> 2}
calm: 5s
duration: 9s
expect: [leader-agreed: {within: 3s}, incarnations-rise]
violates: [one-leader-at-a-time]
`

// Experiments in containers end with their verdicts.
func TestRuns(t *testing.T) {
	place := engine(t)
	for name, c := range map[string]struct {
		text    string
		verdict scenario.Verdict
	}{"crash": {crash, scenario.Holds}, "apart": {apart, scenario.AsExpected}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := parse(t, c.text).RunLive(t.Context(), place, scenario.LiveRuns{})
			if err != nil {
				t.Fatal(err)
			}
			if r.Verdict != c.verdict || r.Unfinished > 0 || r.Events == 0 || r.Engine != scenario.Docker {
				t.Errorf("got %s: %s (%d unfinished, %d events)", r.Verdict, r.Reason, r.Unfinished, r.Events)
			}
		})
	}
}

// A node that ends by itself ends the run with an error that names it. While it can be asked, a node that is off the
// network is; and what is interrupted leaves nothing.
func TestOpen(t *testing.T) {
	place := engine(t)
	ctx, interrupt := context.WithCancel(t.Context())
	live, err := place.Open(ctx, parse(t, "cluster: {nodes: 2}\nexpect: [leader-agreed]"), trace.Protocol)
	if err != nil {
		t.Fatal(err)
	}
	r := live.(*running)
	all := []scenario.LinkState{{Pair: scenario.Pair{From: 1, To: 2}, Link: network.Link{Cut: true}},
		{Pair: scenario.Pair{From: 2, To: 1}, Link: network.Link{Cut: true}}}
	if err := live.SetLinks(ctx, "isolate 1", all); err != nil || !r.containers[0].apart {
		t.Errorf("isolated: %v, %+v", err, r.containers[0])
	}
	if err := live.SetDisk(ctx, 1, false, 0); err != nil {
		t.Errorf("a node that is off the network: %v", err)
	}
	if _, err := command(ctx, nil, "kill", r.nameOf(r.containers[1])); err != nil {
		t.Error(err)
	}
	interrupt()
	if err := live.Follow(ctx, func(trace.Event) {}); err == nil || !strings.Contains(err.Error(), "node 2") {
		t.Errorf("after a node has died: %v", err)
	}
	if err := live.Recover(ctx, 2, false); err == nil {
		t.Error("what is interrupted goes on")
	}
	if err := live.Close(); err != nil {
		t.Error(err)
	}
	if _, err := place.Open(ctx, parse(t, "cluster: {nodes: 2}\nexpect: [leader-agreed]"), trace.Protocol); err == nil {
		t.Error("what is interrupted begins")
	}
}

// A start that fails says why, and leaves nothing.
func TestFailedStart(t *testing.T) {
	place := engine(t)
	place.Image = "no-such-image"
	s := parse(t, "cluster: {nodes: 2}\nexpect: [leader-agreed]")
	if _, err := place.Open(t.Context(), s, trace.Protocol); err == nil || !strings.Contains(err.Error(), "docker build") {
		t.Errorf("without an image: %v", err)
	}
	image, err := Place{Program: place.Program}.image(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, err := prepare("run-"+strconv.Itoa(os.Getpid())+"-fails", image, s, trace.Protocol)
	if err != nil {
		t.Fatal(err)
	}
	r.spec = append(r.spec, "--election", "nonsense")
	if err := r.startAll(t.Context()); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("with wrong arguments: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// Without an engine there is one line that says what is missing.
func TestNoEngine(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the stand-in for docker is a shell script")
	}
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	s := parse(t, "cluster: {nodes: 2}\nexpect: [leader-agreed]")
	if _, err := (Place{}).Open(t.Context(), s, trace.Protocol); err == nil || !strings.Contains(err.Error(), "the command docker is not there") {
		t.Errorf("without docker: %v", err)
	}
	script := "#!/bin/sh\necho 'Client: 20' \necho 'Cannot connect to the Docker daemon. Is it running?' >&2\nexit 1\n"
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	want := "--on docker needs a Docker engine: docker version: Cannot connect to the Docker daemon. Is it running?"
	if _, err := (Place{}).Open(t.Context(), s, trace.Protocol); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// A node leaves the network when it is cut off from all others both ways, and then its links are not cut from within.
func TestMoves(t *testing.T) {
	r, err := prepare("run-0-0", "", parse(t, "cluster: {nodes: 4}\nexpect: [leader-agreed]"), trace.Protocol)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.group.Close(); os.RemoveAll(r.dir) })
	cut := func(from, to protocol.ID, is bool) {
		r.links[scenario.Pair{From: from, To: to}] = scenario.LinkState{Link: network.Link{Cut: is, Loss: 0.5}}
	}
	for id := protocol.ID(1); id < 4; id++ {
		cut(4, id, true)
	}
	if leave, come := r.moves(); len(leave) > 0 || len(come) > 0 {
		t.Errorf("one way: %v leave, %v come", leave, come)
	}
	for id := protocol.ID(1); id < 4; id++ {
		cut(id, 4, true)
	}
	cut(1, 2, true)
	leave, come := r.moves()
	if len(leave) != 1 || leave[0].id != 4 || len(come) > 0 {
		t.Fatalf("both ways: %v leave, %v come", leave, come)
	}
	leave[0].apart = true
	told := r.within()
	if l := told[node.Pair{From: 4, To: 1}]; l.Cut || l.Loss != 0.5 {
		t.Errorf("a link of who is away is %+v", l)
	}
	if !told[node.Pair{From: 1, To: 2}].Cut {
		t.Error("another link is not cut")
	}
	cut(2, 4, false)
	if leave, come := r.moves(); len(leave) > 0 || len(come) != 1 || come[0].id != 4 {
		t.Errorf("healed: %v leave, %v come", leave, come)
	}
}

// A life ends right behind what was heard of it; what is heard later does not count, and another clock is found out.
func TestHeard(t *testing.T) {
	h := heard{nodes: map[protocol.ID]*last{}}
	now := node.Monotonic()
	h.begins(1, now-100)
	take := func(kind trace.Kind, inc protocol.Incarnation, at int64) (bool, error) {
		return h.take(&trace.Event{N: 1, Node: 1, Inc: inc, Kind: kind, T: at})
	}
	if ok, err := take(trace.Start, 1, now-50); !ok || err != nil {
		t.Errorf("a start: %v, %v", ok, err)
	}
	if ok, err := take(trace.Noted, 1, now+30); !ok || err != nil {
		t.Errorf("an event: %v, %v", ok, err)
	}
	if at := h.ends(1, 1, now); at != now+31 {
		t.Errorf("it died at %d, want %d", at-now, 31)
	}
	if ok, _ := take(trace.Noted, 1, now+40); ok {
		t.Error("what the dead tell counts")
	}
	if ok, err := take(trace.Recover, 2, now-10); !ok || err != nil {
		t.Errorf("the next life: %v, %v", ok, err)
	}
	for _, at := range []int64{now - 101, now + 3600e9} {
		if _, err := take(trace.Recover, 3, at); err == nil || !strings.Contains(err.Error(), "clock") {
			t.Errorf("begun at %d: %v", at-now, err)
		}
	}
}

// Programs that need libraries, or are none, are refused before a container is made of them.
func TestStatic(t *testing.T) {
	header := func(part uint32) []byte {
		b := make([]byte, 64+56)
		copy(b, "\x7fELF\x02\x01\x01")
		le := binary.LittleEndian
		le.PutUint16(b[16:], 2)  // an executable
		le.PutUint16(b[18:], 62) // for x86-64
		le.PutUint32(b[20:], 1)
		le.PutUint64(b[32:], 64) // its parts are behind this header
		le.PutUint16(b[52:], 64)
		le.PutUint16(b[54:], 56)
		le.PutUint16(b[56:], 1)
		le.PutUint16(b[58:], 64)
		le.PutUint32(b[64:], part)
		return b
	}
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"static":  {header(1), ""},
		"dynamic": {header(3), "CGO_ENABLED=0"},
		"script":  {[]byte("#!/bin/sh\nexit 0\n"), "not one for Linux"},
	} {
		if err := static(bytes.NewReader(c.file)); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

// Keys are for the node's user alone; the program is for everybody.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "key.pem"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		write func(io.Writer) error
		want  string
	}{
		"credentials": {func(w io.Writer) error { return writeCredentials(w, dir) }, "credentials/ 700 65532, credentials/key.pem 600 65532"},
		"layer":       {func(w io.Writer) error { return writeLayer(w, strings.NewReader("abc"), 3) }, "tmp/ 1777 0, data/ 700 65532, ciranda 755 0"},
	} {
		var file bytes.Buffer
		if err := c.write(&file); err != nil {
			t.Fatal(err)
		}
		var got []string
		for r := tar.NewReader(&file); ; {
			h, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, h.Name+" "+strconv.FormatInt(h.Mode, 8)+" "+strconv.Itoa(h.Uid))
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

// What the engine complains of is found among what the command prints.
func TestComplaint(t *testing.T) {
	for text, want := range map[string]string{
		"Error response from daemon: no such thing\nError: failed to start: x": "no such thing",
		"WARNING: old\nCannot connect":                                         "Cannot connect",
		"":                                                                     "",
	} {
		if got := complaint(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	if got := words([]string{"network", "create", "run-1", "--internal"}); got != "network create run-1" {
		t.Errorf("got %q", got)
	}
}
