package link

import (
	"reflect"

	"ciranda.dev/protocol"
)

// A Sizer is a message that knows about how many bytes it takes on the wire. Of other messages that is estimated from
// their fields: eight for a number, their length for texts and bytes. That costs some 10 ns a field; a message with
// much inside should be a Sizer.
type Sizer interface {
	Size() int
}

// overhead is what a packet counts beside its content. It bounds the number of packets that a window holds.
const overhead = 64

// Size is how many bytes a packet counts, for layers that bound what they keep by the same measure.
func Size(p protocol.Packet) int { return sizeOf(p) }

// sizeOf is how many bytes a packet counts.
func sizeOf(p protocol.Packet) int { return overhead + sizeOfMessage(p.Body) }

func sizeOfMessage(m protocol.Message) int {
	if s, ok := m.(Sizer); ok {
		return max(0, s.Size())
	}
	return sizeOfValue(reflect.ValueOf(m))
}

const word = 8

func sizeOfValue(v reflect.Value) int {
	switch v.Kind() {
	case reflect.String:
		return word + v.Len()
	case reflect.Slice, reflect.Array:
		return word + sizeOfElements(v)
	case reflect.Struct:
		size := 0
		for i := range v.NumField() {
			size += sizeOfValue(v.Field(i))
		}
		return size
	case reflect.Map:
		size := word // a sum, whatever the order
		for it := v.MapRange(); it.Next(); {
			size += sizeOfValue(it.Key()) + sizeOfValue(it.Value())
		}
		return size
	case reflect.Interface: // the body of a packet inside
		if v.IsNil() {
			return word
		}
		return sizeOfMessage(v.Interface())
	default:
		return word
	}
}

func sizeOfElements(v reflect.Value) int {
	switch kind := v.Type().Elem().Kind(); {
	case kind == reflect.Uint8:
		return v.Len()
	case kind <= reflect.Float64:
		return word * v.Len()
	}
	size := 0
	for i := range v.Len() {
		size += sizeOfValue(v.Index(i))
	}
	return size
}
