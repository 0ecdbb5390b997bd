package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/go/packages"
)

// A pkg is a package that is read.
type pkg struct {
	*packages.Package
	marked map[string]map[string]*contract // by package and name: the remote interfaces that were looked at
	given  map[string]bool                 // the names in the package that the written code declares
	wrong  problems
}

// A finding is where there is something to do.
type finding struct {
	dirs    []string // those with remote interfaces
	tests   bool     // some of these are in tests
	written []string // files that were written before, and may be out of date
	leftOut []string // files with remote interfaces that do not belong to this build
}

// find looks for remote interfaces without reading more than names of files and whether the word stands in them: to
// know types costs far more.
func find(patterns []string, tags string) (*finding, error) {
	all, err := packages.Load(config(packages.NeedName|packages.NeedFiles, tags, true), patterns...)
	if err != nil {
		return nil, fmt.Errorf("rmigen: %w", err)
	}
	f, seen := &finding{}, map[string]bool{}
	var wrong problems
	for _, p := range all {
		if len(p.GoFiles)+len(p.IgnoredFiles) == 0 {
			for _, e := range p.Errors {
				wrong = append(wrong, asProblem(e))
			}
		}
		for _, path := range slices.Concat(p.GoFiles, p.IgnoredFiles) {
			if !seen[path] && !strings.HasSuffix(p.ID, ".test") { // the program that runs tests
				seen[path] = true
				f.file(path, slices.Contains(p.IgnoredFiles, path) && !slices.Contains(p.GoFiles, path))
			}
		}
	}
	return f, wrong.err()
}

// mayMark finds what may be marks, with typing errors too.
var mayMark = regexp.MustCompile(`//\s*(?i:rmi):`)

// file looks at a file. One that does not belong to this build is left out, and so is what was written for it.
func (f *finding) file(path string, out bool) {
	text, err := os.ReadFile(path)
	switch dir := filepath.Dir(path); {
	case err != nil:
	case isTarget(path) && bytes.HasPrefix(text, []byte(header)):
		if !out {
			f.written = append(f.written, path)
		}
	case !mayMark.Match(text):
	case out:
		f.leftOut = append(f.leftOut, path)
	default:
		f.tests = f.tests || strings.HasSuffix(path, "_test.go")
		if !slices.Contains(f.dirs, dir) {
			f.dirs = append(f.dirs, dir)
		}
	}
}

func config(mode packages.LoadMode, tags string, tests bool) *packages.Config {
	c := &packages.Config{Mode: mode, Tests: tests}
	if tags != "" {
		c.BuildFlags = []string{"-tags=" + tags}
	}
	return c
}

// load reads the packages with remote interfaces. Files that were written before are as if they were empty: they may be out of
// date. Of packages that are imported only what the compiler keeps of them is read, or, if they do not compile, their source.
func load(f *finding, tags string) ([]*pkg, error) {
	if len(f.dirs) == 0 {
		return nil, nil
	}
	c := config(packages.NeedName|packages.NeedFiles|packages.NeedSyntax|packages.NeedTypes|packages.NeedTypesInfo|
		packages.NeedImports, tags, f.tests)
	c.ParseFile = func(set *token.FileSet, path string, text []byte) (*ast.File, error) {
		if slices.Contains(f.written, path) {
			text = empty(path)
		}
		return parser.ParseFile(set, path, text, parser.ParseComments|parser.SkipObjectResolution)
	}
	read, err := loadAs(c, f.dirs)
	if err == nil || len(f.written) == 0 {
		return read, err
	}
	// What was written may be so wrong that go cannot even list it. Then go must not see it either. That is far slower, since
	// then all that is imported is read from source.
	c.Overlay = map[string][]byte{}
	for _, path := range f.written {
		c.Overlay[path] = empty(path)
	}
	return loadAs(c, f.dirs)
}

func loadAs(c *packages.Config, dirs []string) ([]*pkg, error) {
	all, err := packages.Load(c, dirs...)
	if err != nil {
		return nil, fmt.Errorf("rmigen: %w", err)
	}
	var read []*pkg
	var wrong problems
	for _, p := range all {
		if strings.HasSuffix(p.ID, ".test") || withTests(p, all) {
			continue
		}
		for _, e := range p.Errors {
			// What is not declared may be what is not written yet. Lines with # are the compiler's, which finds the same.
			if e.Kind != packages.TypeError && !strings.HasPrefix(e.Msg, "# ") {
				wrong = append(wrong, asProblem(e))
			}
		}
		read = append(read, &pkg{Package: p, marked: map[string]map[string]*contract{}, given: map[string]bool{}})
	}
	return read, wrong.err()
}

// withTests says whether a package is there again, together with its tests.
func withTests(p *packages.Package, all []*packages.Package) bool {
	return slices.ContainsFunc(all, func(other *packages.Package) bool {
		return other.ID != p.ID && other.PkgPath == p.PkgPath && len(other.GoFiles) > len(p.GoFiles)
	})
}

// asProblem takes apart where an error is.
func asProblem(e packages.Error) problem {
	p := problem{text: e.Msg}
	parts := strings.Split(e.Pos, ":")
	for _, to := range []*int{&p.col, &p.line} {
		n, err := strconv.Atoi(parts[len(parts)-1])
		if err != nil || len(parts) == 1 {
			break
		}
		*to, parts = n, parts[:len(parts)-1]
	}
	if p.line == 0 { // there is only one number
		p.line, p.col = p.col, 1
	}
	if p.file = strings.Join(parts, ":"); p.file == "-" {
		p.file = ""
	}
	return p
}

// empty is a file that was written, without what was written: it says the package of its source, or, if there is none, of
// another file beside it.
func empty(path string) []byte {
	others, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*.go"))
	for _, name := range append([]string{sourceOf(path)}, others...) {
		if isTarget(name) || strings.HasSuffix(name, "_test.go") != strings.HasSuffix(path, "_test.go") {
			continue
		}
		if f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.PackageClauseOnly); err == nil {
			return []byte("package " + f.Name.Name + "\n")
		}
	}
	return []byte("package empty\n")
}

// at notes that something is wrong at a place of the source.
func (p *pkg) at(pos token.Pos, format string, args ...any) {
	place := p.Fset.Position(pos)
	p.wrong = append(p.wrong, problem{place.Filename, place.Line, place.Column, fmt.Sprintf(format, args...)})
}

// contracts are the remote interfaces of a package, this one or one that it knows, as far as they can be read.
func (p *pkg) contracts(of *types.Package) map[string]*contract {
	if found, ok := p.marked[of.Path()]; ok {
		return found
	}
	found := map[string]*contract{}
	p.marked[of.Path()] = found
	files := p.Syntax
	if of != p.Types {
		files = sources(p.Package, of.Path(), map[*packages.Package]bool{})
	}
	for _, f := range files {
		marks := marksOf(f)
		for _, c := range marks.contracts {
			found[c.name.Name] = c
		}
		if of == p.Types {
			p.report(marks)
		}
	}
	return found
}

// sources are the files of a package that another one imports, maybe by way of others.
func sources(p *packages.Package, path string, seen map[*packages.Package]bool) []*ast.File {
	if seen[p] {
		return nil
	}
	seen[p] = true
	if p.PkgPath == path {
		return parse(p.GoFiles)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Imports)) {
		if files := sources(p.Imports[name], path, seen); files != nil {
			return files
		}
	}
	return nil
}

func parse(paths []string) []*ast.File {
	files := []*ast.File{}
	for _, path := range paths {
		if f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution); err == nil {
			files = append(files, f)
		}
	}
	return files
}
