//go:build unix

package socket

import (
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// idleCost is the most that an idle connection may take of memory, in bytes, at both ends together.
const idleCost = 20 << 10

// Ten thousand idle connections take little memory and one goroutine each, and give it back. Meanwhile and afterwards
// each can be used. Where a process may not open so many files there are fewer.
func TestIdleCrowd(t *testing.T) {
	s := newServer(Options{}, refuses)
	address := start(t, s)
	before := inUse()
	idle := make([]net.Conn, crowd(t))
	buffer := make([]byte, len(pong)+1)
	ask := func(i int) {
		idle[i].Write([]byte(ping + "\n"))
		if n, err := idle[i].Read(buffer); string(buffer[:n]) != pong+"\n" {
			t.Fatalf("connection %d of %d: got %q, %v", i, len(idle), buffer[:n], err)
		}
	}
	for i := range idle {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		idle[i] = c
		ask(i)
	}
	if n := runtime.NumGoroutine(); n > len(idle)+50 {
		t.Errorf("%d connections need %d goroutines", len(idle), n)
	}
	if cost := (inUse() - before) / int64(len(idle)); cost > idleCost {
		t.Errorf("an idle connection takes %d bytes; expected at most %d", cost, idleCost)
	} else {
		t.Logf("an idle connection of %d takes %d bytes", len(idle), cost)
	}
	for i := range idle {
		ask(i)
	}
	if k := dialTo(t, address); !strings.Contains(k.ask(ping), pong) {
		t.Error("there is no room for another one")
	}
}

// inUse are the bytes of the heap and of stacks that are in use.
func inUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

// crowd is how many connections a process may have to itself, at most ten thousand.
func crowd(t *testing.T) int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	n := min(uint64(10_000), (uint64(limit.Cur)-100)/2) // each has two ends here
	if n < 100 {
		t.Skipf("a process may open %d files", limit.Cur)
	}
	return int(n)
}
