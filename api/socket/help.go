package socket

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	cirandav1 "ciranda.dev/api/ciranda/v1"
)

// helpCall is the call that lists the calls. It has one argument, the name of the call to tell of; without it, it tells
// of all. It tells nothing but the contract, so every role may.
const helpCall = "help"

// unknownCall says what could have been called.
func (s *Server) unknownCall(name string) error {
	p := wrong("call", "there is no call %q here", short(name))
	p.code, p.hint = codes.Unimplemented, `{"call": "help"} lists them; streams, such as events, need gRPC or HTTP`
	return p
}

// helpOn answers a call for help.
func (s *Server) helpOn(args []byte) ([]byte, error) {
	name := ""
	if args != nil {
		d := scanner{b: args}
		if d.next() != '{' {
			return nil, within(d.expected(`an object, such as {"call": "echo.echo"}`), "args")
		}
		if err := d.object(func(key string) (err error) {
			if key != "call" {
				return wrong(short(key), "found a field %q; expected call", short(key))
			}
			name, err = d.text()
			return within(err, "call")
		}); err != nil {
			return nil, err
		}
	}
	if name == "" {
		return s.help(), nil
	}
	if s.calls[name] == nil {
		return nil, s.unknownCall(name)
	}
	return s.appendCall(nil, name), nil
}

// describe lists all calls.
func (s *Server) describe() []byte {
	b := []byte(`{"calls":[`)
	for i, name := range slices.Sorted(maps.Keys(s.calls)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = s.appendCall(b, name)
	}
	b = append(b, `],"request":`...)
	b = appendText(b, `{"id": text or number, may be left out, "call": name, "args": object, "deadline_ms": number, `+
		fmt.Sprintf(`%d without}; a line of at most %d bytes`, Deadline.Milliseconds(), MaxLine))
	b = append(b, `,"streams":`...)
	return append(appendText(b, "none; events are streamed over gRPC and HTTP"), '}')
}

// appendCall tells of one call: what role it needs, and what it takes and gives.
func (s *Server) appendCall(b []byte, name string) []byte {
	b = appendText(append(b, `{"call":`...), name)
	if m := methodNamed(s.calls[name].full); m != nil {
		b = appendText(append(b, `,"needs":`...), needs(m))
		b = appendShape(append(b, `,"args":`...), m.Input(), maxDepth)
		b = appendShape(append(b, `,"result":`...), m.Output(), maxDepth)
	}
	return append(b, '}')
}

// methodNamed finds the method of the contract that is called /SERVICE/METHOD; nil if there is none.
func methodNamed(full string) protoreflect.MethodDescriptor {
	service, name, _ := strings.Cut(strings.TrimPrefix(full, "/"), "/")
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service))
	if s, ok := d.(protoreflect.ServiceDescriptor); err == nil && ok {
		return s.Methods().ByName(protoreflect.Name(name))
	}
	return nil
}

// needs is the least role that may make a call.
func needs(m protoreflect.MethodDescriptor) string {
	role, _ := proto.GetExtension(m.Options(), cirandav1.E_Needs).(cirandav1.Role)
	return strings.ToLower(strings.TrimPrefix(role.String(), "ROLE_"))
}

// appendShape writes an object that has, in place of each field of a message, what it is.
func appendShape(b []byte, m protoreflect.MessageDescriptor, depth int) []byte {
	b = append(b, '{')
	for i := range m.Fields().Len() {
		if i > 0 {
			b = append(b, ',')
		}
		f := m.Fields().Get(i)
		b = append(appendText(b, string(f.Name())), ':')
		switch {
		case f.IsMap():
			b = appendText(append(b, '{'), f.MapKey().Kind().String())
			b = append(appendKind(append(b, ':'), f.MapValue(), depth), '}')
		case f.IsList():
			b = append(appendKind(append(b, '['), f, depth), ']')
		default:
			b = appendKind(b, f, depth)
		}
	}
	return append(b, '}')
}

func appendKind(b []byte, f protoreflect.FieldDescriptor, depth int) []byte {
	switch {
	case f.Message() != nil && f.Message().FullName() == structName:
		return appendText(b, "any object")
	case f.Message() != nil && depth == 0:
		return appendText(b, string(f.Message().Name()))
	case f.Message() != nil:
		return appendShape(b, f.Message(), depth-1)
	case f.Kind() == protoreflect.EnumKind || f.Kind() == protoreflect.BytesKind:
		return appendText(b, what(f))
	}
	return appendText(b, f.Kind().String())
}
