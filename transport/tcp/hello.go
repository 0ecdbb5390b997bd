package tcp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"ciranda.dev/protocol"
	"ciranda.dev/transport"
)

// A greeting is a Hello and what else the handshake needs.
type greeting struct {
	transport.Hello
	process [16]byte // random, the same for the life of the process
	nonce   [32]byte // random, used once
}

// ceiling is the greatest counter that is believed.
const ceiling = 1 << 62

func (g *greeting) append(b []byte) []byte {
	b = appendText(b, g.Cluster)
	b = appendText(b, g.Stack)
	b = binary.AppendUvarint(b, uint64(len(g.Group)))
	for _, id := range g.Group {
		b = binary.AppendUvarint(b, uint64(id))
	}
	b = binary.AppendUvarint(b, uint64(g.ID))
	b = binary.AppendUvarint(b, uint64(g.Incarnation))
	b = binary.AppendUvarint(b, g.Lamport)
	b = appendText(b, g.API)
	b = append(b, g.process[:]...)
	return append(b, g.nonce[:]...)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

var errHello = errors.New("the greeting is damaged")

// parseGreeting takes only what append makes.
func parseGreeting(b []byte) (g greeting, err error) {
	r := parser{b: b}
	g.Cluster, g.Stack = r.text(), r.text()
	if n := r.number(uint64(len(r.b))); !r.failed && n > 0 {
		g.Group = make([]protocol.ID, n)
		for i := range g.Group {
			g.Group[i] = protocol.ID(r.number(1<<16 - 1))
		}
	}
	g.ID = protocol.ID(r.number(1<<16 - 1))
	g.Incarnation = protocol.Incarnation(r.number(1<<32 - 1))
	g.Lamport = r.number(ceiling)
	g.API = r.text()
	copy(g.process[:], r.bytes(len(g.process)))
	copy(g.nonce[:], r.bytes(len(g.nonce)))
	if r.failed || len(r.b) > 0 || g.ID == protocol.None || g.Incarnation == 0 {
		return greeting{}, errHello
	}
	return g, nil
}

// A parser reads from b until something is wrong.
type parser struct {
	b      []byte
	failed bool
}

func (r *parser) number(most uint64) uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 || size > 1 && r.b[size-1] == 0 || n > most {
		r.failed, r.b = true, nil
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *parser) bytes(n int) []byte {
	if n > len(r.b) {
		r.failed, r.b = true, nil
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *parser) text() string { return string(r.bytes(int(r.number(maxHello)))) }

// differ says in words what two nodes that should agree do not agree on.
func differ(mine, theirs *greeting) error {
	switch {
	case mine.Cluster != theirs.Cluster:
		return fmt.Errorf("the clusters differ: %s here, %s there", quote(mine.Cluster), quote(theirs.Cluster))
	case mine.Stack != theirs.Stack:
		here, there := apart(mine.Stack, theirs.Stack)
		return fmt.Errorf("the stacks differ: %s here, %s there", quote(here), quote(there))
	case !slices.Equal(mine.Group, theirs.Group):
		return fmt.Errorf("the groups differ: nodes %.100v here, %.100v there", fmt.Sprint(mine.Group), fmt.Sprint(theirs.Group))
	case mine.process == theirs.process:
		return fmt.Errorf("node %d called itself: the address is its own", mine.ID)
	case mine.ID == theirs.ID:
		return fmt.Errorf("both nodes are number %d: a duplicate id", mine.ID)
	case !slices.Contains(mine.Group, theirs.ID):
		return fmt.Errorf("node %d is not in the group %v", theirs.ID, mine.Group)
	}
	return nil
}

// quote makes a text from another node fit to be shown.
func quote(s string) string { return fmt.Sprintf("%.120q", s) }

// apart cuts off what two long texts have in common before they differ.
func apart(a, b string) (string, string) {
	const long, before = 100, 30
	same := 0
	for same < min(len(a), len(b)) && a[same] == b[same] {
		same++
	}
	if max(len(a), len(b)) <= long || same <= before {
		return a, b
	}
	return "…" + a[same-before:], "…" + b[same-before:]
}
