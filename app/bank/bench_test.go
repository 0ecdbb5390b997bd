package bank

import (
	"testing"

	"ciranda.dev/protocol"
)

// BenchmarkTransfer is a client's transfer from the call to the settlement: three steps on two nodes.
func BenchmarkTransfer(b *testing.B) {
	for name, request := range map[string]Request{"without id": {}, "with id": {Client: "gateway 1"}} {
		b.Run(name, func(b *testing.B) {
			payer, payee := newRig(b, Options{Balance: 1 << 40}), newRig(b, Options{})
			b.ReportAllocs()
			bytes := 0
			for n := uint64(1); b.Loop(); n++ {
				t := Transfer{Request: request, To: 2, Amount: 1}
				if request.Client != "" {
					t.Request.Number, t.Request.Below = n, n-min(n, 64)
				}
				payer.stack.Call(protocol.Call{ID: n, Body: t}, protocol.Inputs{}, &payer.out)
				bytes += persisted(&payer.out)
				payee.stack.Receive(3, 1, protocol.Packet{Body: Pay{n, 1, n}}, protocol.Inputs{}, &payee.out)
				bytes += persisted(&payee.out)
				payer.stack.Receive(2, 1, protocol.Packet{Body: Paid{n}}, protocol.Inputs{}, &payer.out)
			}
			b.ReportMetric(float64(bytes)/float64(b.N), "disk-B/op")
		})
	}
}

func persisted(o *protocol.Out) (n int) {
	for _, e := range o.Effects() {
		if r, ok := e.Body.(*protocol.Record); ok && e.Kind == protocol.Persist {
			n += len(r.Value)
		}
	}
	return n
}
