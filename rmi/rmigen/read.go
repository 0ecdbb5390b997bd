package main

import (
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
)

// A pkg is the package that is read.
type pkg struct {
	*packages.Package
	marked map[types.Object]*ast.InterfaceType // its remote interfaces
}

// A face is a remote interface.
type face struct {
	name    string
	methods []method
}

// A method is one of its methods.
type method struct {
	name      string
	semantics string // the name in package rmi
	args      []value
	results   []value
	variadic  bool
}

// A value is an argument or a result.
type value struct {
	name   string
	typ    types.Type
	remote *types.TypeName // the interface, if it goes as a reference
}

// load reads a package. The file that was written before is as if it were not there: it may be out of date.
func load(dir string) (*pkg, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(dir); err != nil {
		return nil, err
	}
	c := packages.Config{Dir: dir, Mode: packages.NeedName | packages.NeedFiles | packages.NeedSyntax | packages.NeedTypes |
		packages.NeedTypesInfo | packages.NeedImports | packages.NeedDeps | packages.NeedExportFile}
	written := filepath.Join(dir, fileName)
	if name := packageOf(written); name != "" {
		c.Overlay = map[string][]byte{written: []byte("package " + name + "\n")}
	}
	found, err := packages.Load(&c, ".")
	if err != nil {
		return nil, err
	}
	if len(found) != 1 || len(found[0].Syntax) == 0 {
		return nil, fmt.Errorf("found no Go package in %s", dir)
	}
	p := &pkg{Package: found[0], marked: map[types.Object]*ast.InterfaceType{}}
	for _, e := range p.Errors {
		if e.Kind == packages.TypeError || strings.HasPrefix(e.Msg, "# ") { // names that are generated are not there yet
			continue
		}
		return nil, e
	}
	return p, nil
}

// packageOf is the name of the package that a file says it belongs to.
func packageOf(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "package "); ok {
			return strings.TrimSpace(name)
		}
	}
	return ""
}

// remotes are the package's remote interfaces, in the order of the source. The error names all that is wrong.
func (p *pkg) remotes() ([]face, error) {
	var names []*ast.Ident
	var wrong []error
	for _, file := range p.Syntax {
		for _, d := range file.Decls {
			found, err := p.mark(d)
			names = append(names, found...)
			wrong = append(wrong, err)
		}
	}
	var faces []face
	for _, name := range names {
		f, err := p.face(name)
		faces = append(faces, f)
		wrong = append(wrong, err)
	}
	return faces, errors.Join(wrong...)
}

// mark finds the types of a declaration that are marked.
func (p *pkg) mark(d ast.Decl) (names []*ast.Ident, err error) {
	g, ok := d.(*ast.GenDecl)
	if !ok || g.Tok != token.TYPE {
		return nil, nil
	}
	for _, s := range g.Specs {
		t := s.(*ast.TypeSpec)
		marks := append(directives(t.Doc), directives(t.Comment)...)
		if len(g.Specs) == 1 {
			marks = append(marks, directives(g.Doc)...)
		}
		if len(marks) == 0 {
			continue
		}
		i, is := t.Type.(*ast.InterfaceType)
		switch {
		case marks[0].text != "remote":
			err = errors.Join(err, p.at(marks[0].pos, "found //rmi:%s on a type; expected //rmi:remote", marks[0].text))
		case !is:
			err = errors.Join(err, p.at(t.Pos(), "%s is marked //rmi:remote and is no interface", t.Name.Name))
		case t.TypeParams != nil:
			err = errors.Join(err, p.at(t.Pos(), "%s has type parameters: a remote interface can have none", t.Name.Name))
		default:
			p.marked[p.TypesInfo.Defs[t.Name]] = i
			names = append(names, t.Name)
		}
	}
	return names, err
}

// A directive is a comment such as //rmi:remote.
type directive struct {
	text string
	pos  token.Pos
}

func directives(c *ast.CommentGroup) (all []directive) {
	if c == nil {
		return nil
	}
	for _, line := range c.List {
		if text, ok := strings.CutPrefix(line.Text, "//rmi:"); ok {
			all = append(all, directive{strings.TrimSpace(text), line.Pos()})
		}
	}
	return all
}

// at is an error at a place of the source.
func (p *pkg) at(pos token.Pos, format string, args ...any) error {
	place := p.Fset.Position(pos)
	if wd, err := os.Getwd(); err == nil {
		if short, err := filepath.Rel(wd, place.Filename); err == nil {
			place.Filename = short
		}
	}
	return fmt.Errorf("%s: %w", place, fmt.Errorf(format, args...))
}

// face reads a remote interface, with the methods of those that it embeds, by name.
func (p *pkg) face(name *ast.Ident) (face, error) {
	object := p.TypesInfo.Defs[name]
	set := object.Type().Underlying().(*types.Interface)
	f := face{name: name.Name}
	if !object.Exported() {
		return f, p.at(name.Pos(), "%s is not exported: a remote interface must be", name.Name)
	}
	if set.NumMethods() == 0 {
		return f, p.at(name.Pos(), "%s has no methods", name.Name)
	}
	marks, err := p.semantics(p.marked[object])
	wrong := []error{err}
	for m := range set.Methods() {
		r, err := p.method(m)
		r.semantics = cmp.Or(marks[m.Name()], "AtMostOnce")
		wrong = append(wrong, err)
		f.methods = append(f.methods, r)
	}
	slices.SortFunc(f.methods, func(a, b method) int { return strings.Compare(a.name, b.name) })
	return f, errors.Join(wrong...)
}

// semantics are those of the methods that are marked.
func (p *pkg) semantics(i *ast.InterfaceType) (map[string]string, error) {
	names := map[string]string{"idempotent": "AtLeastOnce", "maybe": "Maybe"}
	all := map[string]string{}
	var wrong []error
	for _, field := range i.Methods.List {
		for _, d := range append(directives(field.Doc), directives(field.Comment)...) {
			switch s := names[d.text]; {
			case s == "":
				wrong = append(wrong, p.at(d.pos, "found //rmi:%s on a method; expected //rmi:idempotent or //rmi:maybe", d.text))
			case len(field.Names) == 0:
				wrong = append(wrong, p.at(d.pos, "found //rmi:%s on an embedded interface: it is for methods", d.text))
			default:
				all[field.Names[0].Name] = s
			}
		}
	}
	return all, errors.Join(wrong...)
}

// method reads a method.
func (p *pkg) method(m *types.Func) (method, error) {
	s := m.Signature()
	r := method{name: m.Name(), variadic: s.Variadic()}
	in, out := s.Params(), s.Results()
	switch {
	case m.Name() == "Remote":
		return r, p.at(m.Pos(), "a remote method cannot be called Remote: stubs have a field of that name")
	case !m.Exported():
		return r, p.at(m.Pos(), "%s is not exported: nobody could call it from elsewhere", m.Name())
	case in.Len() == 0 || in.At(0).Type().String() != "context.Context":
		return r, p.at(m.Pos(), "%s takes no context; expected a context.Context as its first argument", m.Name())
	case out.Len() == 0 || out.At(out.Len()-1).Type().String() != "error":
		return r, p.at(m.Pos(), "%s gives no error; expected one as its last result: any call from elsewhere can fail", m.Name())
	}
	var err error
	if r.args, err = p.values(m, in, 1, in.Len(), "argument"); err != nil {
		return r, err
	}
	r.results, err = p.values(m, out, 0, out.Len()-1, "result")
	return r, err
}

// values reads some arguments or results.
func (p *pkg) values(m *types.Func, all *types.Tuple, from, to int, what string) (values []value, err error) {
	used := map[string]bool{}
	for i := from; i < to; i++ {
		v := all.At(i)
		name := v.Name()
		if name == "" || name == "_" {
			name = fmt.Sprintf("%s%d", what, i+1-from)
		}
		for used[exported(name)] {
			name += "_"
		}
		used[exported(name)] = true
		remote, e := p.crosses(v.Type(), nil)
		if e != nil {
			pos := v.Pos()
			if !pos.IsValid() || p.Fset.Position(pos).Filename == "" {
				pos = m.Pos()
			}
			err = errors.Join(err, p.at(pos, "%s: the %s %s is of type %s: %w", m.Name(), what, name, short(v.Type(), p.Types), e))
		}
		values = append(values, value{name, v.Type(), remote})
	}
	return values, err
}
