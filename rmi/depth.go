package rmi

import (
	"fmt"
	"reflect"
	"sync"
)

// shallow refuses values that are nested too deep, before they are encoded: one that contains itself has no end. Only types
// that may contain themselves are looked at.
func shallow(v reflect.Value) error {
	for v.Kind() == reflect.Pointer && !v.IsNil() && v.Elem().Kind() == reflect.Struct {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct || !recursive(v.Type()) {
		return nil
	}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.IsExported() && recursive(f.Type) && tooDeep(v.Field(i), MaxDepth, 4*MaxDepth) {
			return &Error{Kind: BadArgument, Happened: No,
				Text: fmt.Sprintf("%s: found more than %d levels of nesting; expected at most that, and nothing that contains itself", wireName(f), MaxDepth)}
		}
	}
	return nil
}

// tooDeep says whether a value has more levels, or more steps through pointers.
func tooDeep(v reflect.Value, levels, steps int) bool {
	if levels < 0 || steps < 0 {
		return true
	}
	switch v.Kind() {
	case reflect.Pointer:
		return !v.IsNil() && tooDeep(v.Elem(), levels, steps-1)
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if tooDeep(v.Index(i), levels-1, steps-1) {
				return true
			}
		}
	case reflect.Map:
		for i := v.MapRange(); i.Next(); {
			if tooDeep(i.Value(), levels-1, steps-1) {
				return true
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if recursive(v.Field(i).Type()) && tooDeep(v.Field(i), levels-1, steps-1) {
				return true
			}
		}
	}
	return false
}

// recursives are the types that were looked at, and whether they may contain themselves.
var recursives sync.Map

func recursive(t reflect.Type) bool {
	if known, ok := recursives.Load(t); ok {
		return known.(bool)
	}
	is := contains(t, nil)
	recursives.Store(t, is)
	return is
}

// contains says whether a type leads to one that it is part of, or that is part of itself.
func contains(t reflect.Type, outer []reflect.Type) bool {
	for _, o := range outer {
		if o == t {
			return true
		}
	}
	outer = append(outer, t)
	switch t.Kind() {
	case reflect.Slice, reflect.Array, reflect.Pointer, reflect.Map:
		return contains(t.Elem(), outer)
	case reflect.Struct:
		if t == timeType {
			return false
		}
		for f := range t.Fields() {
			if contains(f.Type, outer) {
				return true
			}
		}
	}
	return false
}
