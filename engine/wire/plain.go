package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"unicode/utf8"
	"unsafe"
)

func encodeBool(e *encoder, v reflect.Value) error {
	if v.Bool() {
		e.b = append(e.b, yes)
	} else {
		e.b = append(e.b, no)
	}
	return nil
}

func decodeBool(d *decoder, v reflect.Value) error {
	if d.at >= len(d.b) || d.b[d.at] != yes && d.b[d.at] != no {
		return d.fault(d.found(), "true or false")
	}
	v.SetBool(d.b[d.at] == yes)
	d.at++
	return nil
}

func encodeInt(e *encoder, v reflect.Value) error {
	if n := v.Int(); n < 0 {
		e.b = appendHead(e.b, negative, uint64(^n))
	} else {
		e.b = appendHead(e.b, unsigned, uint64(n))
	}
	return nil
}

func decodeInt(d *decoder, v reflect.Value) error {
	at, major := d.at, unsigned
	if d.peek() == negative {
		major = negative
	}
	u, err := d.head(major)
	if err != nil {
		return err
	}
	n := int64(u)
	if major == negative {
		n = ^n
	}
	if u > math.MaxInt64 || v.OverflowInt(n) {
		d.at = at
		return d.fault("a number out of range", "one of type "+v.Kind().String())
	}
	v.SetInt(n)
	return nil
}

func encodeUint(e *encoder, v reflect.Value) error {
	e.b = appendHead(e.b, unsigned, v.Uint())
	return nil
}

func decodeUint(d *decoder, v reflect.Value) error {
	at := d.at
	n, err := d.head(unsigned)
	if err != nil {
		return err
	}
	if v.OverflowUint(n) {
		d.at = at
		return d.fault(fmt.Sprint(n), "one of type "+v.Kind().String())
	}
	v.SetUint(n)
	return nil
}

// There is one not-a-number, as RFC 8949 has it.
const (
	nan32 = 0x7fc00000
	nan64 = 0x7ff8000000000000
)

func encodeFloat32(e *encoder, v reflect.Value) error {
	bits := uint32(nan32)
	if f := v.Float(); f == f {
		bits = math.Float32bits(float32(f))
	}
	e.b = binary.BigEndian.AppendUint32(append(e.b, float32Item), bits)
	return nil
}

func decodeFloat32(d *decoder, v reflect.Value) error {
	if d.at+5 > len(d.b) || d.b[d.at] != float32Item {
		return d.fault(d.found(), "a number of 32 bits with a point")
	}
	bits := binary.BigEndian.Uint32(d.b[d.at+1:])
	f := math.Float32frombits(bits)
	if f != f && bits != nan32 {
		return d.fault("another not-a-number", "the usual one")
	}
	d.at += 5
	v.SetFloat(float64(f))
	return nil
}

func encodeFloat64(e *encoder, v reflect.Value) error {
	bits := uint64(nan64)
	if f := v.Float(); f == f {
		bits = math.Float64bits(f)
	}
	e.b = binary.BigEndian.AppendUint64(append(e.b, float64Item), bits)
	return nil
}

func decodeFloat64(d *decoder, v reflect.Value) error {
	if d.at+9 > len(d.b) || d.b[d.at] != float64Item {
		return d.fault(d.found(), "a number of 64 bits with a point")
	}
	bits := binary.BigEndian.Uint64(d.b[d.at+1:])
	f := math.Float64frombits(bits)
	if f != f && bits != nan64 {
		return d.fault("another not-a-number", "the usual one")
	}
	d.at += 9
	v.SetFloat(f)
	return nil
}

// A Go string need not be UTF-8 and a text of CBOR must: what is none travels as bytes, so that nothing is refused
// or changed.
func encodeString(e *encoder, v reflect.Value) error {
	s, major := v.String(), text
	if !utf8.ValidString(s) {
		major = octets
	}
	e.memory += len(s)
	e.b = append(appendHead(e.b, major, uint64(len(s))), s...)
	return nil
}

func decodeString(d *decoder, v reflect.Value) error {
	at, major := d.at, text
	if d.peek() == octets {
		major = octets
	}
	b, err := d.bytes(major)
	if err != nil {
		return err
	}
	if utf8.Valid(b) != (major == text) {
		d.at = at
		return d.fault("a text of the wrong kind", "UTF-8 as text, and anything else as bytes")
	}
	v.SetString(string(b))
	return d.take(len(b))
}

func encodeBytes(e *encoder, v reflect.Value) error {
	b := v.Bytes()
	e.memory += len(b)
	e.b = append(appendHead(e.b, octets, uint64(len(b))), b...)
	return nil
}

func decodeBytes(d *decoder, v reflect.Value) error {
	b, err := d.bytes(octets)
	if err != nil || len(b) == 0 {
		return err
	}
	v.SetBytes(d.own(b))
	return d.take(len(b))
}

// own gives bytes of the input as the value may have them.
func (d *decoder) own(b []byte) []byte {
	if d.inPlace {
		return b[:len(b):len(b)]
	}
	return bytes.Clone(b)
}

// Lists of byte slices are the bulk of what is sent in batches. They are done without reflection for each of them.
var listOfBytes = reflect.TypeFor[[][]byte]()

func encodeListOfBytes(e *encoder, v reflect.Value) error {
	list := v.Interface().([][]byte)
	e.b = appendHead(e.b, array, uint64(len(list)))
	if len(list) == 0 {
		return nil
	}
	if err := e.enter(len(list) * sliceSize); err != nil {
		return err
	}
	for _, b := range list {
		e.memory += len(b)
		e.b = append(appendHead(e.b, octets, uint64(len(b))), b...)
	}
	e.leave()
	return nil
}

// sliceSize is the size of a slice beside its content.
const sliceSize = int(unsafe.Sizeof([]byte(nil)))

func decodeListOfBytes(d *decoder, v reflect.Value) error {
	n, err := d.count(array, 1)
	if err != nil || n == 0 {
		return err
	}
	if err := d.enter(n * sliceSize); err != nil {
		return err
	}
	list := make([][]byte, n)
	for i := range list {
		b, err := d.bytes(octets)
		if err == nil {
			err = d.take(len(b))
		}
		if err != nil {
			return fmt.Errorf("[%d]%w", i, err)
		}
		if len(b) > 0 {
			list[i] = d.own(b)
		}
	}
	d.leave()
	*v.Addr().Interface().(*[][]byte) = list
	return nil
}
