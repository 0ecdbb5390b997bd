package bench

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A mesh is a member's ends of bare TCP connections with all the others, one each: what the machine carries when nobody
// numbers, checks or orders anything. Its members write all the time, 64 KiB at once, and read what comes.
type mesh struct {
	listener net.Listener

	mu       sync.Mutex
	conns    []net.Conn
	sent     atomic.Int64 // bytes, to all
	received atomic.Int64
	stop     atomic.Bool
}

// The first byte on a connection says what it is for.
const (
	meshStream = 's'
	meshEcho   = 'e'
)

const meshWrite = 64 << 10

func newMesh() (*mesh, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	m := &mesh{listener: l}
	go accept(l, m.greet)
	return m, nil
}

func (m *mesh) greet(c net.Conn) {
	kind := make([]byte, 1)
	if _, err := io.ReadFull(c, kind); err != nil {
		c.Close()
		return
	}
	if kind[0] == meshStream {
		m.add(c)
		return
	}
	defer c.Close()
	b := make([]byte, meshWrite)
	for {
		n, err := c.Read(b)
		if err != nil {
			return
		}
		if _, err := c.Write(b[:n]); err != nil {
			return
		}
	}
}

func (m *mesh) add(c net.Conn) {
	m.mu.Lock()
	m.conns = append(m.conns, c)
	m.mu.Unlock()
	go func() {
		b := make([]byte, meshWrite)
		for {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			m.received.Add(int64(n))
		}
	}()
}

func dialMesh(address string, kind byte) (net.Conn, error) {
	c, err := net.Dial("tcp", address)
	if err == nil {
		_, err = c.Write([]byte{kind})
	}
	return c, err
}

// dial connects to another member.
func (m *mesh) dial(address string) error {
	c, err := dialMesh(address, meshStream)
	if err == nil {
		m.add(c)
	}
	return err
}

// others waits until there are so many connections.
func (m *mesh) others(n int, patience time.Duration) error {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		m.mu.Lock()
		have := len(m.conns)
		m.mu.Unlock()
		if have == n {
			return nil
		}
	}
	return errors.New("the mesh is not complete")
}

// run writes for so long and gives how many bytes a second were received, and sent to each: what a member that
// delivers its own messages too delivers; and how many seconds of processors a second that took. The beginning does not
// count.
func (m *mesh) run(length time.Duration) (perSecond, busy float64) {
	m.stop.Store(false)
	var writers sync.WaitGroup
	for _, c := range m.conns {
		writers.Go(func() { m.write(c) })
	}
	time.Sleep(length / 4)
	before, cpu, began := m.bytes(), cpuTime(), time.Now()
	time.Sleep(length * 3 / 4)
	took := time.Since(began).Seconds()
	perSecond, busy = (m.bytes()-before)/took, (cpuTime()-cpu).Seconds()/took
	m.stop.Store(true)
	writers.Wait()
	return perSecond, busy
}

func (m *mesh) bytes() float64 {
	return float64(m.received.Load()) + float64(m.sent.Load())/float64(max(len(m.conns), 1))
}

func (m *mesh) write(c net.Conn) {
	b := make([]byte, meshWrite)
	for !m.stop.Load() {
		n, err := c.Write(b)
		if err != nil {
			return
		}
		m.sent.Add(int64(n))
	}
}

// trips makes round trips of so many bytes to another member, one after the other, and gives the microseconds of each.
func trips(address string, size int, length time.Duration) (took []float64, err error) {
	c, err := dialMesh(address, meshEcho)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	b := make([]byte, size)
	now := time.Now()
	for end := now.Add(length); now.Before(end); {
		if _, err = c.Write(b); err == nil {
			_, err = io.ReadFull(c, b)
		}
		if err != nil {
			return nil, err
		}
		after := time.Now()
		took = append(took, float64(after.Sub(now))/1e3)
		now = after
	}
	return took[min(rpcWarmUp, len(took)-1):], nil
}
