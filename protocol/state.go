package protocol

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"unsafe"
)

// A field that is shared between clones and no part of the state is tagged so.
const constTag = "const"

// Clone copies the stack: layers with all their fields but those tagged `layer:"const"`, which are shared.
func (s *Stack) Clone() *Stack {
	layers := make([]Layer, len(s.layers))
	for i, l := range s.layers {
		from := reflect.ValueOf(l).Elem()
		to := reflect.New(from.Type())
		copyValue(to.Elem(), from)
		layers[i] = to.Interface().(Layer)
	}
	return assemble(s.self, layers)
}

// AppendState appends a canonical encoding of the state of all layers: equal states have equal encodings, and
// different ones different. It is a key, and no format to be read back.
func (s *Stack) AppendState(b []byte) []byte {
	for _, l := range s.layers {
		b = appendValue(b, reflect.ValueOf(l).Elem())
	}
	return b
}

// CloneOf copies a value as Clone copies layers: deeply, but for fields tagged `layer:"const"`. It is for automata that
// run beside stacks, such as checks.
func CloneOf[T any](v T) T {
	var c T
	copyValue(reflect.ValueOf(&c).Elem(), reflect.ValueOf(&v).Elem())
	return c
}

// AppendKey appends a canonical encoding of a value, as AppendState does for layers.
func AppendKey(b []byte, v any) []byte { return appendValue(b, reflect.ValueOf(v)) }

// checkState says whether values of a type can be cloned and encoded.
func checkState(t reflect.Type) error { return checkType(t, "", map[reflect.Type]bool{}) }

func checkType(t reflect.Type, path string, seen map[reflect.Type]bool) error {
	if seen[t] {
		return nil
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Chan, reflect.Func, reflect.UnsafePointer, reflect.Uintptr, reflect.Complex64, reflect.Complex128:
		return fmt.Errorf("field %s is a %s, which cannot be cloned; tag it `layer:\"const\"` if it is never written", path, t)
	case reflect.Slice, reflect.Array, reflect.Pointer:
		return checkType(t.Elem(), path, seen)
	case reflect.Map:
		if k := t.Key().Kind(); k == reflect.Interface || k == reflect.Pointer || k == reflect.Struct && hasPointers(t.Key()) {
			return fmt.Errorf("field %s has keys of type %s, which have no order", path, t.Key())
		}
		return checkType(t.Elem(), path, seen)
	case reflect.Struct:
		for f := range fields(t) {
			if err := checkType(f.Type, path+"."+f.Name, seen); err != nil {
				return err
			}
		}
	}
	return nil
}

func hasPointers(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Slice, reflect.Map:
		return true
	case reflect.Struct:
		for i := range t.NumField() {
			if hasPointers(t.Field(i).Type) {
				return true
			}
		}
	}
	return false
}

// checkMessage says whether a type may be a message: a struct of plain values, with no interface but inside a Packet.
func checkMessage(t reflect.Type) error {
	if t == nil || t.Kind() != reflect.Struct {
		return errors.New("is not a plain struct")
	}
	return checkPlain(t, "", map[reflect.Type]bool{})
}

func checkPlain(t reflect.Type, path string, seen map[reflect.Type]bool) error {
	if t == reflect.TypeFor[Packet]() || seen[t] {
		return nil
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Interface, reflect.Pointer, reflect.Chan, reflect.Func, reflect.UnsafePointer, reflect.Uintptr, reflect.Complex64, reflect.Complex128:
		return fmt.Errorf("field %s is a %s, and messages are plain values", path, t)
	case reflect.Slice, reflect.Array:
		return checkPlain(t.Elem(), path, seen)
	case reflect.Map:
		if err := checkPlain(t.Key(), path, seen); err != nil {
			return err
		}
		return checkPlain(t.Elem(), path, seen)
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			if !f.IsExported() {
				return fmt.Errorf("field %s.%s is not exported, so it would not travel", path, f.Name)
			}
			if err := checkPlain(f.Type, path+"."+f.Name, seen); err != nil {
				return err
			}
		}
	}
	return nil
}

// fields are those of a struct that are state.
func fields(t reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			f := t.Field(i)
			if f.Tag.Get("layer") != constTag && !yield(f) {
				return
			}
		}
	}
}

// writable gives a field of an addressable struct as a value that may be set, exported or not.
func writable(v reflect.Value) reflect.Value {
	if v.CanSet() || !v.CanAddr() {
		return v
	}
	return reflect.NewAt(v.Type(), unsafe.Pointer(v.UnsafeAddr())).Elem()
}

func copyValue(to, from reflect.Value) {
	switch from.Kind() {
	case reflect.Pointer:
		if !from.IsNil() {
			p := reflect.New(from.Type().Elem())
			copyValue(p.Elem(), from.Elem())
			to.Set(p)
		}
	case reflect.Slice:
		if !from.IsNil() {
			s := reflect.MakeSlice(from.Type(), from.Len(), from.Len())
			if plain(from.Type().Elem()) {
				reflect.Copy(s, from)
			} else {
				for i := range from.Len() {
					copyValue(s.Index(i), from.Index(i))
				}
			}
			to.Set(s)
		}
	case reflect.Array:
		if plain(from.Type()) {
			to.Set(from)
			return
		}
		for i := range from.Len() {
			copyValue(to.Index(i), from.Index(i))
		}
	case reflect.Map:
		if !from.IsNil() {
			m := reflect.MakeMapWithSize(from.Type(), from.Len())
			for it := from.MapRange(); it.Next(); {
				e := reflect.New(from.Type().Elem()).Elem()
				copyValue(e, addressable(it.Value()))
				m.SetMapIndex(it.Key(), e)
			}
			to.Set(m)
		}
	case reflect.Struct:
		for i := range from.NumField() {
			if from.Type().Field(i).Tag.Get("layer") == constTag {
				writable(to.Field(i)).Set(writable(from.Field(i)))
			} else {
				copyValue(writable(to.Field(i)), writable(from.Field(i)))
			}
		}
	case reflect.Interface:
		if !from.IsNil() {
			e := reflect.New(from.Elem().Type()).Elem()
			copyValue(e, addressable(from.Elem()))
			to.Set(e)
		}
	default:
		to.Set(from)
	}
}

// plain says that an assignment copies a value of the type whole: nothing in it is shared.
func plain(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface, reflect.Chan, reflect.Func, reflect.UnsafePointer:
		return false
	case reflect.Array:
		return plain(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if !plain(t.Field(i).Type) {
				return false
			}
		}
	}
	return true
}

// addressable copies a value shallowly to a place from which unexported fields can be read.
func addressable(v reflect.Value) reflect.Value {
	if v.CanAddr() {
		return v
	}
	a := reflect.New(v.Type()).Elem()
	a.Set(v)
	return a
}

func appendValue(b []byte, v reflect.Value) []byte {
	switch v.Kind() {
	case reflect.Bool:
		if v.Bool() {
			return append(b, 1)
		}
		return append(b, 0)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return binary.AppendVarint(b, v.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return binary.AppendUvarint(b, v.Uint())
	case reflect.Float32, reflect.Float64:
		return binary.BigEndian.AppendUint64(b, math.Float64bits(v.Float()))
	case reflect.String:
		return append(binary.AppendUvarint(b, uint64(v.Len())), v.String()...)
	case reflect.Pointer:
		if v.IsNil() {
			return append(b, 0)
		}
		return appendValue(append(b, 1), v.Elem())
	case reflect.Interface:
		if v.IsNil() {
			return append(b, 0)
		}
		name := v.Elem().Type().String()
		b = append(binary.AppendUvarint(append(b, 1), uint64(len(name))), name...)
		return appendValue(b, v.Elem())
	case reflect.Slice:
		if v.IsNil() {
			return append(b, 0) // as an empty one: handlers do not tell them apart
		}
		fallthrough
	case reflect.Array:
		b = binary.AppendUvarint(b, uint64(v.Len()))
		if v.Type().Elem().Kind() == reflect.Uint8 && (v.Kind() == reflect.Slice || v.CanAddr()) {
			return append(b, v.Bytes()...)
		}
		for i := range v.Len() {
			b = appendValue(b, v.Index(i))
		}
		return b
	case reflect.Map:
		return appendMap(b, v)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Tag.Get("layer") != constTag {
				b = appendValue(b, v.Field(i))
			}
		}
		return b
	default:
		panic(fmt.Sprintf("protocol: a %s has no state key", v.Type()))
	}
}

// appendMap encodes the entries in the order of their encoded keys.
func appendMap(b []byte, v reflect.Value) []byte {
	entries := make([][]byte, 0, v.Len())
	for it := v.MapRange(); it.Next(); {
		entries = append(entries, appendValue(appendValue(nil, it.Key()), it.Value()))
	}
	slices.SortFunc(entries, slices.Compare)
	b = binary.AppendUvarint(b, uint64(len(entries)))
	for _, e := range entries {
		b = append(b, e...)
	}
	return b
}
