package udp

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/transport"
)

// The pauses between attempts to reach those who do not answer, and to join the group.
const (
	leastPause = 50 * time.Millisecond
	mostPause  = 5 * time.Second
)

// tend is the goroutine that sees that all members hear this node.
func (t *Transport) tend() {
	for t.context.Err() == nil {
		timer := time.NewTimer(t.round())
		select {
		case <-timer.C:
		case <-t.wake:
		case <-t.context.Done():
		}
		timer.Stop()
	}
}

// round does what is to be done, and says when to look again.
func (t *Transport) round() time.Duration {
	if t.ripe() {
		t.join()
		missing, key := t.missing()
		for _, to := range missing {
			t.say(to, key)
		}
		if len(missing) > 0 {
			t.probe()
		}
	}
	t.publish()
	t.report()
	t.mu.Lock()
	defer t.mu.Unlock()
	return time.Until(t.due)
}

// ripe says whether it is time to tell those again who do not hear, and when that will be the next time.
func (t *Transport) ripe() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := time.Now(); !now.Before(t.due) {
		t.pause = min(max(2*t.pause, leastPause), mostPause)
		t.due = now.Add(t.pause)
		return true
	}
	return false
}

// missing are the members that do not hear this node yet, and the word that they need.
func (t *Transport) missing() (lives []life, w word) {
	out := t.sending.Load()
	t.mu.Lock()
	defer t.mu.Unlock()
	if out == nil || out.view != t.view {
		return nil, w
	}
	for _, id := range slices.Sorted(maps.Keys(t.members)) {
		if m := t.members[id]; !m.heard {
			lives = append(lives, life{id, m.inc})
		}
	}
	return lives, word{kind: keyWord, view: out.view, key: out.key}
}

// join joins the group, unless that is done.
func (t *Transport) join() {
	t.mu.Lock()
	done := t.conn != nil
	t.mu.Unlock()
	if done {
		return
	}
	conn, size, err := t.listenTo()
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err != nil:
		if why := fmt.Sprintf("the multicast group cannot be joined: %v", err); why != t.trouble {
			t.trouble = why
			t.config.Log.Warn("no multicast", "node", t.self.id, "why", why)
		}
	case t.context.Err() != nil:
		conn.Close()
	default:
		t.conn, t.size, t.trouble = conn, size, ""
		t.work.Go(func() { t.read(conn) })
	}
}

// listenTo joins the group. Size is that of the largest datagram that the interface carries in one piece.
func (t *Transport) listenTo() (conn Conn, size int, err error) {
	size = t.config.Size
	if t.config.Join != nil {
		conn, err = t.config.Join()
		return conn, size, err
	}
	conn, mtu, err := t.place.join()
	return conn, max(leastSize, min(size, mtu-outside)), err
}

// read is the goroutine that reads datagrams.
func (t *Transport) read(conn Conn) {
	b := make([]byte, mostSize+1)
	for {
		n, err := conn.Read(b)
		if t.context.Err() != nil {
			return
		}
		if err != nil {
			t.part(conn, err)
			return
		}
		from, kind, content, why := t.take(b[:n])
		switch {
		case why != none:
			t.stats.drop(why)
		case kind == probe:
			t.say(from, word{kind: heardWord, view: t.viewOf(b)})
		default:
			t.stats.received.Add(1)
			t.handler.Hear(from.id, from.inc, [][]byte{content})
			if len(content) >= transport.Kept {
				b = make([]byte, mostSize+1)
			}
		}
	}
}

// viewOf is the view of a datagram that was taken.
func (t *Transport) viewOf(b []byte) uint64 {
	h, _ := parseHeader(b)
	return h.view
}

// part gives up a Conn that cannot be read from.
func (t *Transport) part(conn Conn, err error) {
	conn.Close()
	t.mu.Lock()
	t.conn, t.due, t.pause = nil, time.Now(), 0
	t.mu.Unlock()
	t.fail(fmt.Sprintf("no datagram can be received: %v", err))
}

// take opens a datagram, or says why it is dropped. The cheap questions come first.
func (t *Transport) take(b []byte) (from life, kind byte, content []byte, why reason) {
	h, ok := parseHeader(b)
	switch {
	case !ok:
		return from, 0, nil, malformed
	case h.cluster != t.cluster:
		return from, 0, nil, foreign
	case h.from.id == t.self.id:
		return from, 0, nil, own
	case !t.group[h.from.id]:
		return from, 0, nil, stranger
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.find(h)
	switch {
	case k == nil:
		return from, 0, nil, view
	case h.sealed == t.config.Insecure:
		return from, 0, nil, mode
	case !k.window.fresh(h.counter):
		return from, 0, nil, replay
	}
	if content, ok = k.lock.open(b, h); !ok {
		return from, 0, nil, damaged
	}
	k.window.mark(h.counter)
	return h.from, h.kind, content, none
}

// find finds the key of a datagram; nil if there is none, or its view is over.
func (t *Transport) find(h header) *key {
	if h.view < t.view {
		return nil
	}
	for _, k := range t.keys[h.from.id] {
		if k.inc == h.from.inc && k.view == h.view {
			return k
		}
	}
	return nil
}

var _ transport.Broadcaster = (*Transport)(nil)

// Heard says who has shown that it hears this node, and who has not, ascending: for people.
func (t *Transport) Heard() (heard, deaf []protocol.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(t.members)) {
		if t.members[id].heard {
			heard = append(heard, id)
		} else {
			deaf = append(deaf, id)
		}
	}
	return heard, deaf
}
