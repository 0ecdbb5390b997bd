package rmi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"

	"ciranda.dev/protocol/invocation"
)

// Semantics say how often a method may be executed for one call.
type Semantics = invocation.Semantics

// The semantics of calls (A. D. Birrell, B. J. Nelson, Implementing Remote Procedure Calls, 1984).
const (
	// AtMostOnce executes a call once, or not at all, whatever the network does. A call that returns well was executed once.
	AtMostOnce = invocation.AtMostOnce
	// AtLeastOnce may execute a call more than once: for methods where that makes no difference, which are called idempotent. A
	// restarted server executes it too.
	AtLeastOnce = invocation.AtLeastOnce
	// Maybe sends a call once, and never again. The server keeps nothing of it.
	Maybe = invocation.Maybe
)

// Generated1 is there as long as the runtime fits what the first version of the generator writes.
const Generated1 = true

// An Interface is a remote interface: what callers and servers know of the Go interface T. The generator rmigen writes it; by hand
// it is NewInterface and a NewMethod for each method, in variables of a package.
type Interface[T any] struct {
	core interfaceCore
	stub func(*Remote) T
}

// interfaceCore is an interface without its type.
type interfaceCore struct {
	name    string
	goType  reflect.Type
	methods map[string]*methodCore

	once     sync.Once
	describe Description
	inOrder  []*methodCore // by name, as numbers on the wire count them from 1
}

// A Description is a remote interface in words, so that it can be called without its code.
type Description struct {
	Name        string              `json:"name"`        // the path of the package and the interface: "example.org/bank.Account"
	Fingerprint string              `json:"fingerprint"` // of all that follows, 16 hexadecimal digits: who has another one has another interface
	Methods     []MethodDescription `json:"methods"`     // by name
}

// A MethodDescription is one of its methods.
type MethodDescription struct {
	Name      string    `json:"name"`
	Semantics Semantics `json:"semantics"`
	In        []Field   `json:"in"`  // the arguments
	Out       []Field   `json:"out"` // the results
}

// A Field is an argument or a result.
type Field struct {
	Name string `json:"name"`
	Type string `json:"type"` // such as "int", "[]string", "{name string, cents int}", "reference"
}

// NewInterface begins the description of T, which must be an interface. The name must be the same wherever the interface is
// known: by custom the path of its package and its own name. Stub makes something that calls an object elsewhere; nil if T is
// called through its methods alone. It panics if T is no interface.
func NewInterface[T any](name string, stub func(*Remote) T) *Interface[T] {
	t := reflect.TypeFor[T]()
	if t.Kind() != reflect.Interface {
		panic(fmt.Sprintf("rmi: %s is no interface", t))
	}
	return &Interface[T]{core: interfaceCore{name: name, goType: t, methods: map[string]*methodCore{}}, stub: stub}
}

// Description describes the interface. After its first use no method can be added.
func (i *Interface[T]) Description() Description { return i.core.description() }

func (c *interfaceCore) description() Description {
	c.once.Do(func() {
		d := Description{Name: c.name}
		for i, name := range slices.Sorted(maps.Keys(c.methods)) {
			m := c.methods[name]
			m.op = uint32(i) + 1
			c.inOrder = append(c.inOrder, m)
			d.Methods = append(d.Methods, MethodDescription{m.name, m.semantics, fields(m.in), fields(m.out)})
		}
		sum := sha256.Sum256([]byte(fmt.Sprint(d)))
		d.Fingerprint = hex.EncodeToString(sum[:8])
		c.describe = d
	})
	return c.describe
}

// A Method is a method of T. In is a structure with a field for each argument, Out with one for each result.
type Method[T, In, Out any] struct {
	core *methodCore
}

// methodCore is a method without its types.
type methodCore struct {
	of        *interfaceCore
	name      string
	op        uint32 // on the wire; 0 before the interface was described
	semantics Semantics
	in, out   reflect.Type
	// serve reads arguments, calls the object, and gives its results. An error of reading is a *Error.
	serve func(ctx context.Context, object any, in []byte) (out []byte, err error)
}

// NewMethod adds a method to an interface, with what calls an object. It panics if there is one of that name, or if In or Out
// cannot go to another process.
func NewMethod[T, In, Out any](of *Interface[T], name string, s Semantics,
	serve func(ctx context.Context, object T, in *In, out *Out) error) *Method[T, In, Out] {
	m := &methodCore{of: &of.core, name: name, semantics: s, in: reflect.TypeFor[In](), out: reflect.TypeFor[Out]()}
	for _, t := range []reflect.Type{m.in, m.out} {
		if err := crosses(t); err != nil {
			panic(fmt.Sprintf("rmi: %s.%s: %v", of.core.name, name, err))
		}
	}
	if of.core.methods[name] != nil {
		panic(fmt.Sprintf("rmi: %s has two methods %s", of.core.name, name))
	}
	m.serve = func(ctx context.Context, object any, bytes []byte) ([]byte, error) {
		var in In
		var out Out
		if err := decode(bytes, &in); err != nil {
			return nil, err
		}
		if err := serve(ctx, object.(T), &in, &out); err != nil {
			return nil, thrown(err)
		}
		return encodeResult(&out)
	}
	of.core.methods[name] = m
	return &Method[T, In, Out]{m}
}

// Invoke calls the method of an object that is elsewhere. Its error is an [*Error].
func (m *Method[T, In, Out]) Invoke(ctx context.Context, r *Remote, in *In) (out Out, err error) {
	args, err := encode(in)
	if err != nil {
		return out, m.core.wrong(r, err)
	}
	w := r.invoke(ctx, m.core.number(), m.core.semantics, args)
	defer w.free()
	if w.outcome.Status != invocation.OK {
		return out, m.core.failed(ctx, r, &w.outcome)
	}
	if err := decode(w.outcome.Result, &out); err != nil {
		return out, m.core.garbled(r, err)
	}
	return out, nil
}

// number is the method's on the wire.
func (m *methodCore) number() uint32 {
	m.of.description()
	return m.op
}
