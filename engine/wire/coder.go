package wire

import (
	"fmt"
	"reflect"

	"ciranda.dev/protocol"
)

// A coder encodes and decodes the values of one type.
type coder struct {
	encode func(e *encoder, v reflect.Value) error
	decode func(d *decoder, v reflect.Value) error // v is zero and may be set
}

// compile makes the coder of a type. A type inside itself refers to the coder that is being made.
func (c *Codec) compile(t reflect.Type) (*coder, error) {
	if k, ok := c.coders[t]; ok {
		return k, nil
	}
	k := &coder{}
	c.coders[t] = k
	made, err := c.make(t)
	*k = made
	return k, err
}

func (c *Codec) make(t reflect.Type) (coder, error) {
	switch t {
	case packetType:
		return c.packets(), nil
	case listOfBytes:
		return coder{encodeListOfBytes, decodeListOfBytes}, nil
	}
	switch t.Kind() {
	case reflect.Bool:
		return coder{encodeBool, decodeBool}, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return coder{encodeInt, decodeInt}, nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return coder{encodeUint, decodeUint}, nil
	case reflect.Float32:
		return coder{encodeFloat32, decodeFloat32}, nil
	case reflect.Float64:
		return coder{encodeFloat64, decodeFloat64}, nil
	case reflect.String:
		return coder{encodeString, decodeString}, nil
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return coder{encodeBytes, decodeBytes}, nil
		}
		return c.slices(t)
	case reflect.Array:
		return c.arrays(t)
	case reflect.Map:
		return c.maps(t)
	case reflect.Struct:
		return c.structs(t)
	}
	return coder{}, fmt.Errorf(": a %s has no encoding", t)
}

func (c *Codec) packets() coder {
	return coder{
		encode: func(e *encoder, v reflect.Value) error {
			body, _ := v.Field(1).Interface().(protocol.Message)
			return c.encodePacket(e, protocol.Packet{Channel: uint8(v.Field(0).Uint()), Body: body})
		},
		decode: func(d *decoder, v reflect.Value) error {
			p, err := c.decodePacket(d)
			if err == nil {
				v.Set(reflect.ValueOf(p))
			}
			return err
		},
	}
}

func (c *Codec) slices(t reflect.Type) (coder, error) {
	k, err := c.compile(t.Elem())
	size := int(t.Elem().Size())
	return coder{
		encode: func(e *encoder, v reflect.Value) error {
			e.b = appendHead(e.b, array, uint64(v.Len()))
			if v.Len() == 0 {
				return nil
			}
			if err := e.enter(v.Len() * size); err != nil {
				return err
			}
			defer e.leave()
			return encodeElements(e, v, k)
		},
		decode: func(d *decoder, v reflect.Value) error {
			n, err := d.count(array, 1)
			if err != nil || n == 0 {
				return err
			}
			if err := d.enter(n * size); err != nil {
				return err
			}
			defer d.leave()
			v.Set(reflect.MakeSlice(t, n, n))
			return decodeElements(d, v, k)
		},
	}, err
}

func (c *Codec) arrays(t reflect.Type) (coder, error) {
	k, err := c.compile(t.Elem())
	return coder{
		encode: func(e *encoder, v reflect.Value) error {
			e.b = appendHead(e.b, array, uint64(v.Len()))
			return encodeElements(e, v, k)
		},
		decode: func(d *decoder, v reflect.Value) error {
			if err := d.exactly(array, t.Len()); err != nil {
				return err
			}
			return decodeElements(d, v, k)
		},
	}, err
}

func encodeElements(e *encoder, v reflect.Value, k *coder) error {
	for i := range v.Len() {
		if err := k.encode(e, v.Index(i)); err != nil {
			return fmt.Errorf("[%d]%w", i, err)
		}
	}
	return nil
}

func decodeElements(d *decoder, v reflect.Value, k *coder) error {
	for i := range v.Len() {
		if err := k.decode(d, v.Index(i)); err != nil {
			return fmt.Errorf("[%d]%w", i, err)
		}
	}
	return nil
}

func (c *Codec) structs(t reflect.Type) (coder, error) {
	var coders []*coder
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() {
			return coder{}, fmt.Errorf(".%s: is not exported, so it would not travel", f.Name)
		}
		k, err := c.compile(f.Type)
		if err != nil {
			return coder{}, fmt.Errorf(".%s%w", f.Name, err)
		}
		coders = append(coders, k)
	}
	return coder{
		encode: func(e *encoder, v reflect.Value) error {
			e.b = appendHead(e.b, array, uint64(len(coders)))
			for i, k := range coders {
				if err := k.encode(e, v.Field(i)); err != nil {
					return fmt.Errorf(".%s%w", t.Field(i).Name, err)
				}
			}
			return nil
		},
		decode: func(d *decoder, v reflect.Value) error {
			if err := d.exactly(array, len(coders)); err != nil {
				return err
			}
			for i, k := range coders {
				if err := k.decode(d, v.Field(i)); err != nil {
					return fmt.Errorf(".%s%w", t.Field(i).Name, err)
				}
			}
			return nil
		},
	}, nil
}
