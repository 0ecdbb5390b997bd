package bank

import (
	"time"

	"ciranda.dev/protocol"
)

// What the mistakes do that the rules have no place for.

// withhold stores the debit without the entry. That comes in a step of its own.
func (b *Bank) withhold(op operation, o *protocol.Out) {
	p := b.account.peer(op.peer)
	p.window = p.window[:len(p.window)-1]
	b.later = append(b.later, op)
	b.log.serial++
	b.saveAll(o)
	o.Set(protocol.Timer{Kind: laterTimer}, 20*time.Millisecond)
}

// enterLate makes the entries that were withheld.
func (b *Bank) enterLate(o *protocol.Out) {
	for _, op := range b.later {
		p := b.account.peer(op.peer)
		p.window = append(p.window, entry{number: op.number, amount: op.amount, fresh: true})
		o.Send(op.peer, Pay{op.number, op.amount, p.low()})
	}
	b.later = nil
	b.log.serial++
	b.saveAll(o)
	b.arm(o)
}

// applied is what the filter says.
func (b *Bank) applied(p *peer, number uint64) bool {
	if b.opts.Mistake == M4 && len(p.also) > 0 {
		return number <= p.also[len(p.also)-1]
	}
	return p.applied(number)
}

// mistakenMemory takes from a stored account what a mistake does not store.
func (b *Bank) mistakenMemory(o *protocol.Out) {
	switch b.opts.Mistake {
	case M2:
		b.account.next = 1
		for _, p := range b.account.peers {
			if n := len(p.window); n > 0 {
				b.account.next = max(b.account.next, p.window[n-1].number+1)
			}
		}
	case M6:
		for i := range b.account.peers {
			p := &b.account.peers[i]
			p.below, p.also, p.count = 0, nil, 0
		}
	case M8:
		b.account.answers = answers{}
	default:
		return
	}
	b.log.serial++
	b.saveAll(o) // so that later records follow from it
}
