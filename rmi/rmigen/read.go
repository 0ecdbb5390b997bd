package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"slices"
	"strings"
)

// A face is a remote interface.
type face struct {
	name    *ast.Ident
	source  string // the file that declares it
	methods []method
}

// A method is one of its methods.
type method struct {
	name      string
	semantics string // the name in package rmi
	args      []value
	results   []value
}

// A value is an argument or a result.
type value struct {
	name   string // on the wire
	typ    types.Type
	remote *types.TypeName // the interface, if it goes as a reference
}

// report notes what is wrong with the marks of a file.
func (p *pkg) report(m *marks) {
	for _, pos := range slices.Sorted(maps.Keys(m.wrong)) {
		p.at(pos, "%s", m.wrong[pos])
	}
}

// remotes are the package's remote interfaces, in the order of the source.
func (p *pkg) remotes() (faces []face) {
	for _, c := range p.contracts(p.Types) {
		faces = append(faces, p.face(c))
	}
	slices.SortFunc(faces, func(a, b face) int { return cmp.Compare(a.name.Pos(), b.name.Pos()) })
	return faces
}

// bySource are the interfaces of each file.
func bySource(faces []face) map[string][]face {
	all := map[string][]face{}
	for _, f := range faces {
		all[f.source] = append(all[f.source], f)
	}
	return all
}

// face reads a remote interface, with the methods of those that it embeds, by name.
func (p *pkg) face(c *contract) face {
	f := face{name: c.name, source: p.Fset.Position(c.name.Pos()).Filename}
	object, ok := p.TypesInfo.Defs[c.name].(*types.TypeName)
	if !ok || !types.IsInterface(object.Type()) {
		p.at(c.name.Pos(), "%s cannot be read; the compiler says why", c.name.Name)
		return f
	}
	if p.broken(c) {
		return f
	}
	set := object.Type().Underlying().(*types.Interface)
	before := len(p.wrong)
	p.embedded(c)
	switch {
	case !object.Exported():
		p.at(c.name.Pos(), "%s is not exported; expected a remote interface to be, such as %s", c.name.Name, exported(c.name.Name))
	case len(p.wrong) > before: // what is embedded may have any methods
		return f
	case set.NumMethods() == 0:
		p.at(c.name.Pos(), "%s has no methods; expected one or more", c.name.Name)
	}
	semantics := p.semantics(object)
	for m := range set.Methods() {
		r := p.method(m, c.name.Pos())
		r.semantics = cmp.Or(semantics[m.Name()], "AtMostOnce")
		f.methods = append(f.methods, r)
	}
	slices.SortFunc(f.methods, func(a, b method) int { return strings.Compare(a.name, b.name) })
	return f
}

// broken notes what the compiler finds wrong in a contract, or in what its file imports.
func (p *pkg) broken(c *contract) bool {
	before := len(p.wrong)
	for _, e := range p.TypeErrors {
		within := c.body.Pos() <= e.Pos && e.Pos < c.body.End()
		if lost := strings.HasPrefix(e.Msg, "could not import") && p.Fset.File(e.Pos) == p.Fset.File(c.body.Pos()); lost || within {
			p.at(e.Pos, "%s", strings.TrimSpace(e.Msg))
		}
	}
	return len(p.wrong) > before
}

// embedded looks at what a remote interface embeds: it must be remote too.
func (p *pkg) embedded(c *contract) {
	for _, field := range c.body.Methods.List {
		t := p.TypesInfo.TypeOf(field.Type)
		if len(field.Names) > 0 || t == nil {
			continue
		}
		if n, ok := types.Unalias(t).(*types.Named); ok && p.contract(n.Obj()) != nil {
			continue
		}
		p.at(field.Pos(), "%s embeds %s, which is not marked //rmi:remote; expected only interfaces that are", c.name.Name, short(t, p.Types))
	}
}

// contract gives what a remote interface says in its source; nil if the name is not that of one.
func (p *pkg) contract(name *types.TypeName) *contract {
	if name.Pkg() == nil || name.Parent() != name.Pkg().Scope() {
		return nil
	}
	return p.contracts(name.Pkg())[name.Name()]
}

// semantics are those of the methods that are marked, here or in an interface that is embedded.
func (p *pkg) semantics(name *types.TypeName) map[string]string {
	c := p.contract(name)
	if c == nil {
		return nil
	}
	all := maps.Clone(c.semantics)
	for t := range name.Type().Underlying().(*types.Interface).EmbeddedTypes() {
		if n, ok := types.Unalias(t).(*types.Named); ok {
			maps.Copy(all, p.semantics(n.Obj()))
		}
	}
	return all
}

// method reads a method. What is wrong with one of another package is noted at the interface that embeds it.
func (p *pkg) method(m *types.Func, where token.Pos) method {
	s := m.Signature()
	r := method{name: m.Name()}
	in, out := s.Params(), s.Results()
	if m.Pkg() == p.Types {
		where = m.Pos()
	}
	wrong := func(format string, args ...any) method {
		p.at(where, "%s %s", p.title(m), fmt.Sprintf(format, args...))
		return r
	}
	switch {
	case m.Name() == "Remote":
		return wrong("cannot be the name of a remote method: what calls an object has a field of that name; expected another one")
	case !m.Exported():
		return wrong("is not exported; expected a remote method to be, such as %s", exported(m.Name()))
	case in.Len() == 0 || !isNamed(in.At(0).Type(), "context", "Context"):
		return wrong("takes no context first; expected context.Context, then what the method needs")
	case out.Len() == 0 || !types.Identical(out.At(out.Len()-1).Type(), types.Universe.Lookup("error").Type()):
		return wrong("gives no error last; expected error as its last result: any call from elsewhere can fail")
	case s.Variadic():
		return wrong("takes any number of arguments; expected %s as a slice", short(in.At(in.Len()-1).Type(), p.Types))
	}
	r.args = p.values(m, where, slices.Collect(in.Variables())[1:], "argument")
	r.results = p.values(m, where, slices.Collect(out.Variables())[:out.Len()-1], "result")
	return r
}

// title is a method's name, with that of its interface if that is of another package.
func (p *pkg) title(m *types.Func) string {
	if m.Pkg() == p.Types {
		return m.Name()
	}
	return short(m.Signature().Recv().Type(), p.Types) + "." + m.Name()
}

// isNamed says whether a type is one of another package, maybe by another name.
func isNamed(t types.Type, path, name string) bool {
	n, ok := types.Unalias(t).(*types.Named)
	return ok && n.Obj().Pkg() != nil && n.Obj().Pkg().Path() == path && n.Obj().Name() == name
}

// values reads arguments or results. They travel by their names, so arguments must have some; results without names are
// called result, or result1 and so on. Names that differ in their capitals alone would be one on the wire.
func (p *pkg) values(m *types.Func, where token.Pos, all []*types.Var, what string) (values []value) {
	used := map[string]string{}
	for i, v := range all {
		pos := v.Pos()
		if m.Pkg() != p.Types {
			pos = where
		}
		remote, err := p.crosses(v.Type(), nil)
		name := v.Name()
		switch {
		case name == "_" || name == "" && what == "argument":
			p.at(pos, "%s: %s %d has no name; expected one, since values travel by their names", p.title(m), what, i+1)
			continue
		case name == "" && len(all) == 1:
			name = what
		case name == "":
			name = fmt.Sprint(what, i+1)
		}
		if other := used[strings.ToLower(name)]; other != "" {
			p.at(pos, "%s: the %ss %s and %s have the same name on the wire; expected names that differ in more than capitals", p.title(m), what, other, name)
		}
		used[strings.ToLower(name)] = name
		if err != nil {
			p.at(pos, "%s: the %s %s is of type %s: %v", p.title(m), what, name, short(v.Type(), p.Types), err)
		}
		values = append(values, value{name, v.Type(), remote})
	}
	return values
}
