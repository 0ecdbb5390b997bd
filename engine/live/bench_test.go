package live

import (
	"context"
	"testing"

	"ciranda.dev/engine/wire"
	"ciranda.dev/protocol"
	"ciranda.dev/trace"
	"ciranda.dev/transport"
)

// void is a transport that takes everything and delivers nothing.
type void struct{}

func (void) Send(protocol.ID, []byte, []byte) error { return nil }
func (void) Redial(protocol.ID)                     {}
func (void) Reset(protocol.ID)                      {}
func (void) Addr() string                           { return "void" }
func (void) Stats() transport.Stats                 { return transport.Stats{} }
func (void) Close(context.Context) error            { return nil }

// busy is a layer that counts messages, and sends so many to all when asked.
type busy struct {
	protocol.Base
	Count int
	Until int
	Call  uint64
}

func (b *busy) Traits() protocol.Traits {
	return protocol.Traits{Channel: "busy", Messages: []protocol.Message{Tell{}}}
}
func (b *busy) String() string { return "busy" }

func (b *busy) Receive(_ protocol.ID, _ protocol.Message, o *protocol.Out) {
	if b.Count++; b.Count == b.Until {
		o.Indicate(protocol.Reply{ID: b.Call})
	}
}

func (b *busy) Request(r any, o *protocol.Out) bool {
	c := r.(protocol.Call)
	switch body := c.Body.(type) {
	case int: // the reply comes once so many have arrived
		b.Call, b.Until = c.ID, body
		if b.Count == b.Until {
			o.Indicate(protocol.Reply{ID: c.ID})
		}
	case bool:
		o.SendAll(Tell{7})
		o.Indicate(protocol.Reply{ID: c.ID})
	}
	return true
}

func openBusy(b *testing.B, level trace.Level) *Node {
	b.Helper()
	cfg := Config{
		Cluster: "bench", ID: 1, Group: []protocol.ID{1, 2, 3, 4, 5}, Incarnation: 1, Level: level,
		Build: func(self protocol.Self) (*protocol.Stack, error) { return protocol.NewStack(self, &busy{}) },
		Transport: func(transport.Handler, func() transport.Hello) (transport.Transport, error) {
			return void{}, nil
		},
	}
	if level != trace.Off {
		cfg.Sink = trace.NewRing(1000)
	}
	n, err := Open(cfg)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// A message, from its bytes to the end of its handler; batches of 256 messages.
func BenchmarkReceive(b *testing.B) {
	for name, level := range map[string]trace.Level{"off": trace.Off, "full": trace.Full} {
		b.Run("trace="+name, func(b *testing.B) {
			n := openBusy(b, level)
			body, err := n.codec.Encode(nil, protocol.Packet{Body: Tell{7}})
			if err != nil {
				b.Fatal(err)
			}
			message := append(wire.AppendEnvelope(nil, wire.Envelope{Seq: 1, Lamport: 1, To: 1}), body...)
			messages := make([][]byte, 256)
			for i := range messages {
				messages[i] = message
			}
			b.ReportAllocs()
			b.ResetTimer()
			for done := 0; done < b.N; done += len(messages) {
				handler{n}.Receive(2, 1, messages[:min(len(messages), b.N-done)])
			}
			if _, err := n.Call(context.Background(), b.N); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			if err := n.Close(context.Background()); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// A call that sends to four others and is replied to.
func BenchmarkCall(b *testing.B) {
	n := openBusy(b, trace.Off)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := n.Call(context.Background(), true); err != nil {
			b.Fatal(err)
		}
	}
	if err := n.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
}
