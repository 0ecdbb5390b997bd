package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"ciranda.dev/api"
	"ciranda.dev/protocol"
)

// home gives the test a place of its own for clusters.
func home(t *testing.T) {
	t.Helper()
	t.Setenv("XDG_STATE_HOME", t.TempDir())
}

func isMistake(err error) bool {
	e := api.AsError(err)
	return e != nil && e.Code == codes.InvalidArgument
}

func TestNamesOfClusters(t *testing.T) {
	home(t)
	for _, name := range []string{"default", "a", "lesson-3", "3"} {
		if dir, err := Dir(name); err != nil || filepath.Base(dir) != name {
			t.Errorf("%q: got %q, %v", name, dir, err)
		}
	}
	for _, name := range []string{"", "..", "a/b", "-a", "A", "ü", strings.Repeat("a", 33), "a\n"} {
		if dir, err := Dir(name); !isMistake(err) {
			t.Errorf("%q: got %q, %v", name, dir, err)
		}
	}
}

// settled gives the shape of a cluster that was one thing and is asked for as another.
func settled(t *testing.T, was, asked Shape, fresh bool) (Shape, error) {
	t.Helper()
	dir := t.TempDir()
	if was != (Shape{}) {
		if err := writeJSON(filepath.Join(dir, shapeFile), was); err != nil {
			t.Fatal(err)
		}
	}
	return settle("test", dir, asked, fresh)
}

func TestShapeIsKept(t *testing.T) {
	quorum := Shape{Nodes: 7, Election: "bully+quorum", Detector: "heartbeat", Profile: "LAN", Port: 21000, App: "none", Orders: "fifo", Transport: "tcp"}
	for name, c := range map[string]struct {
		was, asked Shape
		fresh      bool
		want       Shape
	}{
		"the first time":                   {want: Shape{5, "bully", "heartbeat", "Local", 0, "bank", "all", "tcp", false}},
		"what was asked for":               {asked: quorum, want: quorum},
		"as it was":                        {was: quorum, want: quorum},
		"of before there were any":         {was: Shape{3, "bully", "heartbeat", "Local", 0, "", "", "", false}, want: Shape{3, "bully", "heartbeat", "Local", 0, "none", "none", "tcp", false}},
		"timeouts and ports may change":    {was: quorum, asked: Shape{Profile: "WAN", Port: 22000}, want: Shape{7, "bully+quorum", "heartbeat", "WAN", 22000, "none", "fifo", "tcp", false}},
		"fresh keeps nothing but its port": {was: quorum, fresh: true, want: Shape{5, "bully", "heartbeat", "Local", 21000, "bank", "all", "tcp", false}},
		"fresh and another shape":          {was: quorum, asked: Shape{Nodes: 3}, fresh: true, want: Shape{3, "bully", "heartbeat", "Local", 21000, "bank", "all", "tcp", false}},
	} {
		if got, err := settled(t, c.was, c.asked, c.fresh); err != nil || got != c.want {
			t.Errorf("%s: got %+v, %v; want %+v", name, got, err, c.want)
		}
	}
}

func TestAnotherShapeIsRefused(t *testing.T) {
	five, _ := settled(t, Shape{}, Shape{}, false)
	for _, asked := range []Shape{{Nodes: 7}, {Election: "bully+stable"}, {Detector: "ring"}, {App: "none"}, {Orders: "fifo"}, {Orders: "none"}} {
		_, err := settled(t, five, asked, false)
		if e := api.AsError(err); !isMistake(err) || !strings.Contains(e.Hint, "--fresh") {
			t.Errorf("%+v: got %v", asked, err)
		}
	}
	for _, wrong := range []Shape{{Nodes: 1}, {Nodes: MaxNodes + 1}, {Nodes: -5}, {Election: "buly"}, {Detector: "oracle"},
		{Detector: "x"}, {App: "casino"}, {Profile: "Moon"}, {Port: 80}, {Port: 65500}} {
		if s, err := settled(t, Shape{}, wrong, false); !isMistake(err) {
			t.Errorf("%+v: got %+v, %v", wrong, s, err)
		}
	}
}

func TestBrokenShapeFile(t *testing.T) {
	dir := t.TempDir()
	for _, text := range []string{"", "{", "[]", `{"nodes":1000}`, `{"port":5}`, `{"election":"buly"}`} {
		os.WriteFile(filepath.Join(dir, shapeFile), []byte(text), 0o600)
		_, err := settle("test", dir, Shape{}, false)
		if e := api.AsError(err); e == nil || !strings.Contains(e.Text, shapeFile) || !strings.Contains(e.Hint, "--fresh") {
			t.Errorf("%q: got %v", text, err)
		}
		if s, err := settle("test", dir, Shape{}, true); err != nil || s != defaults() {
			t.Errorf("%q, fresh: got %+v, %v", text, s, err)
		}
	}
}

func TestPortsInUse(t *testing.T) {
	first, err := choosePorts("test", 3, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", address(first, 2, grpcPort))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = choosePorts("test", 3, first, 0)
	if want := fmt.Sprintf("port %d is in use", first+21); err == nil || err.Error() != want {
		t.Errorf("asked for: got %v, want %s", err, want)
	}
	if other, err := choosePorts("test", 3, 0, first); err != nil || other == first || busy(other, 3) != 0 {
		t.Errorf("had: got %d, %v", other, err)
	}
}

func TestOneSupervisorAtATime(t *testing.T) {
	dir := t.TempDir()
	f, err := lock("test", dir)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := lock("test", dir); !isMistake(err) {
		t.Errorf("a second one: got %v, %v", again, err)
	}
	f.Close()
	f, err = lock("test", dir)
	if err != nil {
		t.Fatalf("after the first: %v", err)
	}
	f.Close()
}

func TestConnectToNobody(t *testing.T) {
	home(t)
	_, _, err := Connect("test")
	if e := api.AsError(err); e == nil || e.Code != codes.Unavailable || e.Hint != "ciranda up starts it" {
		t.Errorf("got %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for name, grpc := range map[string]string{"one": l.Addr().String(), "other": l.Addr().String(), "killed": ""} {
		dir, _ := Dir(name)
		os.MkdirAll(dir, 0o700)
		writeJSON(filepath.Join(dir, endpointFile), Endpoint{Cluster: name, GRPC: grpc})
	}
	_, _, err = Connect("test")
	if e := api.AsError(err); e == nil || e.Hint != "running are one, other; name one with --name" {
		t.Errorf("beside another: got %+v", e)
	}
}

func TestLogs(t *testing.T) {
	home(t)
	dir, _ := Dir("test")
	os.MkdirAll(filepath.Join(dir, logsDir), 0o700)
	if err := Logs(t.Context(), "nobody", "", 5, false, nil); err == nil {
		t.Error("a cluster that never was has logs")
	}
	writeJSON(filepath.Join(dir, shapeFile), Shape{Nodes: 2})
	os.WriteFile(logPath(dir, 0), []byte("zero\n"), 0o600)
	os.WriteFile(logPath(dir, 2), []byte(strings.Repeat("x\n", tailBytes)+"one\ntwo\nthree\n"), 0o600)
	var got []string
	print := func(l LogLine) { got = append(got, l.Node.String()+" "+l.Line) }
	if err := Logs(t.Context(), "test", "", 2, false, print); err != nil || !slices.Equal(got, []string{"0 zero", "2 two", "2 three"}) {
		t.Errorf("got %q, %v", got, err)
	}
	if err := Logs(t.Context(), "test", "3", 2, false, print); !isMistake(err) {
		t.Errorf("of node 3: got %v", err)
	}
}

// Who follows a log sees what is added, each line once and whole.
func TestLogsAreFollowed(t *testing.T) {
	home(t)
	dir, _ := Dir("test")
	os.MkdirAll(filepath.Join(dir, logsDir), 0o700)
	writeJSON(filepath.Join(dir, shapeFile), Shape{Nodes: 1})
	f, err := openLog(logPath(dir, 1))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.WriteString("one\nhalf")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	lines := make(chan string, 10)
	done := make(chan error)
	go func() { done <- Logs(ctx, "test", "1", 1, true, func(l LogLine) { lines <- l.Line }) }()
	if got := <-lines; got != "half" { // the end as it is
		t.Errorf("got %q", got)
	}
	f.WriteString(" a line\nthe next\n")
	if got := <-lines; got != " a line" {
		t.Errorf("got %q", got)
	}
	if got := <-lines; got != "the next" {
		t.Errorf("got %q", got)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestProgramIsKept(t *testing.T) {
	dir := t.TempDir()
	kept, err := keepBinary(dir)
	if err != nil {
		t.Fatal(err)
	}
	own, _ := os.Executable()
	if !same(own, kept) {
		t.Error("the copy is not of this program")
	}
	before, _ := os.Stat(kept)
	if again, err := keepBinary(dir); err != nil || again != kept {
		t.Errorf("again: got %q, %v", again, err)
	}
	if after, _ := os.Stat(kept); !os.SameFile(before, after) {
		t.Error("the same program was copied twice")
	}
}

func TestAddresses(t *testing.T) {
	if got := address(21000, 3, httpPort); got != "127.0.0.1:21032" {
		t.Errorf("got %s", got)
	}
	if got := address(21000, protocol.None, grpcPort); got != "127.0.0.1:21001" {
		t.Errorf("got %s", got)
	}
}
