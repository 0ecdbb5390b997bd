package socket

import (
	"encoding/base64"
	"math"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// A decoder reads a message from its JSON form. Its fields have the names of the contract.
type decoder struct {
	scanner
	strict bool // a field that the contract does not have is an error; else it is passed over
}

// decode reads the fields of a message from a JSON object.
func decode(b []byte, m proto.Message, strict bool) error {
	d := &decoder{scanner{b: b}, strict}
	if err := d.message(m.ProtoReflect()); err != nil {
		return err
	}
	return d.end()
}

func (d *decoder) message(m protoreflect.Message) error {
	if s := structOf(m); s != nil {
		return d.structure(s)
	}
	if d.next() != '{' {
		return d.expected("an object with the fields of " + string(m.Descriptor().Name()))
	}
	seen := map[string]bool{} // a field that was read may still be unset: null and empty lists
	return d.object(func(name string) error {
		field := m.Descriptor().Fields().ByName(protoreflect.Name(name))
		if field == nil && !d.strict {
			_, err := d.skip()
			return err
		}
		if field == nil {
			return unknownField(name, m.Descriptor())
		}
		if seen[name] {
			return wrong(name, "the field %s is there twice", name)
		}
		seen[name] = true
		return within(d.field(m, field), name)
	})
}

func unknownField(name string, of protoreflect.MessageDescriptor) error {
	name = short(name)
	var names []string
	for i := range of.Fields().Len() {
		names = append(names, string(of.Fields().Get(i).Name()))
	}
	if len(names) == 0 {
		return wrong(name, "found a field %q; %s has none", name, of.Name())
	}
	return wrong(name, "found a field %q; expected %s", name, strings.Join(names, ", "))
}

// short cuts a text that came from outside, for an error.
func short(text string) string {
	if r := []rune(text); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return text
}

func (d *decoder) field(m protoreflect.Message, f protoreflect.FieldDescriptor) error {
	if d.word("null") { // as if it were not there
		return nil
	}
	if one := f.ContainingOneof(); one != nil {
		if other := m.WhichOneof(one); other != nil {
			return wrong("", "found %s beside %s; expected one of them", f.Name(), other.Name())
		}
	}
	switch {
	case f.IsList():
		return d.list(m.Mutable(f).List(), f)
	case f.IsMap():
		return d.entries(m.Mutable(f).Map(), f)
	}
	v := m.NewField(f)
	if f.Message() == nil {
		var err error
		if v, err = d.scalar(f); err != nil {
			return err
		}
	} else if err := d.message(v.Message()); err != nil {
		return err
	}
	m.Set(f, v)
	return nil
}

func (d *decoder) list(list protoreflect.List, f protoreflect.FieldDescriptor) error {
	return d.array(func(i int) error {
		v, err := list.NewElement(), error(nil)
		if f.Message() != nil {
			err = d.message(v.Message())
		} else {
			v, err = d.scalar(f)
		}
		if err != nil {
			return within(err, "["+strconv.Itoa(i)+"]")
		}
		list.Append(v)
		return nil
	})
}

func (d *decoder) entries(m protoreflect.Map, f protoreflect.FieldDescriptor) error {
	return d.object(func(name string) error {
		inside := "[" + short(name) + "]"
		key, err := parse(f.MapKey(), name)
		if err != nil {
			return within(err, inside)
		}
		if m.Has(key.MapKey()) {
			return wrong(inside, "the key %s is there twice", short(name))
		}
		v := m.NewValue()
		if f.MapValue().Message() != nil {
			err = d.message(v.Message())
		} else {
			v, err = d.scalar(f.MapValue())
		}
		if err != nil {
			return within(err, inside)
		}
		m.Set(key.MapKey(), v)
		return nil
	})
}

// scalar reads a value that holds no others. Numbers may stand in quotes: there are readers of JSON that lose digits.
func (d *decoder) scalar(f protoreflect.FieldDescriptor) (protoreflect.Value, error) {
	kind := f.Kind()
	c := d.next()
	switch {
	case kind == protoreflect.BoolKind:
		if d.word("true") {
			return protoreflect.ValueOfBool(true), nil
		}
		if d.word("false") {
			return protoreflect.ValueOfBool(false), nil
		}
		return protoreflect.Value{}, d.expected("true or false")
	case c == '"':
		text, err := d.text()
		if err != nil {
			return protoreflect.Value{}, err
		}
		return parse(f, text)
	case kind == protoreflect.StringKind || kind == protoreflect.BytesKind:
		return protoreflect.Value{}, d.expected("a text in quotes")
	case c != '-' && (c < '0' || c > '9'):
		return protoreflect.Value{}, d.expected(what(f))
	}
	text, err := d.number()
	if err != nil {
		return protoreflect.Value{}, err
	}
	return parse(f, text)
}

// parse reads a value from its text.
func parse(f protoreflect.FieldDescriptor, text string) (v protoreflect.Value, err error) {
	var i int64
	var u uint64
	switch f.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(text), nil
	case protoreflect.BoolKind: // only keys of maps come here
		v, err = protoreflect.ValueOfBool(text == "true"), oneOf(text, "true", "false")
	case protoreflect.BytesKind:
		var b []byte
		b, err = base64.StdEncoding.DecodeString(text)
		v = protoreflect.ValueOfBytes(b)
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		i, err = strconv.ParseInt(text, 10, 32)
		v = protoreflect.ValueOfInt32(int32(i))
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		i, err = strconv.ParseInt(text, 10, 64)
		v = protoreflect.ValueOfInt64(i)
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		u, err = strconv.ParseUint(text, 10, 32)
		v = protoreflect.ValueOfUint32(uint32(u))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		u, err = strconv.ParseUint(text, 10, 64)
		v = protoreflect.ValueOfUint64(u)
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return parseFloat(f, text)
	case protoreflect.EnumKind:
		return parseEnum(f, text)
	default:
		return v, wrong("", "values of the kind %s are not served", f.Kind())
	}
	if err != nil {
		return v, wrong("", "found %q; expected %s", short(text), what(f))
	}
	return v, nil
}

func oneOf(text string, words ...string) error {
	for _, w := range words {
		if text == w {
			return nil
		}
	}
	return strconv.ErrSyntax
}

func parseFloat(f protoreflect.FieldDescriptor, text string) (protoreflect.Value, error) {
	bits := 64
	if f.Kind() == protoreflect.FloatKind {
		bits = 32
	}
	x, err := strconv.ParseFloat(text, bits)
	switch text {
	case "NaN", "Infinity", "-Infinity": // as they are answered
	default:
		if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
			return protoreflect.Value{}, wrong("", "found %q; expected %s", short(text), what(f))
		}
	}
	if bits == 32 {
		return protoreflect.ValueOfFloat32(float32(x)), nil
	}
	return protoreflect.ValueOfFloat64(x), nil
}

func parseEnum(f protoreflect.FieldDescriptor, text string) (protoreflect.Value, error) {
	values := f.Enum().Values()
	if v := values.ByName(protoreflect.Name(text)); v != nil {
		return protoreflect.ValueOfEnum(v.Number()), nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || values.ByNumber(protoreflect.EnumNumber(n)) == nil {
		return protoreflect.Value{}, wrong("", "found %q; expected %s", short(text), what(f))
	}
	return protoreflect.ValueOfEnum(protoreflect.EnumNumber(n)), nil
}

// what says in words what a value of a field is.
func what(f protoreflect.FieldDescriptor) string {
	switch f.Kind() {
	case protoreflect.BoolKind:
		return "true or false"
	case protoreflect.StringKind:
		return "text"
	case protoreflect.BytesKind:
		return "bytes in base64"
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return "a whole number from -2147483648 to 2147483647"
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return "a whole number from -9223372036854775808 to 9223372036854775807"
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return "a whole number from 0 to 4294967295"
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return "a whole number from 0 to 18446744073709551615"
	case protoreflect.EnumKind:
		var names []string
		for i := range f.Enum().Values().Len() {
			names = append(names, string(f.Enum().Values().Get(i).Name()))
		}
		return strings.Join(names, " or ")
	}
	return "a number"
}
