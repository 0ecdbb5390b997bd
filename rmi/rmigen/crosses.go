package main

import (
	"errors"
	"fmt"
	"go/token"
	"go/types"
)

// mostDeep ends the search in types that are never the same again, such as type T[A any] []T[[]A], which do not compile.
const mostDeep = 64

var errDeep = fmt.Errorf("found more than %d types within each other; expected fewer", mostDeep)

// crosses says whether a value of a type can go to another process: as a copy, or, if it is a remote interface, as a
// reference. Outer are the types that it is part of. What it lets pass package rmi must take too, since that looks again when
// a program begins.
func (p *pkg) crosses(t types.Type, outer []types.Type) (remote *types.TypeName, err error) {
	if name := p.remote(t); name != nil {
		if len(outer) > 0 {
			return nil, fmt.Errorf("found a reference to a %s within it; expected one as an argument or a result of its own only", short(t, p.Types))
		}
		return name, nil
	}
	for _, o := range outer {
		if types.Identical(o, t) {
			return nil, nil // it contains itself, and is being looked at
		}
	}
	if isNamed(t, runtimePath, "Ref") {
		return nil, nil
	}
	if itself, err := writesItself(t); itself || err != nil {
		return nil, err
	}
	if len(outer) >= mostDeep {
		return nil, errDeep
	}
	return nil, p.parts(t, append(outer, t))
}

// parts looks at what a type consists of.
func (p *pkg) parts(t types.Type, outer []types.Type) error {
	switch u := t.Underlying().(type) {
	case *types.Basic:
		return basic(u)
	case *types.Slice:
		return p.part(u.Elem(), outer)
	case *types.Array:
		return p.part(u.Elem(), outer)
	case *types.Pointer:
		return p.part(u.Elem(), outer)
	case *types.Map:
		if err := key(u.Key()); err != nil {
			return err
		}
		return p.part(u.Elem(), outer)
	case *types.Struct:
		return p.fields(u, outer)
	case *types.Interface:
		if types.Identical(t, types.Universe.Lookup("error").Type()) {
			return errors.New("an error cannot go to another process so; expected it as the last result, or a text")
		}
		return fmt.Errorf("%s is an interface that is not remote; expected a type that says what it holds, or an interface marked //rmi:remote", short(t, p.Types))
	case *types.Chan:
		return errors.New("a channel cannot go to another process; expected a remote interface that the other side calls")
	case *types.Signature:
		return errors.New("a function cannot go to another process; expected a remote interface with a method")
	}
	return fmt.Errorf("a %s cannot go to another process", t)
}

func (p *pkg) part(t types.Type, outer []types.Type) error {
	_, err := p.crosses(t, outer)
	return err
}

func basic(b *types.Basic) error {
	switch {
	case b.Kind() == types.Invalid:
		return errors.New("the type is not known; the compiler says why")
	case b.Kind() == types.Uintptr || b.Info()&(types.IsBoolean|types.IsInteger|types.IsFloat|types.IsString) == 0:
		return fmt.Errorf("a %s cannot go to another process; expected booleans, numbers, strings, or what consists of them", b)
	}
	return nil
}

// key says whether a type can be that of a map's keys. Numbers and strings have one form each, so that a key that is found here
// is found there.
func key(t types.Type) error {
	if itself, err := writesItself(t); itself || err != nil {
		return err
	}
	if b, ok := t.Underlying().(*types.Basic); ok && b.Kind() != types.Invalid && b.Info()&(types.IsInteger|types.IsString) != 0 && b.Kind() != types.Uintptr {
		return nil
	}
	return fmt.Errorf("found a map with keys of type %s; expected integers, strings, or a type that writes itself", t)
}

// fields looks at the fields of a structure. All must be exported: others would silently be left behind.
func (p *pkg) fields(s *types.Struct, outer []types.Type) error {
	for f := range s.Fields() {
		if f.Name() == "_" {
			continue
		}
		if !f.Exported() {
			return fmt.Errorf("its field %s is not exported and would stay behind; expected exported fields, or MarshalBinary and UnmarshalBinary", f.Name())
		}
		if err := p.part(f.Type(), outer); err == errDeep {
			return err
		} else if err != nil {
			return fmt.Errorf("its field %s: %w", f.Name(), err)
		}
	}
	return nil
}

// forms are the methods by which a type has a form of its own for the wire.
var forms = [][2]*types.Func{
	{signature("MarshalCBOR", nil, bytesAndError), signature("UnmarshalCBOR", bytesOnly, errorOnly)},
	{signature("MarshalBinary", nil, bytesAndError), signature("UnmarshalBinary", bytesOnly, errorOnly)},
}

var (
	bytesOnly     = []types.Type{types.NewSlice(types.Typ[types.Byte])}
	errorOnly     = []types.Type{types.Universe.Lookup("error").Type()}
	bytesAndError = []types.Type{bytesOnly[0], errorOnly[0]}
)

func signature(name string, in, out []types.Type) *types.Func {
	tuple := func(all []types.Type) *types.Tuple {
		vars := make([]*types.Var, len(all))
		for i, t := range all {
			vars[i] = types.NewParam(token.NoPos, nil, "", t)
		}
		return types.NewTuple(vars...)
	}
	return types.NewFunc(token.NoPos, nil, name, types.NewSignatureType(nil, nil, nil, tuple(in), tuple(out), false))
}

// writesItself says whether a type has a form of its own for the wire. A structure that has it from a field that it embeds
// would leave its other fields behind, as one does that embeds a time.Time.
func writesItself(t types.Type) (bool, error) {
	if types.IsInterface(t) {
		return false, nil
	}
	for _, form := range forms {
		var from *types.Var
		both := true
		for _, f := range form {
			found, index, _ := types.LookupFieldOrMethod(types.NewPointer(t), false, nil, f.Name())
			m, ok := found.(*types.Func)
			if both = both && ok && types.Identical(m.Type(), f.Type()); both && len(index) > 1 {
				from = t.Underlying().(*types.Struct).Field(index[0])
			}
		}
		if both && from != nil && t.Underlying().(*types.Struct).NumFields() > 1 {
			return false, fmt.Errorf("it has %s from its field %s, which would leave its other fields behind; expected a field with a name of its own", form[0].Name(), from.Name())
		}
		if both {
			return true, nil
		}
	}
	return false, nil
}

// remote gives the name of a remote interface: one that is marked, or one with a descriptor written by hand.
func (p *pkg) remote(t types.Type) *types.TypeName {
	n, ok := types.Unalias(t).(*types.Named)
	if !ok || !types.IsInterface(n) || n.Obj().Pkg() == nil {
		return nil
	}
	name := n.Obj()
	if p.contract(name) != nil {
		return name
	}
	v, ok := name.Pkg().Scope().Lookup(name.Name() + "Remote").(*types.Var)
	if !ok {
		return nil
	}
	if d, ok := types.Unalias(v.Type()).(*types.Pointer); ok && isNamed(d.Elem(), runtimePath, "Interface") {
		return name
	}
	return nil
}
