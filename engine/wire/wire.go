// Package wire writes packets as bytes and reads them back: the edge between protocols, whose messages are plain Go
// values, and everything made of bytes.
//
// A packet is one item of CBOR (RFC 8949): an array of its channel, the number of its message type on that channel,
// and the message. A struct is an array of its fields in their order, without names: both ends have compared their
// stacks before, and [Fingerprint] makes that comparison cover the fields. A slice is an array, a nested
// [protocol.Packet] is a packet again, or null if it is empty.
//
// The encoding is canonical: a value has one encoding, and the decoder takes no other. So numbers are as short as
// they can be, lengths are definite, map keys ascend. There are no tags. Decoding never takes more memory than
// a constant times the input, whatever the bytes; a message that could not be decoded within that is refused when it
// is encoded.
//
// An empty slice or map is read back as nil. Decoded values share nothing with the bytes they came from, unless that is
// asked for ([Codec.DecodeInPlace]). The package does not compress, sign or check sums: that is the transport's part.
//
// A general CBOR library would do for plain messages, but it knows nothing of the packets inside them: it would have
// to build any value that a stranger describes before the type could be checked. The tests check with one that what
// is written here is CBOR.
package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"ciranda.dev/protocol"
)

const (
	// maxDepth is how deeply slices, maps and packets may be nested.
	maxDepth = 64
	// Decoding n bytes may take memoryFactor*n + memoryFloor bytes of memory.
	memoryFactor = 128
	memoryFloor  = 4096
)

// A Codec encodes and decodes the packets of one stack. It does not change, so any goroutine may use it.
type Codec struct {
	channels []channel
	coders   map[reflect.Type]*coder // while and after compiling, so that types may be recursive
}

// A channel is what a layer says to its peers.
type channel struct {
	name    string
	types   []reflect.Type // by number
	coders  []*coder       // by number
	numbers map[reflect.Type]int
}

// New makes the codec of a stack from its layers' traits, from the bottom. It refuses, in words, message types that
// cannot be encoded: the ones that protocol.NewStack refuses too, and maps with keys that have no order.
func New(traits []protocol.Traits) (*Codec, error) {
	if len(traits) > 255 {
		return nil, fmt.Errorf("wire: %d channels; expected at most 255", len(traits))
	}
	c := &Codec{coders: map[reflect.Type]*coder{}}
	for _, t := range traits {
		ch := channel{name: t.Channel, numbers: map[reflect.Type]int{}}
		for _, m := range t.Messages {
			if err := c.add(&ch, reflect.TypeOf(m)); err != nil {
				return nil, fmt.Errorf("wire: %s: message %s%w", t.Channel, protocol.Name(m), err)
			}
		}
		c.channels = append(c.channels, ch)
	}
	return c, nil
}

func (c *Codec) add(ch *channel, t reflect.Type) error {
	if t == nil || t.Kind() != reflect.Struct || t == packetType {
		return errors.New(" is not a plain struct")
	}
	if _, twice := ch.numbers[t]; twice {
		return errors.New(" is listed twice")
	}
	k, err := c.compile(t)
	if err != nil {
		return err
	}
	ch.numbers[t] = len(ch.types)
	ch.types = append(ch.types, t)
	ch.coders = append(ch.coders, k)
	return nil
}

// Encode appends the encoding of p to dst. It gives dst as it was and an error if the message is not one of those
// that the channel's layer listed, or is too deeply nested or too sparse to be decoded within the decoder's limits.
func (c *Codec) Encode(dst []byte, p protocol.Packet) ([]byte, error) {
	e := encoder{b: dst}
	if p.Body == nil {
		return dst, errors.New("wire: an empty packet")
	}
	if err := c.encodePacket(&e, p); err != nil {
		return dst, fmt.Errorf("wire%w", err)
	}
	if err := e.check(p, len(e.b)-len(dst)); err != nil {
		return dst, err
	}
	return e.b, nil
}

// Decode reads a packet that takes up all of b. The error says what was wrong, and at which byte.
func (c *Codec) Decode(b []byte) (protocol.Packet, error) { return c.decode(b, false) }

// DecodeInPlace does what Decode does, but byte slices in the packet are parts of b and keep all of it alive. So b must
// never be changed from then on.
func (c *Codec) DecodeInPlace(b []byte) (protocol.Packet, error) { return c.decode(b, true) }

func (c *Codec) decode(b []byte, inPlace bool) (protocol.Packet, error) {
	d := decoder{b: b, memory: memoryFactor*len(b) + memoryFloor, inPlace: inPlace}
	p, err := c.decodePacket(&d)
	if err == nil && p.Body == nil {
		err = d.fault("null", "a packet")
	}
	if err == nil && len(d.b) > d.at {
		err = d.fault(fmt.Sprintf("%d bytes more", len(d.b)-d.at), "the end")
	}
	if err != nil {
		return protocol.Packet{}, fmt.Errorf("wire%w", err)
	}
	return p, nil
}

// Fingerprint is a short text, different for codecs that would read each other's bytes wrongly: 16 digits that stand
// for the channels, their messages and all the fields of those.
func (c *Codec) Fingerprint() string {
	sum := sha256.Sum256([]byte(c.describe()))
	return hex.EncodeToString(sum[:8])
}

// describe writes out all that the encoding depends on.
func (c *Codec) describe() string {
	var b strings.Builder
	for _, ch := range c.channels {
		fmt.Fprintf(&b, "%s:", ch.name)
		for _, t := range ch.types {
			b.WriteByte(' ')
			describe(&b, t, nil)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// describe writes a type with what is in it; a type inside itself only by name.
func describe(b *strings.Builder, t reflect.Type, outer []reflect.Type) {
	switch {
	case t == packetType:
		b.WriteString("packet")
	case t.Kind() == reflect.Struct && slices.Contains(outer, t):
		b.WriteString(t.String())
	case t.Kind() == reflect.Struct:
		b.WriteString(t.String() + "{")
		for i := range t.NumField() {
			b.WriteString(t.Field(i).Name + " ")
			describe(b, t.Field(i).Type, append(outer, t))
			b.WriteByte(';')
		}
		b.WriteByte('}')
	case t.Kind() == reflect.Slice:
		b.WriteString("[]")
		describe(b, t.Elem(), outer)
	case t.Kind() == reflect.Array:
		fmt.Fprintf(b, "[%d]", t.Len())
		describe(b, t.Elem(), outer)
	case t.Kind() == reflect.Map:
		b.WriteString("map[")
		describe(b, t.Key(), outer)
		b.WriteByte(']')
		describe(b, t.Elem(), outer)
	default:
		b.WriteString(t.Kind().String())
	}
}

var packetType = reflect.TypeFor[protocol.Packet]()

func (c *Codec) encodePacket(e *encoder, p protocol.Packet) error {
	if p == (protocol.Packet{}) {
		e.b = append(e.b, null)
		return nil
	}
	if int(p.Channel) >= len(c.channels) {
		return fmt.Errorf(": a packet for channel %d; expected at most %d", p.Channel, len(c.channels)-1)
	}
	if e.reuse(p) {
		return nil
	}
	ch := &c.channels[p.Channel]
	number, ok := ch.numbers[reflect.TypeOf(p.Body)]
	if !ok {
		return fmt.Errorf(": a %s on channel %s; expected one of its messages", protocol.Name(p.Body), ch.name)
	}
	from, memory := len(e.b), e.memory
	e.b = appendHead(e.b, array, 3)
	e.b = appendHead(e.b, unsigned, uint64(p.Channel))
	e.b = appendHead(e.b, unsigned, uint64(number))
	t := ch.types[number]
	if err := e.enter(boxes * int(t.Size())); err != nil {
		return err
	}
	if err := ch.coders[number].encode(e, reflect.ValueOf(p.Body)); err != nil {
		return fmt.Errorf(": %s%w", t, err)
	}
	e.leave()
	e.share(p, from, memory)
	return nil
}

// boxes is how often decoding allocates a message: once to fill it in, once as a [protocol.Message].
const boxes = 2

func (c *Codec) decodePacket(d *decoder) (protocol.Packet, error) {
	if d.at < len(d.b) && d.b[d.at] == null {
		d.at++
		return protocol.Packet{}, nil
	}
	if err := d.exactly(array, 3); err != nil {
		return protocol.Packet{}, err
	}
	number, err := d.below(len(c.channels), "the number of a channel")
	if err != nil {
		return protocol.Packet{}, err
	}
	ch := &c.channels[number]
	kind, err := d.below(len(ch.types), "the number of a message on that channel")
	if err != nil {
		return protocol.Packet{}, err
	}
	t := ch.types[kind]
	if err := d.enter(boxes * int(t.Size())); err != nil {
		return protocol.Packet{}, err
	}
	defer d.leave()
	v := reflect.New(t).Elem()
	if err := ch.coders[kind].decode(d, v); err != nil {
		return protocol.Packet{}, fmt.Errorf(": %s%w", t, err)
	}
	return protocol.Packet{Channel: uint8(number), Body: v.Interface()}, nil
}
