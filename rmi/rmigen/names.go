package main

import (
	"go/types"
	"slices"
	"strings"
	"unicode"
)

// stubOf is the name of the type that calls objects.
func stubOf(f face) string { return lower(f.name.Name) + "Stub" }

// base is how the names of what belongs to a method begin.
func base(f face, m method) string { return lower(f.name.Name) + m.name }

// names notes the names that the written code declares in the package, and that they are free.
func (p *pkg) names(faces []face) {
	for _, f := range faces {
		all := []string{f.name.Name + "Remote", stubOf(f)}
		for _, m := range f.methods {
			all = append(all, base(f, m)+"Method")
			if len(m.args) > 0 {
				all = append(all, base(f, m)+"In")
			}
			if len(m.results) > 0 {
				all = append(all, base(f, m)+"Out")
			}
		}
		for _, name := range all {
			if other := p.Types.Scope().Lookup(name); other != nil {
				p.at(other.Pos(), "%s is declared here; expected the name to be free for the code of %s", name, f.name.Name)
			} else if p.given[name] {
				p.at(f.name.Pos(), "the code of %s and that of another remote interface both need the name %s; expected interfaces or methods with other names", f.name.Name, name)
			}
			p.given[name] = true
		}
	}
}

// A naming gives names in a file that do not hide each other.
type naming struct {
	pkg     *pkg
	imports map[string]string // by path: the name of a package
}

// newNaming finds names for the packages that a file needs.
func newNaming(p *pkg, faces []face) *naming {
	n := &naming{p, map[string]string{}}
	n.importAs("context", "context")
	n.importAs(runtimePath, "rmi")
	for _, f := range faces {
		for _, m := range f.methods {
			for _, v := range slices.Concat(m.args, m.results) {
				n.typ(v.typ)
				if v.remote != nil {
					n.importOf(v.remote.Pkg())
				}
			}
		}
	}
	return n
}

func (n *naming) runtime() string { return n.imports[runtimePath] }
func (n *naming) context() string { return n.imports["context"] + ".Context" }

// typ gives a type as it is written in the file.
func (n *naming) typ(t types.Type) string { return types.TypeString(t, n.importOf) }

// importOf is the name of another package; "" for the package of the file.
func (n *naming) importOf(other *types.Package) string {
	if other == n.pkg.Types {
		return ""
	}
	return n.importAs(other.Path(), other.Name())
}

// importAs gives a package a name, if it has none yet: its own if that is free.
func (n *naming) importAs(path, name string) string {
	if given, ok := n.imports[path]; ok {
		return given
	}
	for n.taken(name) || numbered(name, "result") || n.pkg.Types.Scope().Lookup(name) != nil {
		name += "_"
	}
	n.imports[path] = name
	return name
}

// inside are names that the written functions use for their own. Beside them there are arg1, ref1, result1 and so on.
var inside = map[string]bool{"ctx": true, "object": true, "in": true, "out": true, "err": true, "stub": true, "nil": true}

// taken says whether a name means something in the written functions.
func (n *naming) taken(name string) bool {
	if inside[name] || n.pkg.given[name] || numbered(name, "arg") || numbered(name, "ref") {
		return true
	}
	for _, other := range n.imports {
		if other == name {
			return true
		}
	}
	return false
}

// numbered says whether a name is such as arg1.
func numbered(name, prefix string) bool {
	rest, ok := strings.CutPrefix(name, prefix)
	return ok && rest != "" && strings.Trim(rest, "0123456789") == ""
}

// locals are the names of a method's arguments and results as variables.
func (n *naming) locals(m method) (args, results []string) {
	used := map[string]bool{}
	free := func(name string) string {
		for n.taken(name) || used[name] || types.Universe.Lookup(name) != nil {
			name += "_"
		}
		used[name] = true
		return name
	}
	for _, v := range m.args {
		args = append(args, free(v.name))
	}
	for _, v := range m.results {
		results = append(results, free(v.name))
	}
	return args, results
}

// exported is a name with a capital at its beginning.
func exported(name string) string {
	r := []rune(name)
	if r[0] = unicode.ToUpper(r[0]); !unicode.IsUpper(r[0]) { // such as _x or a letter without capitals
		return "X" + string(r)
	}
	return string(r)
}

// lower is a name with small letters at its beginning: "account" of Account, "urlCache" of URLCache.
func lower(name string) string {
	r := []rune(name)
	for i := range r {
		if i > 0 && i+1 < len(r) && !unicode.IsUpper(r[i+1]) || !unicode.IsUpper(r[i]) {
			break
		}
		r[i] = unicode.ToLower(r[i])
	}
	return string(r)
}

// short is a type for people.
func short(t types.Type, here *types.Package) string {
	return types.TypeString(t, func(other *types.Package) string {
		if other == here {
			return ""
		}
		return other.Name()
	})
}
