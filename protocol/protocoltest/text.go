package protocoltest

import (
	"fmt"
	"reflect"
	"strings"
	"unicode"

	"ciranda.dev/protocol"
)

// begins says what the step is about to handle: a message, timer or event whose name may be hidden.
func (b *Bench) begins(name string) {
	if b.pending = ""; b.Quiet {
		return
	}
	if b.hides(name) {
		b.pending = "hidden"
	}
}

// input writes the first line of a step, or keeps it until there is an effect to show.
func (b *Bench) input(format string, args ...any) {
	if b.Quiet {
		return
	}
	if b.pending != "" {
		b.pending = fmt.Sprintf(format, args...)
		return
	}
	b.line(format, args...)
}

// line writes a line of output, after the line of the input that it belongs to.
func (b *Bench) line(format string, args ...any) {
	if b.pending != "" {
		b.text.WriteString(b.pending + "\n")
		b.pending = ""
	}
	fmt.Fprintf(&b.text, format+"\n", args...)
}

// hides says whether a name, or its part before "(" or after ".", was hidden.
func (b *Bench) hides(name string) bool {
	short, _, _ := strings.Cut(name, "(")
	_, last, _ := strings.Cut(short, ".")
	return b.hidden[name] || b.hidden[short] || b.hidden[last]
}

// show writes an effect, unless it is hidden.
func (b *Bench) show(n *node, e protocol.Effect) {
	name, text := "", ""
	switch e.Kind {
	case protocol.Send:
		name, text = protocol.Name(e.Body), fmt.Sprintf("%d->%d %s", n.id, e.To, describe(e.Body))
	case protocol.Broadcast:
		name, text = protocol.Name(e.Body), fmt.Sprintf("%d->all %s", n.id, describe(e.Body))
	case protocol.Set:
		name = timerName(n.stack, e.Layer, e.Timer)
		text = fmt.Sprintf("set %s %s", name, e.After)
	case protocol.Cancel:
		name = timerName(n.stack, e.Layer, e.Timer)
		text = "cancel " + name
	case protocol.Persist:
		r := e.Body.(*protocol.Record)
		name, text = "persist", fmt.Sprintf("persist %s, %d bytes", r.Key, len(r.Value))
	case protocol.Indicate:
		if _, isReply := e.Body.(protocol.Reply); isReply {
			return // it is shown when it leaves
		}
		name, text = e.Body.(protocol.Event).Kind(), "tells "+tell(e.Body.(protocol.Event))
	case protocol.Note:
		name, text = e.Body.(protocol.Event).Kind(), "notes "+tell(e.Body.(protocol.Event))
	case protocol.Leave:
		r, isReply := e.Body.(protocol.Reply)
		if !isReply {
			return // it was shown where it was made
		}
		name, text = "reply", fmt.Sprintf("replies to call %d: %s", r.ID, describe(r.Body))
	}
	if !b.hides(name) {
		b.line("  %s", text)
	}
}

// timerName is the name of a timer for people, such as "dead(3)".
func timerName(s *protocol.Stack, layer uint8, t protocol.Timer) string {
	names := s.Traits()[layer].Timers
	name := fmt.Sprintf("timer %d", t.Kind)
	if int(t.Kind) < len(names) {
		name = names[t.Kind]
	}
	if t.Arg != 0 {
		name = fmt.Sprintf("%s(%d)", name, t.Arg)
	}
	return name
}

// tell writes an event: its kind and its fields.
func tell(e protocol.Event) string { return e.Kind() + fieldsOf(reflect.ValueOf(e)) }

// describe writes a message: the name of its type and its fields.
func describe(m any) string {
	if m == nil {
		return "nothing"
	}
	v := reflect.ValueOf(m)
	_, name, _ := strings.Cut(protocol.Name(m), ".")
	if v.Kind() != reflect.Struct {
		return fmt.Sprintf("%s %v", name, m)
	}
	return name + fieldsOf(v)
}

// fieldsOf writes the fields of a struct as " name=value". Of a boolean only the name is written, if it is true.
func fieldsOf(v reflect.Value) string {
	var b strings.Builder
	for i := range v.NumField() {
		f, field := v.Type().Field(i), v.Field(i)
		switch {
		case !f.IsExported() || f.Tag.Get("json") == "-": // it is in no trace either
		case field.Kind() == reflect.Bool:
			if field.Bool() {
				b.WriteString(" " + fieldName(f))
			}
		case f.Type == reflect.TypeFor[protocol.Packet]():
			fmt.Fprintf(&b, " %s=(%s)", fieldName(f), describe(field.Interface().(protocol.Packet).Body))
		case f.Type == reflect.TypeFor[[][]byte]():
			fmt.Fprintf(&b, " %s=%s", fieldName(f), texts(field.Interface().([][]byte)))
		case field.Kind() == reflect.Interface && !field.IsNil():
			fmt.Fprintf(&b, " %s=(%s)", fieldName(f), describe(field.Interface()))
		default:
			fmt.Fprintf(&b, " %s=%v", fieldName(f), field.Interface())
		}
	}
	return b.String()
}

// texts writes payloads as texts; of long ones the beginning and the length.
func texts(payloads [][]byte) string {
	all := []string{}
	for _, p := range payloads {
		text := fmt.Sprintf("%q", p)
		if len(p) > 20 {
			text = fmt.Sprintf("%q…%d", p[:5], len(p))
		}
		all = append(all, text)
	}
	return fmt.Sprint(all)
}

// fieldName is the field's name in traces, else its own in lower case.
func fieldName(f reflect.StructField) string {
	if tag, _, _ := strings.Cut(f.Tag.Get("json"), ","); tag != "" {
		return tag
	}
	if strings.ToUpper(f.Name) == f.Name {
		return strings.ToLower(f.Name)
	}
	return string(unicode.ToLower(rune(f.Name[0]))) + f.Name[1:]
}
