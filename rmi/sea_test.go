package rmi

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// A sea is a network in memory, for tests whose time is that of package synctest.
type sea struct {
	mu     sync.Mutex
	ports  map[string]*Node
	on     map[*shipped]bool
	hushed bool       // what is sent is lost, and connections seem to be there
	apart  bool       // nothing arrives, and no connection is made
	chance *rand.Rand // frames are lost and doubled by chance; nil: none is
}

func newSea() *sea { return &sea{ports: map[string]*Node{}, on: map[*shipped]bool{}} }

// node makes a node that others reach at an address.
func (s *sea) node(t *testing.T, address string, o Options) *Node {
	t.Helper()
	o.Secret, o.Dial, o.Resolve = []byte("a secret of the sea"), s.dial, s.resolve
	n, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	n.manual, n.lossy = true, s.chance != nil
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ports[address] = n
	return n
}

func (s *sea) dial(_ context.Context, address string) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.ports[address]
	if n == nil || s.apart {
		return nil, errors.New("nobody is there")
	}
	one, two := net.Pipe()
	a, b := s.ship(one), s.ship(two)
	go func() {
		if serve, err := n.Accept(b, secretHolder); err == nil {
			serve()
		}
	}()
	return a, nil
}

func (s *sea) resolve(_ context.Context, id ID) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for address, n := range s.ports {
		if n.id == id {
			return address, nil
		}
	}
	return "", nil
}

// cut breaks all connections, and lets none be made until it is mended.
func (s *sea) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apart = true
	for c := range s.on {
		c.Conn.Close()
		c.Close()
	}
}

func (s *sea) mend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apart = false
}

// A shipped connection has a buffer at each end, as those over TCP have: writers of two ends need not wait for each other.
type shipped struct {
	net.Conn
	sea  *sea
	out  chan []byte
	gone chan struct{}
	once sync.Once
}

func (s *sea) ship(c net.Conn) net.Conn {
	sh := &shipped{Conn: c, sea: s, out: make(chan []byte, 1024), gone: make(chan struct{})}
	s.on[sh] = true
	go sh.carry()
	return sh
}

func (c *shipped) carry() {
	for {
		select {
		case b := <-c.out:
			if _, err := c.Conn.Write(b); err != nil {
				return
			}
		case <-c.gone: // what was written before the close arrives
			for len(c.out) > 0 {
				if _, err := c.Conn.Write(<-c.out); err != nil {
					return
				}
			}
			c.Conn.Close()
			return
		}
	}
}

func (c *shipped) Write(b []byte) (int, error) {
	select {
	case c.out <- c.sea.weather(append([]byte(nil), b...)):
		return len(b), nil
	case <-c.gone:
		return 0, net.ErrClosed
	}
}

// weather loses a tenth of all frames and doubles another. Those by which a connection begins arrive.
func (s *sea) weather(b []byte) (out []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hushed {
		return nil
	}
	if s.chance == nil || bytes.HasPrefix(b, []byte(Preface)) {
		return b
	}
	for len(b) > 0 {
		size := 4 + int(binary.BigEndian.Uint32(b))
		frame := b[:size]
		b = b[size:]
		fate := s.chance.IntN(10)
		if fate > 0 || frame[4] <= proofFrame {
			out = append(out, frame...)
		}
		if fate == 1 && frame[4] > proofFrame {
			out = append(out, frame...)
		}
	}
	return out
}

func (c *shipped) SetWriteDeadline(time.Time) error { return nil }

func (c *shipped) Close() error {
	c.once.Do(func() { close(c.gone) })
	c.Conn.SetWriteDeadline(time.Now().Add(time.Second))
	return c.SetReadDeadline(time.Now())
}
