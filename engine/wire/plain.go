package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"unicode/utf8"
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
	v.SetBytes(bytes.Clone(b))
	return d.take(len(b))
}
