package udp

import (
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/transport"
)

// A member is what is known of one who is to hear this node.
type member struct {
	inc   protocol.Incarnation
	ready bool // it has the key
	heard bool // and a datagram
}

// A key opens the datagrams of a life in a view.
type key struct {
	inc    protocol.Incarnation
	view   uint64
	bytes  []byte
	lock   lock
	window window
}

// keysKept is how many keys of one node are kept: that of the view, and of those that others were faster to begin.
const keysKept = 3

// View says who is to get what this node broadcasts from now on, in a view whose number is greater than that of the one
// before. The node itself may be among them. Number 0 says that the node is a member of nothing.
func (t *Transport) View(number uint64, members []Member) {
	t.mu.Lock()
	now := time.Now()
	t.view, t.began, t.due, t.pause = number, now, now, 0
	t.members = map[protocol.ID]*member{}
	for _, m := range members {
		if t.group[m.Node] {
			t.members[m.Node] = &member{inc: m.Incarnation}
		}
	}
	for id := range t.keys {
		t.keys[id] = slices.DeleteFunc(t.keys[id], func(k *key) bool { return k.view < number })
	}
	t.mu.Unlock()
	if number == 0 || len(t.members) == 0 {
		t.sending.Store(nil)
	} else {
		t.sending.Store(t.draw(number))
	}
	t.rouse()
}

// draw draws the key of a view.
func (t *Transport) draw(view uint64) *outgoing {
	out := &outgoing{view: view}
	if !t.config.Insecure {
		out.key = make([]byte, keySize)
		rand.Read(out.key)
		out.lock = newLock(out.key)
	}
	return out
}

// Ears are the node's handler as the transport with the connections sees it: they take the words out.
type ears struct {
	transport.Hearer
	t *Transport
}

// Up implements [transport.Handler].
func (e ears) Up(peer transport.Hello) {
	e.t.mu.Lock()
	e.t.lives[peer.ID] = peer.Incarnation
	e.t.due, e.t.pause = time.Now(), 0
	e.t.mu.Unlock()
	e.t.rouse()
	e.Hearer.Up(peer)
}

// Receive implements [transport.Handler].
func (e ears) Receive(from protocol.ID, inc protocol.Incarnation, messages [][]byte) {
	if slices.ContainsFunc(messages, isWord) {
		rest := make([][]byte, 0, len(messages))
		for _, m := range messages {
			if isWord(m) {
				e.t.listen(life{from, inc}, m)
			} else {
				rest = append(rest, m)
			}
		}
		messages = rest
	}
	if len(messages) > 0 {
		e.Hearer.Receive(from, inc, messages)
	}
}

// listen takes a word from another node.
func (t *Transport) listen(from life, b []byte) {
	w, ok := parseWord(b)
	switch {
	case !ok:
		t.stats.drop(malformed)
		return
	case w.kind == keyWord && (len(w.key) == 0) != t.config.Insecure:
		t.stats.drop(mode)
		return
	}
	switch w.kind {
	case keyWord:
		t.learn(from, w)
		t.say(from, word{kind: readyWord, view: w.view})
	case readyWord:
		if t.confirm(from, w.view, func(m *member) { m.ready = true }) {
			t.probe()
		}
	case heardWord:
		if t.confirm(from, w.view, func(m *member) { m.ready, m.heard = true, true }) {
			t.rouse()
		}
	}
}

// say sends a word to a life of a node, if that is the one there is a connection to. It may be lost: then it is said again.
func (t *Transport) say(to life, w word) {
	<-t.opened
	t.mu.Lock()
	known := t.lives[to.id] == to.inc
	t.mu.Unlock()
	if known {
		_ = t.Send(to.id, w.bytes(), nil)
	}
}

// learn keeps a key. One that is known already keeps its window.
func (t *Transport) learn(from life, w word) {
	t.mu.Lock()
	defer t.mu.Unlock()
	known := t.keys[from.id]
	if w.view < t.view || slices.ContainsFunc(known, func(k *key) bool {
		return k.inc == from.inc && k.view == w.view && string(k.bytes) == string(w.key)
	}) {
		return
	}
	k := &key{inc: from.inc, view: w.view, bytes: slices.Clone(w.key)}
	if len(w.key) > 0 {
		k.lock = newLock(w.key)
	}
	known = append(slices.DeleteFunc(known, func(k *key) bool { return k.inc == from.inc && k.view == w.view }), k)
	if len(known) > keysKept {
		known = slices.Delete(known, 0, 1)
	}
	t.keys[from.id] = known
}

// confirm notes something of a member of the present view.
func (t *Transport) confirm(from life, view uint64, note func(*member)) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.members[from.id]
	if view != t.view || m == nil || m.inc != from.inc {
		return false
	}
	note(m)
	return true
}

// probe sends a probe, if that can be done.
func (t *Transport) probe() {
	out := t.sending.Load()
	t.mu.Lock()
	conn := t.conn
	t.mu.Unlock()
	if out != nil && conn != nil && t.send(conn, out, probe, nil) == nil {
		t.mu.Lock()
		t.trouble = ""
		t.mu.Unlock()
	}
}

// patience is how long a view may be new before somebody who does not hear is worth a word.
const patience = time.Second

// state says how it stands with the members.
func (t *Transport) state() protocol.Carries {
	var deaf []string
	for _, id := range slices.Sorted(maps.Keys(t.members)) {
		if !t.members[id].heard {
			deaf = append(deaf, id.String())
		}
	}
	switch {
	case t.view == 0 || len(t.members) == 0:
		return protocol.Carries{}
	case t.trouble != "":
		return protocol.Carries{Why: t.trouble}
	case len(deaf) == 0 && t.conn != nil:
		return protocol.Carries{Broadcasts: true, Size: t.size - overhead}
	case time.Since(t.began) < patience:
		return protocol.Carries{} // it is not known yet
	}
	return protocol.Carries{Why: fmt.Sprintf("found no answer to datagrams from node %s", strings.Join(deaf, ", "))}
}

// publish tells the handler if the state has changed. It is for the goroutine that tends only: the handler may wait for the
// node, which calls this transport.
func (t *Transport) publish() {
	t.mu.Lock()
	now := t.state()
	changed := now != t.told
	t.told = now
	t.mu.Unlock()
	if !changed || t.context.Err() != nil {
		return
	}
	if now.Broadcasts || now.Why != "" {
		t.config.Log.Debug("multicast", "node", t.self.id, "broadcasts", now.Broadcasts, "why", now.Why)
	}
	t.handler.Carries()
}
