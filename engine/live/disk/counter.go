package disk

import (
	"encoding/binary"
	"sync"

	"ciranda.dev/protocol"
)

// A Counter is the memory of a number that must never go back, though it changes too often to be written each time.
// A limit is written in its stead, a block ahead of the number; a later life goes on from the limit. So a crash skips
// numbers and repeats none.
type Counter struct {
	store *Store
	key   string
	block uint64
	start uint64

	mu    sync.Mutex
	limit uint64 // numbers up to it may be used
	asked uint64 // the limit that is being written
	mark  uint64 // its mark
}

// Counter gives the counter of a name. A block is how many numbers are kept in advance; a power of two of 2 or more.
func (s *Store) Counter(name string, block uint64) *Counter {
	key := "counter " + name
	b, _ := s.Stored(key)
	start, _ := binary.Uvarint(b)
	return &Counter{store: s, key: key, block: block, start: start, limit: start, asked: start}
}

// Start is the number after which this life goes on; 0 in the first one.
func (c *Counter) Start() uint64 { return c.start }

// Covers says whether a number may be used. If half of the block is used, the next one is asked for.
func (c *Counter) Covers(n uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.limit < c.asked && c.store.Durable() >= c.mark {
		c.limit = c.asked
	}
	if n+c.block/2 > c.asked {
		c.asked = n + c.block
		c.mark = c.store.Append(protocol.Record{Key: c.key, Value: binary.AppendUvarint(nil, c.asked)})
	}
	return n <= c.limit
}
