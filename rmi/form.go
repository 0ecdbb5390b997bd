package rmi

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// fields describe a structure of arguments or results.
func fields(t reflect.Type) []Field {
	all := []Field{}
	for f := range t.Fields() {
		if f.IsExported() {
			all = append(all, Field{wireName(f), words(f.Type, nil)})
		}
	}
	return all
}

// wireName is how a field is called on the wire.
func wireName(f reflect.StructField) string {
	if name, _, _ := strings.Cut(f.Tag.Get("cbor"), ","); name != "" {
		return name
	}
	return f.Name
}

var (
	refType  = reflect.TypeFor[Ref]()
	timeType = reflect.TypeFor[time.Time]()
)

// words describe a type. Outer are the structures that it is part of.
func words(t reflect.Type, outer []reflect.Type) string {
	switch {
	case t == refType:
		return "reference"
	case t == timeType:
		return "time"
	case writesItself(t):
		return t.String()
	}
	switch t.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return t.Kind().String()
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return "bytes"
		}
		return "[]" + words(t.Elem(), outer)
	case reflect.Pointer:
		return "*" + words(t.Elem(), outer)
	case reflect.Map:
		return "map[" + words(t.Key(), outer) + "]" + words(t.Elem(), outer)
	case reflect.Struct:
		return structure(t, outer)
	}
	return t.Kind().String()
}

func structure(t reflect.Type, outer []reflect.Type) string {
	for _, o := range outer {
		if o == t {
			return t.Name() // it contains itself
		}
	}
	var parts []string
	for f := range t.Fields() {
		if f.IsExported() {
			parts = append(parts, wireName(f)+" "+words(f.Type, append(outer, t)))
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

var (
	marshalers = []reflect.Type{reflect.TypeFor[cbor.Marshaler](), reflect.TypeFor[encoding.BinaryMarshaler]()}
	unmarshals = []reflect.Type{reflect.TypeFor[cbor.Unmarshaler](), reflect.TypeFor[encoding.BinaryUnmarshaler]()}
)

// writesItself says whether a type has a form of its own for the wire.
func writesItself(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	for i := range marshalers {
		if p.Implements(marshalers[i]) && p.Implements(unmarshals[i]) {
			return true
		}
	}
	return false
}

// crosses says why a structure cannot go to another process, if it cannot. The generator finds the same in the source.
func crosses(t reflect.Type) error {
	if t.Kind() != reflect.Struct {
		return fmt.Errorf("%s is no structure", t)
	}
	return part(t, map[reflect.Type]bool{})
}

func part(t reflect.Type, seen map[reflect.Type]bool) error {
	if seen[t] || t == refType || t == timeType || writesItself(t) {
		return nil
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Chan, reflect.Func, reflect.Interface, reflect.UnsafePointer, reflect.Uintptr, reflect.Complex64, reflect.Complex128:
		return fmt.Errorf("a %s cannot go to another process", t)
	case reflect.Slice, reflect.Array, reflect.Pointer:
		return part(t.Elem(), seen)
	case reflect.Map:
		return errors.Join(part(t.Key(), seen), part(t.Elem(), seen))
	case reflect.Struct:
		for f := range t.Fields() {
			if f.Name == "_" {
				continue
			}
			if !f.IsExported() {
				return fmt.Errorf("the field %s of %s is not exported and would stay behind", f.Name, t)
			}
			if err := part(f.Type, seen); err != nil {
				return fmt.Errorf("the field %s: %w", wireName(f), err)
			}
		}
	}
	return nil
}
