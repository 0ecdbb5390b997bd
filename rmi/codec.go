package rmi

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/fxamacker/cbor/v2"
)

// Limits of what goes to another process.
const (
	// MaxSize is how many bytes the arguments or the results of a call may take.
	MaxSize = 1 << 20
	// MaxDepth is how deep they may be nested.
	MaxDepth = 16

	maxElements = 1 << 17 // of one array or map
)

// The modes of the codec. Lenient is for finding out which argument is nested too deep.
var encMode, decMode, lenient = modes()

func modes() (cbor.EncMode, cbor.DecMode, cbor.DecMode) {
	enc, err := cbor.EncOptions{Time: cbor.TimeRFC3339Nano}.EncMode()
	if err != nil {
		panic(err)
	}
	options := cbor.DecOptions{DupMapKey: cbor.DupMapKeyEnforcedAPF, MaxNestedLevels: MaxDepth, MaxArrayElements: maxElements,
		MaxMapPairs: maxElements, IndefLength: cbor.IndefLengthForbidden, ExtraReturnErrors: cbor.ExtraDecErrorUnknownField}
	dec, err := options.DecMode()
	if err != nil {
		panic(err)
	}
	options.MaxNestedLevels = 64 * MaxDepth
	lenient, err := options.DecMode()
	if err != nil {
		panic(err)
	}
	return enc, dec, lenient
}

// encode gives the bytes of arguments or results.
func encode(from any) ([]byte, error) {
	if err := shallow(reflect.ValueOf(from)); err != nil {
		return nil, err
	}
	b, err := encMode.Marshal(from)
	switch {
	case err != nil:
		return nil, &Error{Kind: BadArgument, Text: err.Error(), Happened: No}
	case len(b) > MaxSize:
		return nil, &Error{Kind: BadArgument, Happened: No,
			Text: fmt.Sprintf("found %d bytes%s; expected at most %d", len(b), largest(from), MaxSize)}
	}
	return b, nil
}

// encodeResult gives the bytes of results. The method was executed, so an error says that.
func encodeResult(from any) ([]byte, error) {
	b, err := encode(from)
	if err != nil {
		return nil, &Error{Kind: BadResult, Happened: Yes, Text: err.(*Error).Text}
	}
	return b, nil
}

// largest names the argument that takes the most.
func largest(from any) string {
	v, name, most := reflect.Indirect(reflect.ValueOf(from)), "", 0
	if v.Kind() != reflect.Struct {
		return ""
	}
	for f := range v.Type().Fields() {
		if b, err := encMode.Marshal(v.FieldByIndex(f.Index).Interface()); err == nil && len(b) > most {
			name, most = ", most of them of "+wireName(f), len(b)
		}
	}
	return name
}

// decode reads arguments or results. The error names the one that is wrong.
func decode(b []byte, to any) error {
	if len(b) > MaxSize {
		return &Error{Kind: BadArgument, Text: fmt.Sprintf("found %d bytes; expected at most %d", len(b), MaxSize), Happened: No}
	}
	err := decMode.Unmarshal(b, to)
	if err == nil {
		return nil
	}
	return &Error{Kind: BadArgument, Text: wrong(b, to, err), Happened: No}
}

// wrong says which argument cannot be read, and why.
func wrong(b []byte, to any, err error) string {
	var parts map[string]cbor.RawMessage
	if lenient.Unmarshal(b, &parts) != nil {
		return whole(err)
	}
	t := reflect.TypeOf(to).Elem()
	known := ""
	if t.Kind() != reflect.Struct {
		return whole(err)
	}
	for _, f := range wireFields(t) {
		name := wireName(f)
		part, ok := parts[name]
		if e := decMode.Unmarshal(part, reflect.New(f.Type).Interface()); ok && e != nil {
			return fmt.Sprintf("%s: %s", name, mismatch(e, f.Type))
		}
		delete(parts, name)
		known += ", " + name
	}
	for name := range parts {
		if known == "" {
			return fmt.Sprintf("found %.40q; expected nothing", name)
		}
		return fmt.Sprintf("found %.40q; expected %s", name, known[2:])
	}
	return whole(err)
}

func whole(err error) string {
	var deep *cbor.MaxNestedLevelError
	if errors.As(err, &deep) {
		return fmt.Sprintf("found more than %d levels of nesting", MaxDepth)
	}
	return "found what are no arguments: " + err.Error()
}

// mismatch says how a value is not of a type.
func mismatch(err error, want reflect.Type) string {
	var is *cbor.UnmarshalTypeError
	var deep *cbor.MaxNestedLevelError
	switch {
	case errors.As(err, &is):
		return fmt.Sprintf("found a %s; expected %s", is.CBORType, words(want, nil))
	case errors.As(err, &deep):
		return fmt.Sprintf("found more than %d levels of nesting", MaxDepth)
	}
	return err.Error()
}
