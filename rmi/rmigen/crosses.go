package main

import (
	"errors"
	"fmt"
	"go/types"
)

// crosses says whether a value of a type can go to another process: as a copy, or, if it is a remote interface, as a
// reference. Seen are the types that it is part of.
func (p *pkg) crosses(t types.Type, seen []types.Type) (remote *types.TypeName, err error) {
	if name := p.remote(t); name != nil {
		if len(seen) > 0 {
			return nil, fmt.Errorf("a reference within a structure must be an rmi.Ref, found %s", name.Name())
		}
		return name, nil
	}
	for _, s := range seen {
		if types.Identical(s, t) {
			return nil, nil // it has been looked at
		}
	}
	if writesItself(t) {
		return nil, nil
	}
	seen = append(seen, t)
	switch u := t.Underlying().(type) {
	case *types.Basic:
		switch {
		case u.Kind() == types.Invalid:
			return nil, errors.New("it is not known")
		case u.Info()&(types.IsBoolean|types.IsInteger|types.IsFloat|types.IsString) == 0, u.Kind() == types.Uintptr:
			return nil, fmt.Errorf("a %s cannot be copied to another process", u)
		}
		return nil, nil
	case *types.Slice:
		return p.part(u.Elem(), seen)
	case *types.Array:
		return p.part(u.Elem(), seen)
	case *types.Pointer:
		return p.part(u.Elem(), seen)
	case *types.Map:
		if _, err := p.part(u.Key(), seen); err != nil {
			return nil, err
		}
		return p.part(u.Elem(), seen)
	case *types.Struct:
		return nil, p.fields(u, seen)
	case *types.Interface:
		return nil, errors.New("an interface that is not marked //rmi:remote cannot go to another process")
	case *types.Chan:
		return nil, errors.New("a channel cannot go to another process")
	case *types.Signature:
		return nil, errors.New("a function cannot go to another process; a remote interface with one method can")
	}
	return nil, errors.New("it cannot go to another process")
}

func (p *pkg) part(t types.Type, seen []types.Type) (*types.TypeName, error) {
	_, err := p.crosses(t, seen)
	return nil, err
}

// fields looks at the fields of a structure. All must be exported: others would silently be left behind.
func (p *pkg) fields(s *types.Struct, seen []types.Type) error {
	for f := range s.Fields() {
		if f.Name() == "_" {
			continue
		}
		if !f.Exported() {
			return fmt.Errorf("its field %s is not exported and would stay behind", f.Name())
		}
		if _, err := p.crosses(f.Type(), seen); err != nil {
			return fmt.Errorf("its field %s: %w", f.Name(), err)
		}
	}
	return nil
}

// writesItself says whether a type has a form of its own for the wire.
func writesItself(t types.Type) bool {
	set := types.NewMethodSet(types.NewPointer(t))
	has := func(name string) bool {
		for i := range set.Len() {
			if set.At(i).Obj().Name() == name {
				return true
			}
		}
		return false
	}
	return t.String() == "time.Time" || has("MarshalCBOR") && has("UnmarshalCBOR") || has("MarshalBinary") && has("UnmarshalBinary")
}

// remote gives the name of a remote interface: one of this package that is marked, or one of another package for which code
// has been written.
func (p *pkg) remote(t types.Type) *types.TypeName {
	n, ok := types.Unalias(t).(*types.Named)
	if !ok || !types.IsInterface(n) {
		return nil
	}
	name := n.Obj()
	if name.Pkg() == p.Types {
		if _, is := p.marked[name]; is {
			return name
		}
		return nil
	}
	if name.Pkg() == nil || name.Pkg().Scope().Lookup(name.Name()+"Remote") == nil {
		return nil
	}
	return name
}
