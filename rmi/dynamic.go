package rmi

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"ciranda.dev/protocol/invocation"
)

// Describe asks an object what interface it has. No code of that is needed.
func (r *Remote) Describe(ctx context.Context) (Description, error) {
	w := r.invoke(ctx, describeOp, AtLeastOnce, nil)
	defer w.free()
	var d Description
	if w.outcome.Status != invocation.OK {
		return d, describes.failed(ctx, r, &w.outcome)
	}
	if err := decode(w.outcome.Result, &d); err != nil {
		return d, describes.garbled(r, err)
	}
	for _, m := range d.Methods {
		for _, f := range slices.Concat(m.In, m.Out) {
			if len(f.Type) > longestType {
				return d, describes.garbled(r, &Error{Text: fmt.Sprintf("found a type of %d bytes; expected at most %d", len(f.Type), longestType)})
			}
		}
	}
	return d, nil
}

// longestType is how many bytes may describe a type.
const longestType = 16 << 10

// describes is the method that every object has, for errors.
var describes = &methodCore{of: &interfaceCore{name: "Object"}, name: "Describe"}

// CallJSON calls a method without the code of the interface: arguments and results are JSON objects by the names that the
// description gives, such as {"cents": 500}. Bytes are strings in base64. An argument that is a reference is the name of an object, which
// is looked up; one that comes back is what is known of it. Errors name the argument.
func (r *Remote) CallJSON(ctx context.Context, d Description, method string, args []byte) (results []byte, err error) {
	i := slices.IndexFunc(d.Methods, func(m MethodDescription) bool { return m.Name == method })
	if i < 0 {
		return nil, &Error{Kind: NoMethod, Happened: No, Method: short(d.Name) + "." + method, Where: r.peer.id.String(), Text: "it has " + methodNames(d)}
	}
	m := &d.Methods[i]
	is := &methodCore{of: &interfaceCore{name: d.Name}, name: method}
	in, err := r.fromJSON(ctx, m.In, args)
	if err != nil {
		return nil, is.wrong(r, &Error{Kind: BadArgument, Happened: No, Text: err.Error()})
	}
	encoded, err := encode(in)
	if err != nil {
		return nil, is.wrong(r, err)
	}
	w := r.invoke(ctx, uint32(i)+1, m.Semantics, encoded)
	defer w.free()
	if w.outcome.Status != invocation.OK {
		return nil, is.failed(ctx, r, &w.outcome)
	}
	out := map[string]any{}
	if err := decode(w.outcome.Result, &out); err != nil {
		return nil, is.garbled(r, err)
	}
	return toJSON(m.Out, out)
}

func methodNames(d Description) string {
	names := make([]string, len(d.Methods))
	for i, m := range d.Methods {
		names[i] = m.Name
	}
	return strings.Join(names, ", ")
}

// fromJSON reads arguments.
func (r *Remote) fromJSON(ctx context.Context, fields []Field, text []byte) (map[string]any, error) {
	in := map[string]any{}
	if len(bytes.TrimSpace(text)) > 0 {
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		if err := d.Decode(&in); err != nil {
			return nil, fmt.Errorf("found what is no JSON object: %w; expected one such as %s", err, example(fields))
		}
		if d.More() {
			return nil, fmt.Errorf("found more than one JSON object")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(in)) {
		if !slices.ContainsFunc(fields, func(f Field) bool { return f.Name == name }) {
			return nil, fmt.Errorf("found the argument %.40q; expected %s", name, example(fields))
		}
	}
	for _, f := range fields {
		v, ok := in[f.Name]
		if !ok {
			return nil, fmt.Errorf("%s is missing; expected %s", f.Name, example(fields))
		}
		v, err := (&wordReader{rest: f.Type}).from(ctx, r.peer.node, v)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		in[f.Name] = v
	}
	return in, nil
}

// example is like {"cents": int64}.
func example(fields []Field) string {
	parts := make([]string, len(fields))
	for i, f := range fields {
		parts[i] = fmt.Sprintf("%q: %s", f.Name, f.Type)
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// A wordReader goes through the words of a type: see words.
type wordReader struct{ rest string }

func (w *wordReader) skip(prefix string) bool {
	rest, ok := strings.CutPrefix(w.rest, prefix)
	if ok {
		w.rest = rest
	}
	return ok
}

// name takes a name.
func (w *wordReader) name() string {
	i := strings.IndexAny(w.rest, " ,}]")
	switch {
	case i < 0:
		i = len(w.rest)
	case i == 0: // what is no type: it must come to an end all the same
		i = 1
	}
	name := w.rest[:i]
	w.rest = w.rest[i:]
	return name
}

// whole takes the words of one type, without a value.
func (w *wordReader) whole() string {
	before := w.rest
	switch {
	case w.skip("[]"), w.skip("*"):
		w.whole()
	case w.skip("map["):
		w.whole()
		w.skip("]")
		w.whole()
	case w.skip("{"):
		for w.rest != "" && !w.skip("}") {
			w.name()
			w.skip(" ")
			w.whole()
			w.skip(", ")
		}
	default:
		w.name()
	}
	return before[:len(before)-len(w.rest)]
}

// from turns a JSON value into one that is encoded as the type.
func (w *wordReader) from(ctx context.Context, n *Node, v any) (any, error) {
	words := w.whole()
	in := &wordReader{rest: words}
	switch {
	case in.skip("*"):
		if v == nil {
			return nil, nil
		}
		return in.from(ctx, n, v)
	case in.skip("[]"):
		list, ok := v.([]any)
		if !ok && v != nil {
			return nil, unlike(v, words)
		}
		for i := range list {
			var err error
			if list[i], err = (&wordReader{in.rest}).from(ctx, n, list[i]); err != nil {
				return nil, fmt.Errorf("[%d]: %w", i, err)
			}
		}
		return list, nil
	case in.skip("map["):
		return in.fromMap(ctx, n, v, words)
	case in.skip("{"):
		return in.fromStruct(ctx, n, v, words)
	}
	return scalar(ctx, n, v, words)
}

func (w *wordReader) fromMap(ctx context.Context, n *Node, v any, words string) (any, error) {
	entries, ok := v.(map[string]any)
	if !ok && v != nil {
		return nil, unlike(v, words)
	}
	key := w.whole()
	w.skip("]")
	out := map[any]any{}
	for name, e := range entries {
		var k any = name
		if key != "string" {
			k = json.Number(name)
		}
		k, err := scalar(ctx, n, k, key)
		if err == nil {
			e, err = (&wordReader{w.rest}).from(ctx, n, e)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out[k] = e
	}
	return out, nil
}

func (w *wordReader) fromStruct(ctx context.Context, n *Node, v any, words string) (any, error) {
	given, ok := v.(map[string]any)
	if !ok {
		return nil, unlike(v, words)
	}
	out := map[string]any{}
	for w.rest != "" && !w.skip("}") {
		name := w.name()
		w.skip(" ")
		field := w.whole()
		w.skip(", ")
		if e, ok := given[name]; ok {
			e, err := (&wordReader{field}).from(ctx, n, e)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			out[name] = e
			delete(given, name)
		}
	}
	for name := range given {
		return nil, fmt.Errorf("found %.40q; expected %s", name, words)
	}
	return out, nil
}

// scalar turns a JSON value into one of a simple type.
func scalar(ctx context.Context, n *Node, v any, words string) (any, error) {
	text, isText := v.(string)
	number, isNumber := v.(json.Number)
	var out any
	var err error
	switch {
	case words == "reference" && isText:
		e, err := n.Names().Lookup(ctx, text)
		return e.Ref, err
	case words == "reference" && v == nil:
		return Ref{}, nil
	case words == "string" && isText, words == "time" && isText:
		return text, nil
	case words == "bool":
		if b, ok := v.(bool); ok {
			return b, nil
		}
	case strings.HasPrefix(words, "int") && isNumber:
		out, err = strconv.ParseInt(number.String(), 10, size(words, "int"))
	case strings.HasPrefix(words, "uint") && isNumber:
		out, err = strconv.ParseUint(number.String(), 10, size(words, "uint"))
	case strings.HasPrefix(words, "float") && isNumber:
		out, err = number.Float64()
	case isText && words != "string":
		out, err = base64.StdEncoding.DecodeString(text)
	}
	if out == nil || err != nil {
		return nil, unlike(v, words)
	}
	return out, nil
}

// size is how many bits a number has, by the name of its type.
func size(words, kind string) int {
	if bits, err := strconv.Atoi(words[len(kind):]); err == nil {
		return bits
	}
	return 64
}

func unlike(v any, words string) error {
	b, err := json.Marshal(v)
	if err != nil || len(b) > 60 {
		b = append(b[:min(60, len(b))], "…"...)
	}
	return fmt.Errorf("found %s; expected %s", b, words)
}

// toJSON writes results, in the order of the description.
func toJSON(fields []Field, out map[string]any) ([]byte, error) {
	b := []byte{'{'}
	for i, f := range fields {
		if i > 0 {
			b = append(b, ',')
		}
		name, _ := json.Marshal(f.Name)
		v, err := json.Marshal(plain(out[f.Name], f.Type))
		if err != nil {
			return nil, fmt.Errorf("rmi: the result %s: %w", f.Name, err)
		}
		b = append(append(append(b, name...), ':'), v...)
	}
	return append(b, '}'), nil
}

// plain makes of a value that was decoded without its type one that JSON can have. References show hashes of their objects.
func plain(v any, words string) any {
	switch v := v.(type) {
	case map[any]any:
		if words == "reference" {
			return plainRef(v)
		}
		return plainMap(v, words)
	case []any:
		for i := range v {
			v[i] = plain(v[i], strings.TrimPrefix(words, "[]"))
		}
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Sprint(v)
		}
	}
	return v
}

func plainRef(v map[any]any) any {
	b, err := encMode.Marshal(v)
	var ref Ref
	if err == nil {
		err = decMode.Unmarshal(b, &ref)
	}
	if err != nil {
		return err.Error()
	}
	ref.Transfer = 0
	return ref
}

func plainMap(v map[any]any, words string) any {
	in := &wordReader{rest: words}
	types := map[string]string{}
	switch {
	case in.skip("*"):
		return plainMap(v, in.rest)
	case in.skip("map["):
		in.whole()
		in.skip("]")
		types[""] = in.rest
	case in.skip("{"):
		for in.rest != "" && !in.skip("}") {
			name := in.name()
			in.skip(" ")
			types[name] = in.whole()
			in.skip(", ")
		}
	}
	out := map[string]any{}
	for k, e := range v {
		name := fmt.Sprint(k)
		t, ok := types[name]
		if !ok {
			t = types[""]
		}
		out[name] = plain(e, t)
	}
	return out
}
