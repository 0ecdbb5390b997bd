package main

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// A contract is an interface that is marked //rmi:remote, as its source says it.
type contract struct {
	name      *ast.Ident
	body      *ast.InterfaceType
	semantics map[string]string // of the methods that have a mark: the name in package rmi
}

// marks are what a file says in comments such as //rmi:remote.
type marks struct {
	contracts []*contract
	wrong     map[token.Pos]string // by place
}

// semanticsOf are the marks of methods.
var semanticsOf = map[string]string{"idempotent": "AtLeastOnce", "maybe": "Maybe"}

// marksOf finds the marks in a file, and those that stand where they mean nothing.
func marksOf(f *ast.File) *marks {
	m := &marks{wrong: map[token.Pos]string{}}
	for _, group := range f.Comments {
		for _, d := range directives(group) {
			m.wrong[d.pos] = misplaced(d.text) // until it is found to mark something
		}
		for _, line := range group.List {
			if text := blurred(line.Text); text != "" {
				m.wrong[line.Pos()] = text
			}
		}
	}
	for _, d := range f.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.TYPE {
			for _, s := range g.Specs {
				m.spec(g, s.(*ast.TypeSpec))
			}
		}
	}
	return m
}

func misplaced(text string) string {
	if text == "remote" || semanticsOf[text] != "" {
		return "found //rmi:" + text + " where it marks nothing; expected " + expected(text)
	}
	return "found //rmi:" + text + "; expected //rmi:remote above an interface, or //rmi:idempotent or //rmi:maybe at a method of one"
}

func expected(text string) string {
	if text == "remote" {
		return "it in the comment above an interface type"
	}
	return "it at a method of an interface that is marked //rmi:remote"
}

// spec looks at a type.
func (m *marks) spec(g *ast.GenDecl, t *ast.TypeSpec) {
	found := slices.Concat(directives(t.Doc), directives(t.Comment))
	if !g.Lparen.IsValid() {
		found = append(found, directives(g.Doc)...)
	}
	found = slices.DeleteFunc(found, func(d directive) bool { return d.text != "remote" })
	if len(found) == 0 {
		return
	}
	for _, d := range found[1:] {
		m.wrong[d.pos] = "found //rmi:remote twice; expected it once"
	}
	body, is := t.Type.(*ast.InterfaceType)
	switch at := found[0].pos; {
	case !is:
		m.wrong[at] = t.Name.Name + " is no interface; expected //rmi:remote above the interface that it implements"
	case t.TypeParams != nil:
		m.wrong[at] = t.Name.Name + " has type parameters; expected none in a remote interface"
	default:
		delete(m.wrong, at)
		c := &contract{t.Name, body, map[string]string{}}
		m.methods(c)
		m.contracts = append(m.contracts, c)
	}
}

// methods looks at the methods of a contract.
func (m *marks) methods(c *contract) {
	for _, field := range c.body.Methods.List {
		for _, d := range slices.Concat(directives(field.Doc), directives(field.Comment)) {
			switch s := semanticsOf[d.text]; {
			case s == "":
				m.wrong[d.pos] = "found //rmi:" + d.text + " at a method; expected //rmi:idempotent or //rmi:maybe"
			case len(field.Names) == 0:
				m.wrong[d.pos] = "found //rmi:" + d.text + " at an embedded interface; expected it at methods only"
			case c.semantics[field.Names[0].Name] != "":
				m.wrong[d.pos] = "found a second mark at " + field.Names[0].Name + "; expected one of //rmi:idempotent and //rmi:maybe"
			default:
				delete(m.wrong, d.pos)
				c.semantics[field.Names[0].Name] = s
			}
		}
	}
}

// A directive is a comment such as //rmi:remote.
type directive struct {
	text string
	pos  token.Pos
}

// directives are those of a comment.
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

// blurred says what is wrong with a comment that is nearly a mark: it has a space in it, or other letters. "" if it is none.
func blurred(comment string) string {
	text := strings.ToLower(strings.Join(strings.Fields(comment), ""))
	name, is := strings.CutPrefix(text, "//rmi:")
	if is && !strings.HasPrefix(comment, "//rmi:") && (name == "remote" || semanticsOf[name] != "") {
		return "found " + comment + "; expected //rmi:" + name
	}
	return ""
}
