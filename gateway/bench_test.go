package gateway

import "testing"

// BenchmarkTransfers is a load of 16 clients through one gateway to 5 nodes, all in this process.
func BenchmarkTransfers(b *testing.B) {
	l := newLab(b, 5)
	_, c := l.gateway("one")
	t := NewTeller("bench", c.Bank)
	b.SetParallelism(16)
	next := make(chan uint32)
	go func() {
		for i := uint32(0); ; i++ {
			select {
			case next <- i:
			case <-b.Context().Done():
				return
			}
		}
	}()
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			i := <-next
			if _, err := t.Transfer(b.Context(), 1+i%5, 1+(i+1)%5, 1, false); err != nil {
				b.Error(err)
			}
		}
	})
}
