package socket

import (
	"encoding/json"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"
)

// A google.protobuf.Struct is any JSON object: it is written and read as that. It is the only type of the contract whose
// JSON form is a special one.

// structName is the type's name.
const structName = "google.protobuf.Struct"

// structOf is a message that is a Struct; nil if it is none.
func structOf(m protoreflect.Message) *structpb.Struct {
	s, _ := m.Interface().(*structpb.Struct)
	return s
}

// appendStruct writes an object's values as they are, the names in ascending order.
func appendStruct(b []byte, s *structpb.Struct) []byte {
	text, err := json.Marshal(s.AsMap())
	if err != nil { // it has a number that JSON does not have, so nobody made it of JSON
		return append(b, "{}"...)
	}
	return append(b, text...)
}

// structure reads any object.
func (d *decoder) structure(into *structpb.Struct) error {
	if d.next() != '{' {
		return d.expected("an object")
	}
	text, err := d.skip()
	if err != nil {
		return err
	}
	var object map[string]any
	if err := json.Unmarshal(text, &object); err != nil {
		return wrong("", "found an object that cannot be read: %v", err)
	}
	made, err := structpb.NewStruct(object)
	if err != nil {
		return wrong("", "found an object that cannot be read: %v", err)
	}
	into.Fields = made.GetFields()
	return nil
}
