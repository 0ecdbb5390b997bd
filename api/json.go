package api

import (
	"errors"
	"fmt"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// strictJSON reads requests on the HTTP port. Connect's own codec passes over fields that it does not know: then a
// mistyped "amuont" would be an amount of zero.
type strictJSON struct{ name string }

// jsonCodecs are for both names that connect has for JSON.
func jsonCodecs() []connect.HandlerOption {
	return []connect.HandlerOption{
		connect.WithCodec(strictJSON{"json"}), connect.WithCodec(strictJSON{"json; charset=utf-8"}),
	}
}

// Name is the content type's second half.
func (c strictJSON) Name() string { return c.name }

var errNotProto = errors.New("api: the message is none of the contract")

// Marshal writes an answer.
func (strictJSON) Marshal(message any) ([]byte, error) {
	m, ok := message.(proto.Message)
	if !ok {
		return nil, errNotProto
	}
	return protojson.Marshal(m)
}

// Unmarshal reads a request, and says where and why it cannot be read.
func (strictJSON) Unmarshal(b []byte, message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return errNotProto
	}
	if len(b) == 0 {
		return errors.New("found nothing; expected a JSON object, such as {}")
	}
	if err := protojson.Unmarshal(b, m); err != nil {
		text := strings.TrimLeft(strings.TrimPrefix(err.Error(), "proto:"), " \u00a0")
		return fmt.Errorf("%s; expected the fields of %s", text, m.ProtoReflect().Descriptor().Name())
	}
	return nil
}
