package wire

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
)

// A mapping is a map's coders.
type mapping struct {
	t          reflect.Type
	key, value *coder
	slot       int // bytes of memory for a pair
}

func (c *Codec) maps(t reflect.Type) (coder, error) {
	if !ordered(t.Key()) {
		return coder{}, fmt.Errorf(": keys of type %s have no order on the wire", t.Key())
	}
	key, err := c.compile(t.Key())
	if err != nil {
		return coder{}, err
	}
	value, err := c.compile(t.Elem())
	m := &mapping{t, key, value, int(t.Key().Size() + t.Elem().Size())}
	return coder{m.encode, m.decode}, err
}

// ordered says whether equal keys, and only they, have equal encodings.
func ordered(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Float32, reflect.Float64, reflect.Interface:
		return false
	case reflect.Array:
		return ordered(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if !ordered(t.Field(i).Type) {
				return false
			}
		}
	}
	return true
}

// memory is about what a map of n pairs takes: Go's maps have groups of eight, at most 7/8 full, and double.
func (m *mapping) memory(n int) int {
	if n <= 8 {
		return 64 + 8*m.slot
	}
	return 64 + 4*n*m.slot
}

func (m *mapping) encode(e *encoder, v reflect.Value) error {
	e.b = appendHead(e.b, pairs, uint64(v.Len()))
	if v.Len() == 0 {
		return nil
	}
	if err := e.enter(m.memory(v.Len())); err != nil {
		return err
	}
	defer e.leave()
	type pair struct {
		key   []byte
		value reflect.Value
	}
	sorted := make([]pair, 0, v.Len())
	for it := v.MapRange(); it.Next(); {
		k := encoder{depth: e.depth}
		if err := m.key.encode(&k, it.Key()); err != nil {
			return fmt.Errorf("[key]%w", err)
		}
		e.memory += k.memory
		sorted = append(sorted, pair{k.b, it.Value()})
	}
	slices.SortFunc(sorted, func(a, b pair) int { return bytes.Compare(a.key, b.key) })
	for i, p := range sorted {
		e.b = append(e.b, p.key...)
		if err := m.value.encode(e, p.value); err != nil {
			return fmt.Errorf("[%d]%w", i, err)
		}
	}
	return nil
}

func (m *mapping) decode(d *decoder, v reflect.Value) error {
	n, err := d.count(pairs, 2)
	if err != nil || n == 0 {
		return err
	}
	if err := d.enter(m.memory(n)); err != nil {
		return err
	}
	defer d.leave()
	v.Set(reflect.MakeMapWithSize(m.t, n))
	key, value := reflect.New(m.t.Key()).Elem(), reflect.New(m.t.Elem()).Elem()
	var last []byte
	for i := range n {
		at := d.at
		key.SetZero()
		value.SetZero()
		if err := m.key.decode(d, key); err != nil {
			return fmt.Errorf("[key %d]%w", i, err)
		}
		if i > 0 && bytes.Compare(last, d.b[at:d.at]) >= 0 {
			return d.fault("a key that is not above the one before", "ascending keys")
		}
		last = d.b[at:d.at]
		if err := m.value.decode(d, value); err != nil {
			return fmt.Errorf("[%d]%w", i, err)
		}
		v.SetMapIndex(key, value)
	}
	return nil
}
