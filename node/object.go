package node

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/structpb"
)

// object is a value as its JSON form shows it. What is no object there is one with the only field "value". Whole numbers
// that would lose digits are texts.
func object(v any) (*structpb.Struct, error) {
	shown, err := jsonValue(reflect.ValueOf(v))
	if err != nil {
		return nil, fmt.Errorf("node: a state cannot be shown: %w", err)
	}
	if s := shown.GetStructValue(); s != nil {
		return s, nil
	}
	return &structpb.Struct{Fields: map[string]*structpb.Value{"value": shown}}, nil
}

var (
	marshaler     = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
)

// jsonValue does for plain values what package json does, a few times faster, and leaves all others to that.
func jsonValue(v reflect.Value) (*structpb.Value, error) {
	if !v.IsValid() {
		return structpb.NewNullValue(), nil
	}
	if t := v.Type(); t.Implements(marshaler) || t.Implements(textMarshaler) {
		return throughJSON(v)
	}
	switch v.Kind() {
	case reflect.Interface:
		return jsonValue(v.Elem())
	case reflect.Bool:
		return structpb.NewBoolValue(v.Bool()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return whole(v.Int() >= -mostExact && v.Int() <= mostExact, float64(v.Int()), func() string { return strconv.FormatInt(v.Int(), 10) }), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return whole(v.Uint() <= mostExact, float64(v.Uint()), func() string { return strconv.FormatUint(v.Uint(), 10) }), nil
	case reflect.String:
		if utf8.ValidString(v.String()) {
			return structpb.NewStringValue(v.String()), nil
		}
	case reflect.Struct:
		return structValue(v)
	case reflect.Slice, reflect.Array:
		return listValue(v)
	}
	return throughJSON(v)
}

// mostExact is the greatest whole number up to which each one is a float.
const mostExact = 1 << 53

func whole(exact bool, f float64, text func() string) *structpb.Value {
	if exact {
		return structpb.NewNumberValue(f)
	}
	return structpb.NewStringValue(text())
}

func structValue(v reflect.Value) (*structpb.Value, error) {
	fields := map[string]*structpb.Value{}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Anonymous {
			return throughJSON(v)
		}
		tag := f.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		value := v.Field(i)
		switch {
		case !f.IsExported() || tag == "-":
			continue
		case strings.Contains(options, "string"):
			return throughJSON(v)
		case strings.Contains(options, "omitzero") && value.IsZero(), strings.Contains(options, "omitempty") && isEmpty(value):
			continue
		case name == "":
			name = f.Name
		}
		shown, err := jsonValue(value)
		if err != nil {
			return nil, err
		}
		fields[name] = shown
	}
	return structpb.NewStructValue(&structpb.Struct{Fields: fields}), nil
}

// isEmpty is what package json means by that.
func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}

func listValue(v reflect.Value) (*structpb.Value, error) {
	if v.Kind() == reflect.Slice && v.IsNil() || v.Type().Elem().Kind() == reflect.Uint8 {
		return throughJSON(v)
	}
	list := make([]*structpb.Value, v.Len())
	for i := range list {
		var err error
		if list[i], err = jsonValue(v.Index(i)); err != nil {
			return nil, err
		}
	}
	return structpb.NewListValue(&structpb.ListValue{Values: list}), nil
}

// throughJSON makes JSON of a value, and reads that.
func throughJSON(v reflect.Value) (*structpb.Value, error) {
	text, err := json.Marshal(v.Interface())
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var plain any
	if err := decoder.Decode(&plain); err != nil {
		return nil, err
	}
	return structpb.NewValue(exact(plain))
}

// exact makes numbers of those that lose no digits, and texts of others.
func exact(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil && i >= -mostExact && i <= mostExact {
			return float64(i)
		}
		if f, err := v.Float64(); err == nil && (f != math.Trunc(f) || math.Abs(f) <= mostExact) {
			return f
		}
		return v.String()
	case map[string]any:
		for name := range v {
			v[name] = exact(v[name])
		}
	case []any:
		for i := range v {
			v[i] = exact(v[i])
		}
	}
	return v
}
