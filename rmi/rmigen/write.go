package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/build/constraint"
	"go/format"
	"go/types"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

const runtimePath = "ciranda.dev/rmi"

// A writer collects the text of a file.
type writer struct {
	*naming
	text bytes.Buffer
}

// write gives the text of the file for a source file.
func (p *pkg) write(source string, faces []face) []byte {
	w := &writer{naming: newNaming(p, faces)}
	for _, f := range faces {
		w.face(f)
	}
	var all bytes.Buffer
	fmt.Fprintf(&all, "%s from %s. DO NOT EDIT.\n\n", header, filepath.Base(source))
	if c := p.constraint(source); c != "" {
		all.WriteString(c + "\n\n")
	}
	fmt.Fprintf(&all, "package %s\n\nimport (\n", p.Types.Name())
	for _, theirs := range []bool{false, true} { // the standard library first
		for _, at := range slices.Sorted(maps.Keys(w.imports)) {
			if strings.Contains(strings.SplitN(at, "/", 2)[0], ".") != theirs {
				continue
			}
			if name := w.imports[at]; name != path.Base(at) {
				fmt.Fprintf(&all, "\t%s ", name)
			}
			fmt.Fprintf(&all, "\t%q\n", at)
		}
		all.WriteByte('\n')
	}
	fmt.Fprintf(&all, ")\n\n// The runtime must be one that this code fits.\nconst _ = %s.Generated1\n", w.runtime())
	all.Write(w.text.Bytes())
	text, err := format.Source(all.Bytes())
	if err != nil {
		panic(fmt.Sprintf("rmigen: what was written for %s is no Go: %v\n%s", source, err, all.Bytes()))
	}
	return text
}

// constraint is the line that says to which builds a file belongs; "" if there is none.
func (p *pkg) constraint(source string) string {
	i := slices.IndexFunc(p.Syntax, func(f *ast.File) bool { return p.Fset.Position(f.Package).Filename == source })
	for _, group := range p.Syntax[i].Comments {
		for _, line := range group.List {
			if line.Pos() < p.Syntax[i].Package && constraint.IsGoBuild(line.Text) {
				return line.Text
			}
		}
	}
	return ""
}

func (w *writer) printf(format string, args ...any) { fmt.Fprintf(&w.text, format, args...) }

// face writes what belongs to an interface.
func (w *writer) face(f face) {
	name, stub, rmi := f.name.Name, stubOf(f), w.runtime()
	w.printf("\n// %sRemote serves objects as %s, and finds those that others serve.\n", name, name)
	w.printf("var %sRemote = %s.NewInterface(%q, func(r *%s.Remote) %s { return %s{r} })\n", name, rmi, w.pkg.Types.Path()+"."+name, rmi, name, stub)
	w.printf("\n// %s calls an object elsewhere as %s.\ntype %s struct{ *%s.Remote }\n", stub, name, stub, rmi)
	for _, m := range f.methods {
		w.structures(f, m)
		w.serves(f, m)
		w.calls(f, m)
	}
}

// structures writes the form of a method's arguments and results.
func (w *writer) structures(f face, m method) {
	var all []string
	for _, of := range []struct {
		suffix string
		values []value
	}{{"In", m.args}, {"Out", m.results}} {
		if len(of.values) == 0 {
			continue
		}
		var s strings.Builder
		fmt.Fprintf(&s, "%s%s struct {\n", base(f, m), of.suffix)
		for _, v := range of.values {
			fmt.Fprintf(&s, "\t%s %s `cbor:%q`\n", exported(v.name), w.form(v), v.name)
		}
		all = append(all, s.String()+"}\n")
	}
	switch len(all) {
	case 1:
		w.printf("\ntype %s", all[0])
	case 2:
		w.printf("\ntype (\n%s%s)\n", all[0], all[1])
	}
}

// form is the type by which a value travels.
func (w *writer) form(v value) string {
	if v.remote != nil {
		return w.runtime() + ".Ref"
	}
	return w.typ(v.typ)
}

// whole is the type of a method's arguments or results.
func whole(f face, m method, suffix string, values []value) string {
	if len(values) == 0 {
		return "struct{}"
	}
	return base(f, m) + suffix
}

// serves writes the part that calls the object.
func (w *writer) serves(f face, m method) {
	rmi, in, out := w.runtime(), "_", "_"
	if len(m.args) > 0 {
		in = "in"
	}
	if len(m.results) > 0 {
		out = "out"
	}
	w.printf("\nvar %sMethod = %s.NewMethod(%sRemote, %q, %s.%s,\n", base(f, m), rmi, f.name.Name, m.name, rmi, m.semantics)
	w.printf("\tfunc(ctx %s, object %s, %s *%s, %s *%s) (err error) {\n", w.context(), f.name.Name,
		in, whole(f, m, "In", m.args), out, whole(f, m, "Out", m.results))
	args := []string{"ctx"}
	for i, v := range m.args {
		arg := "in." + exported(v.name)
		if v.remote != nil {
			arg = fmt.Sprint("arg", i+1)
			w.printf("\t\t%s, err := %s.Take(ctx, %s.Caller(ctx), in.%s)\n", arg, w.descriptor(v.remote), rmi, exported(v.name))
			w.printf("\t\tif err != nil {\n\t\t\treturn %s.Wrong(%q, err)\n\t\t}\n", rmi, v.name)
		}
		args = append(args, arg)
	}
	w.gives(m, fmt.Sprintf("object.%s(%s)", m.name, strings.Join(args, ", ")))
	w.printf("\t})\n")
}

// gives writes the call of the object, and where its results go.
func (w *writer) gives(m method, call string) {
	if len(m.results) == 0 {
		w.printf("\t\treturn %s\n", call)
		return
	}
	var to []string
	for i, v := range m.results {
		if v.remote == nil {
			to = append(to, "out."+exported(v.name))
			continue
		}
		to = append(to, fmt.Sprint("result", i+1))
		w.printf("\t\tvar result%d %s\n", i+1, w.typ(v.typ))
	}
	w.printf("\t\t%s, err = %s\n", strings.Join(to, ", "), call)
	for i, v := range m.results {
		if v.remote != nil {
			w.printf("\t\tif err == nil {\n\t\t\tout.%s, err = %s.Pass(%s.Caller(ctx), result%d)\n\t\t}\n", exported(v.name), w.descriptor(v.remote), w.runtime(), i+1)
		}
	}
	w.printf("\t\treturn err\n")
}

// calls writes the stub's method.
func (w *writer) calls(f face, m method) {
	args, results := w.locals(m)
	var params, fields, gives []string
	for i, v := range m.args {
		params = append(params, ", "+args[i]+" "+w.typ(v.typ))
		fields = append(fields, args[i])
	}
	give := strings.Join(append(slices.Clone(results), "err"), ", ")
	for i, v := range m.results {
		gives = append(gives, results[i]+" "+w.typ(v.typ))
	}
	gives = append(gives, "err error")
	w.printf("\n// %s calls %s of the object.\n", m.name, m.name)
	w.printf("func (stub %s) %s(ctx %s%s) (%s) {\n", stubOf(f), m.name, w.context(), strings.Join(params, ""), strings.Join(gives, ", "))
	for i, v := range m.args {
		if v.remote != nil {
			fields[i] = fmt.Sprint("ref", i+1)
			w.printf("\t%s, err := %s.Pass(stub.Remote.Peer(), %s)\n\tif err != nil {\n\t\treturn %s\n\t}\n", fields[i], w.descriptor(v.remote), args[i], give)
		}
	}
	invoke := fmt.Sprintf("%sMethod.Invoke(ctx, stub.Remote, &%s{%s})", base(f, m), whole(f, m, "In", m.args), strings.Join(fields, ", "))
	w.takes(m, invoke, results)
}

// takes writes the invocation, and what becomes of its results.
func (w *writer) takes(m method, invoke string, results []string) {
	if len(m.results) == 0 {
		w.printf("\t_, err = %s\n\treturn err\n}\n", invoke)
		return
	}
	w.printf("\tout, err := %s\n", invoke)
	var give []string
	for i, v := range m.results {
		if v.remote == nil {
			give = append(give, "out."+exported(v.name))
			continue
		}
		give = append(give, results[i])
		w.printf("\tif err == nil {\n\t\t%s, err = %s.Take(ctx, stub.Remote.Peer(), out.%s)\n\t}\n", results[i], w.descriptor(v.remote), exported(v.name))
	}
	w.printf("\treturn %s, err\n}\n", strings.Join(give, ", "))
}

// descriptor is the variable of a remote interface.
func (w *writer) descriptor(name *types.TypeName) string {
	if of := w.importOf(name.Pkg()); of != "" {
		return of + "." + name.Name() + "Remote"
	}
	return name.Name() + "Remote"
}
