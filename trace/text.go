package trace

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"ciranda.dev/protocol"
)

// Text is an event in a line for people, without its time and node, such as "receives bully.OK counter=3 from 5".
func Text(e *Event, h *Header) string {
	switch e.Kind {
	case Start:
		return "starts"
	case Recover:
		return lifeText(e)
	case Crash:
		return "crashes"
	case Stop:
		return "stops"
	case Pause:
		return "stands still"
	case Resume:
		return "goes on"
	case Send:
		return join("sends", messageText(e), "to", addressee(e), copyText(e))
	case Receive:
		return join("receives", messageText(e), "from", e.Peer.String(), copyText(e))
	case TimerSet:
		return join("sets timer", h.LayerName(e.Layer)+"/"+h.TimerName(e.Layer, e.Timer), "to", time.Duration(e.After).String())
	case TimerFire:
		return join("timer", h.LayerName(e.Layer)+"/"+h.TimerName(e.Layer, e.Timer), "expires")
	case TimerCancel:
		return join("cancels timer", h.LayerName(e.Layer)+"/"+h.TimerName(e.Layer, e.Timer))
	case Persisted:
		return recordText(e)
	case Call:
		return join("is asked for", messageText(e))
	case Told, Noted:
		return join(e.Name(), DataText(e.Data))
	default:
		return networkText(e)
	}
}

func networkText(e *Event) string {
	switch e.Kind {
	case Drop:
		d, _ := DataOf[Loss](e)
		return join("message", e.Message().String(), "to", e.Peer.String(), "is lost:", d.Reason)
	case Duplicate:
		return join("message", e.Message().String(), "to", e.Peer.String(), "is doubled")
	case Fault:
		d, _ := DataOf[FaultNote](e)
		return join("fault:", d.Text)
	case Calm:
		return "from here on no fault"
	case End:
		d, _ := DataOf[Ending](e)
		return fmt.Sprintf("the run ends, %d messages on their way", d.InFlight)
	}
	return e.Kind.String()
}

func lifeText(e *Event) string {
	d, _ := DataOf[Life](e)
	with := "with nothing stored"
	if d.Stored {
		with = "with what it had stored"
	}
	return fmt.Sprintf("comes back, life %d, %s", e.Inc, with)
}

func recordText(e *Event) string {
	d, _ := DataOf[Record](e)
	return fmt.Sprintf("stores %s, %d bytes", d.Key, d.Length)
}

func messageText(e *Event) string {
	name := e.MessageName()
	if name == "" {
		name = "message " + e.Message().String()
	}
	if s, ok := e.Data.(string); ok {
		return strconv.Quote(s)
	}
	return join(name, DataText(e.Data))
}

// addressee is to whom a message is sent. Nobody in particular: it is a broadcast.
func addressee(e *Event) string {
	if e.Peer == protocol.None {
		return "all"
	}
	return e.Peer.String()
}

func copyText(e *Event) string {
	if e.Copy == 0 {
		return ""
	}
	return "(copy " + strconv.Itoa(int(e.Copy)) + ")"
}

// join puts blanks between the parts that are not empty.
func join(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		if p == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(p)
	}
	return b.String()
}

// ClockText is a time for people: seconds to the microsecond.
func ClockText(t int64) string {
	sign := ""
	if t < 0 {
		sign, t = "-", -t
	}
	return fmt.Sprintf("%s%d.%06ds", sign, t/1e9, t%1e9/1000)
}

// Line is an event in a line of its own, such as "0.012004s n3 receives bully.OK counter=3 from 5 [n5#1:17 lam 33]".
func Line(e *Event, h *Header) string {
	node := "  "
	if e.Node != 0 {
		node = "n" + e.Node.String()
	}
	line := ClockText(e.T) + " " + node + " " + Text(e, h)
	switch {
	case e.Kind == Send || e.Kind == Receive:
		return fmt.Sprintf("%s [%s lam %d]", line, e.Message(), e.Lamport)
	case e.Lamport != 0:
		return fmt.Sprintf("%s [lam %d]", line, e.Lamport)
	}
	return line
}

// maxText bounds DataText, in bytes.
const maxText = 200

// DataText is an event's Data in words, such as "leader=4 term={counter=7 leader=4}". It is empty if there is none.
func DataText(data any) string {
	if data == nil {
		return ""
	}
	if d, ok := data.(Digest); ok {
		return fmt.Sprintf("(%d bytes)", d.Length)
	}
	raw, err := json.Marshal(data)
	if err != nil {
		return fmt.Sprintf("%+v", data)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var b strings.Builder
	writeValue(&b, d, true)
	if text := b.String(); len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(b.String()[:maxText], "") + "…"
}

// writeValue writes the next JSON value without quotes, the outermost braces left out.
func writeValue(b *strings.Builder, d *json.Decoder, outer bool) {
	token, err := d.Token()
	if err != nil {
		return
	}
	switch t := token.(type) {
	case json.Delim:
		writeMany(b, d, t, outer)
	case string:
		b.WriteString(strings.ReplaceAll(t, "\n", " "))
	case nil:
		b.WriteString("none")
	default:
		fmt.Fprint(b, t)
	}
}

func writeMany(b *strings.Builder, d *json.Decoder, open json.Delim, outer bool) {
	if !outer || open == '[' {
		b.WriteString(open.String())
	}
	for i := 0; d.More(); i++ {
		if i > 0 {
			b.WriteByte(' ')
		}
		if open == '{' {
			writeValue(b, d, false)
			b.WriteByte('=')
		}
		writeValue(b, d, false)
	}
	if end, err := d.Token(); err == nil && (!outer || open == '[') {
		fmt.Fprint(b, end)
	}
}
