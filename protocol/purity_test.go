package protocol_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What protocols may import of the standard library: it computes, and does nothing else.
var pure = []string{
	"bytes", "cmp", "container/heap", "crypto/sha256", "encoding/binary", "encoding/hex", "encoding/json", "errors", "fmt", "hash/crc32", "hash/fnv", "iter", "maps",
	"math", "math/bits", "reflect", "slices", "sort", "strconv", "strings", "time", "unicode", "unicode/utf8",
}

// Why some imports are refused. Of others it is enough that nobody needed them so far.
var impure = map[string]string{
	"os":           "a protocol does no input or output: effects go to the Out",
	"net":          "a protocol sends by its Out, so that every engine can carry the message",
	"math/rand":    "chance comes from Out.Draw, so that a run can be done again",
	"math/rand/v2": "chance comes from Out.Draw, so that a run can be done again",
	"crypto/rand":  "chance comes from Out.Draw, so that a run can be done again",
	"sync":         "handlers run one at a time: there is nothing to lock",
	"sync/atomic":  "handlers run one at a time: there is nothing to lock",
	"context":      "a step is never waited for",
	"log":          "what is worth telling is an indication or a note, so that it is in the trace",
	"unsafe":       "only protocol/state.go looks below the types, to clone unexported fields",
}

// Of these packages some functions are refused.
var impureCalls = map[string]string{
	"time.Now":       "the clock is Out.Now, a recorded input of the step",
	"time.Since":     "the clock is Out.Now, a recorded input of the step",
	"time.Until":     "the clock is Out.Now, a recorded input of the step",
	"time.Sleep":     "a handler never waits: set a timer",
	"time.After":     "a handler never waits: set a timer",
	"time.AfterFunc": "a handler never waits: set a timer",
	"time.Tick":      "a handler never waits: set a timer",
	"time.NewTimer":  "a handler never waits: set a timer",
	"time.NewTicker": "a handler never waits: set a timer",
	"fmt.Print":      "a protocol does no input or output: effects go to the Out",
	"fmt.Printf":     "a protocol does no input or output: effects go to the Out",
	"fmt.Println":    "a protocol does no input or output: effects go to the Out",
	"maps.All":       mapOrder,
	"maps.Keys":      mapOrder,
	"maps.Values":    mapOrder,
}

// Functions that range over a map, and why its order cannot show.
var anyOrder = map[string]string{
	"ciranda.dev/protocol/clock.within": "all entries must pass",
	"ciranda.dev/protocol/clock.Merge":  "each entry changes its own only",
	"ciranda.dev/protocol/clock.check":  "the fault of the lowest process is given, whichever was found first",
}

const (
	mapOrder   = "the order of a map differs from run to run: sort the keys first, as slices.Sorted(maps.Keys(m)) does"
	concurrent = "handlers run one at a time, and no goroutine outlives them"
)

// The kits of tests are no protocols.
var exempt = []string{"protocoltest", "detectortest"}

// A package as "go list" shows it.
type listed struct {
	Dir, ImportPath, Export string
	GoFiles                 []string
	Standard                bool
}

// TestPurity keeps protocols and applications what every engine relies on: values that change in their handlers alone.
func TestPurity(t *testing.T) {
	all := list(t, "./protocol/...", "./app/...")
	fset := token.NewFileSet()
	imports := importer.ForCompiler(fset, "gc", all.open)
	audited := 0
	for _, p := range all {
		if !guarded(p.ImportPath) {
			continue
		}
		files := []*ast.File{}
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
		for _, complaint := range audit(t, fset, imports, p.ImportPath, files) {
			t.Error(complaint)
		}
		audited++
	}
	if audited < 5 {
		t.Errorf("only %d packages were looked at", audited)
	}
}

// guarded says whether a package must be pure.
func guarded(path string) bool {
	inside := path == "ciranda.dev/protocol" || strings.HasPrefix(path, "ciranda.dev/protocol/") ||
		strings.HasPrefix(path, "ciranda.dev/app/")
	return inside && !slices.Contains(exempt, path[strings.LastIndex(path, "/")+1:])
}

type packages []listed

// list gives packages and all that they import, with their export data.
func list(t *testing.T, patterns ...string) packages {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-e", "-deps", "-export", "-json=Dir,ImportPath,Export,GoFiles,Standard"}, patterns...)...)
	cmd.Dir = ".."
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		t.Fatalf("go list: %v: %s", err, exit.Stderr)
	} else if err != nil {
		t.Fatal(err)
	}
	all := packages{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// open opens the export data of a package, for the importer.
func (all packages) open(path string) (io.ReadCloser, error) {
	for _, p := range all {
		if p.ImportPath == path {
			return os.Open(p.Export)
		}
	}
	return nil, fmt.Errorf("no package %q", path)
}

// audit gives a complaint for everything that a protocol may not do, where and why.
func audit(t *testing.T, fset *token.FileSet, imports types.Importer, path string, files []*ast.File) []string {
	t.Helper()
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: imports}
	if _, err := config.Check(path, fset, files, info); err != nil {
		t.Fatal(err)
	}
	a := &auditor{path: path, fset: fset, info: info, sorted: map[ast.Node]bool{}}
	for _, f := range files {
		a.imports(f)
		ast.Inspect(f, a.look)
	}
	return a.complaints
}

type auditor struct {
	path       string
	within     string // the function being looked at
	fset       *token.FileSet
	info       *types.Info
	sorted     map[ast.Node]bool // what is handed to a function that sorts
	complaints []string
}

func (a *auditor) complain(at token.Pos, what, why string) {
	p := a.fset.Position(at)
	a.complaints = append(a.complaints, fmt.Sprintf("%s:%d: %s: %s", filepath.Base(p.Filename), p.Line, what, why))
}

func (a *auditor) imports(f *ast.File) {
	for _, spec := range f.Imports {
		path := strings.Trim(spec.Path.Value, `"`)
		file := filepath.ToSlash(a.fset.Position(spec.Pos()).Filename)
		why, known := impure[path]
		switch {
		case slices.Contains(pure, path), path == "unsafe" && strings.HasSuffix(file, "protocol/state.go"):
		case strings.HasPrefix(path+"/", "ciranda.dev/protocol/"), strings.HasPrefix(path, "ciranda.dev/app/"):
		case strings.HasPrefix(path, "ciranda.dev/"):
			a.complain(spec.Pos(), "imports "+path, "protocols know nothing of what runs them")
		case known:
			a.complain(spec.Pos(), "imports "+path, why)
		default:
			a.complain(spec.Pos(), "imports "+path, "it is not among the packages known to compute and do nothing else")
		}
	}
}

// look complains of one node of the syntax. Calls come before what they are given, so sorting is known in time.
func (a *auditor) look(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.FuncDecl:
		a.within = n.Name.Name
	case *ast.GoStmt:
		a.complain(n.Pos(), "a go statement", concurrent)
	case *ast.SelectStmt:
		a.complain(n.Pos(), "a select statement", concurrent)
	case *ast.ChanType:
		a.complain(n.Pos(), "a channel", concurrent)
	case *ast.RangeStmt:
		_, isMap := a.info.TypeOf(n.X).Underlying().(*types.Map)
		if isMap && anyOrder[a.path+"."+a.within] == "" {
			a.complain(n.Pos(), "a range over a map", mapOrder)
		}
	case *ast.CallExpr:
		if strings.HasPrefix(a.function(n.Fun), "slices.Sorted") {
			a.sorted[n.Args[0]] = true
		}
		if a.sorted[n] {
			a.sorted[n.Fun] = true
		}
	case *ast.SelectorExpr:
		name := a.function(n)
		if why, refused := impureCalls[name]; refused && !a.sorted[n] {
			a.complain(n.Pos(), name, why)
		}
	}
	return true
}

// function is the name of a package's function, such as "time.Now"; "" if the expression is none.
func (a *auditor) function(e ast.Expr) string {
	s, ok := e.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	f, ok := a.info.Uses[s.Sel].(*types.Func)
	if !ok || f.Pkg() == nil || f.Signature().Recv() != nil {
		return ""
	}
	return f.Pkg().Path() + "." + f.Name()
}

// The audit finds each thing that it is there to find.
func TestAuditFinds(t *testing.T) {
	all := list(t, "time", "os", "sync", "maps", "slices", "fmt", "unsafe", "math/rand/v2", "regexp", "ciranda.dev/trace")
	tests := []struct {
		body, want string
	}{
		{`import "time"; var _ = 2 * time.Second`, ""},
		{`import "time"; var _ = time.Now`, "bad.go:1: time.Now: the clock is Out.Now"},
		{`import t "time"; func f() { t.Sleep(1) }`, "bad.go:1: time.Sleep: a handler never waits"},
		{`import "time"; func f(t time.Time) bool { return t.After(t) }`, ""},
		{`import _ "os"`, "bad.go:1: imports os: a protocol does no input or output"},
		{`import _ "sync"`, "bad.go:1: imports sync: handlers run one at a time"},
		{`import _ "math/rand/v2"`, "bad.go:1: imports math/rand/v2: chance comes from Out.Draw"},
		{`import _ "unsafe"`, "bad.go:1: imports unsafe: only protocol/state.go"},
		{`import _ "regexp"`, "bad.go:1: imports regexp: it is not among"},
		{`import _ "ciranda.dev/trace"`, "bad.go:1: imports ciranda.dev/trace: protocols know nothing"},
		{`func f() { go f() }`, "bad.go:1: a go statement: handlers"},
		{`func f() { select {} }`, "bad.go:1: a select statement: handlers"},
		{`var c chan int`, "bad.go:1: a channel: handlers"},
		{`func f(m map[int]int) { for range m {} }`, "bad.go:1: a range over a map: the order"},
		{`type set map[int]bool; func f(m set) { for range m {} }`, "bad.go:1: a range over a map: the order"},
		{`func f(m []int) { for range m {} }`, ""},
		{`import "maps"; func f(m map[int]int) { for range maps.Keys(m) {} }`, "bad.go:1: maps.Keys: the order"},
		{`import ("maps"; "slices"); func f(m map[int]int) []int { return slices.Collect(maps.Values(m)) }`, "bad.go:1: maps.Values: the order"},
		{`import ("maps"; "slices"); func f(m map[int]int) []int { return slices.Sorted(maps.Keys(m)) }`, ""},
		{`import "fmt"; func f() { fmt.Println() }`, "bad.go:1: fmt.Println: a protocol does no"},
		{`import "fmt"; func f() string { return fmt.Sprintln() }`, ""},
	}
	fset := token.NewFileSet()
	imports := importer.ForCompiler(fset, "gc", all.open)
	for _, test := range tests {
		f, err := parser.ParseFile(fset, "bad.go", "package bad; "+test.body, 0)
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(audit(t, fset, imports, "bad", []*ast.File{f}), "\n")
		if test.want == "" && got != "" || !strings.HasPrefix(got, test.want) {
			t.Errorf("%s\n got %s\nwant %s", test.body, got, test.want)
		}
	}
}
