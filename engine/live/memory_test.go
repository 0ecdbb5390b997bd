package live

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"ciranda.dev/protocol"
	"ciranda.dev/transport"
)

// A mesh connects transports in memory: a goroutine for each direction of each pair, with a bounded queue.
type mesh struct {
	mu   sync.Mutex
	room int // messages that a queue holds
	ends map[protocol.ID]*end
}

func newMesh(room int) *mesh { return &mesh{room: room, ends: map[protocol.ID]*end{}} }

type end struct {
	mesh    *mesh
	hello   func() transport.Hello
	handler transport.Handler
	in      map[protocol.ID]*pipe
	served  sync.WaitGroup // the goroutines of in
	stats   transport.Stats
	resets  int
	redials int
}

// A pipe carries one connection's messages to one end.
type pipe struct {
	from     transport.Hello
	messages chan []byte
	full     atomic.Bool   // a message was refused
	hangUp   chan struct{} // the sender closed: Down follows the last message
	stop     chan struct{} // the receiver closed
	done     chan struct{} // the receiver has been told all
}

func (m *mesh) open(h transport.Handler, hello func() transport.Hello) (transport.Transport, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := &end{mesh: m, hello: hello, handler: h, in: map[protocol.ID]*pipe{}}
	for _, other := range m.ends {
		other.connect(hello())
		e.connect(other.hello())
	}
	m.ends[hello().ID] = e
	return e, nil
}

// connect lets an end be told what another sends.
func (e *end) connect(from transport.Hello) {
	p := &pipe{from: from, messages: make(chan []byte, e.mesh.room), stop: make(chan struct{}), hangUp: make(chan struct{}), done: make(chan struct{})}
	before := e.in[from.ID]
	e.in[from.ID] = p
	e.served.Go(func() {
		if before != nil {
			<-before.done // the end of a connection is told before the next one
		}
		e.serve(p)
	})
}

func (e *end) serve(p *pipe) {
	defer close(p.done)
	e.handler.Up(p.from)
	for {
		select {
		case m := <-p.messages:
			e.handler.Receive(p.from.ID, p.from.Incarnation, [][]byte{m})
			e.room(p)
		case <-p.stop:
			return
		case <-p.hangUp:
			for len(p.messages) > 0 {
				e.handler.Receive(p.from.ID, p.from.Incarnation, [][]byte{<-p.messages})
			}
			e.handler.Down(p.from.ID, p.from.Incarnation)
			return
		}
	}
}

// room tells the sender that there is room again, if it found none.
func (e *end) room(p *pipe) {
	if len(p.messages) > cap(p.messages)/2 || !p.full.Swap(false) {
		return
	}
	e.mesh.mu.Lock()
	sender := e.mesh.ends[p.from.ID]
	e.mesh.mu.Unlock()
	if sender != nil {
		sender.handler.Room(e.hello().ID)
	}
}

func (e *end) Send(to protocol.ID, head, body []byte) error {
	e.mesh.mu.Lock()
	defer e.mesh.mu.Unlock()
	other := e.mesh.ends[to]
	if other == nil || other.in[e.hello().ID] == nil {
		return transport.ErrDown
	}
	p := other.in[e.hello().ID]
	select {
	case p.messages <- slices.Concat(head, body):
		return nil
	default:
		p.full.Store(true)
		return transport.ErrFull
	}
}

// Redial is always refused: there is a connection to everybody who is there.
func (e *end) Redial(to protocol.ID) {
	e.mesh.mu.Lock()
	defer e.mesh.mu.Unlock()
	if e.mesh.ends[to] == nil {
		e.redials++
		e.served.Go(func() { e.handler.Down(to, 1) })
	}
}

func (e *end) Reset(to protocol.ID) {
	e.mesh.mu.Lock()
	defer e.mesh.mu.Unlock()
	e.resets++
	me, other := e.hello(), e.mesh.ends[to]
	if other == nil {
		return
	}
	close(other.in[me.ID].hangUp)
	close(e.in[to].hangUp)
	other.connect(me)
	e.connect(other.hello())
}

func (e *end) Addr() string           { return "memory" }
func (e *end) Stats() transport.Stats { return e.stats }

func (e *end) Close(context.Context) error {
	e.mesh.mu.Lock()
	me := e.hello().ID
	delete(e.mesh.ends, me)
	for _, p := range e.in {
		close(p.stop)
	}
	for _, other := range e.mesh.ends {
		if p := other.in[me]; p != nil {
			close(p.hangUp)
			delete(other.in, me)
		}
	}
	e.mesh.mu.Unlock()
	e.served.Wait()
	return nil
}
