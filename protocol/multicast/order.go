package multicast

import "ciranda.dev/protocol"

// advance delivers what may be delivered now.
func (l *Layer) advance(o *protocol.Out) {
	if l.stopped && l.opts.Mistake != GoesOn {
		return
	}
	for i := range l.lanes {
		if l.lanes[i].pending > 0 {
			l.merge(i, o)
		}
	}
}

// merge delivers what may be delivered of a lane.
func (l *Layer) merge(i int, o *protocol.Out) {
	switch laneOf(uint8(i)).Order {
	case Causal:
		l.mergeCausal(i, o)
	case Total, inner:
		l.mergeTotal(i, o)
	case Lamport:
		l.mergeLamport(i, o)
	default:
		l.mergeFIFO(i, o)
	}
}

// ready is how many messages of the first piece of a member's queue are held by enough members.
func (l *Layer) ready(i, r int) int {
	q := &l.lanes[i].from[r].queue
	if q.len() == 0 {
		return 0
	}
	p := q.first()
	switch {
	case i%2 == 0 || l.settling:
		return len(p.payloads)
	case l.streams[r].safe < p.item:
		return 0
	}
	return int(min(uint64(len(p.payloads)), l.streams[r].safe-p.item+1))
}

func (l *Layer) mergeFIFO(i int, o *protocol.Out) {
	for r := range l.streams {
		for n := l.ready(i, r); n > 0; n = l.ready(i, r) {
			l.deliver(i, r, n, o)
		}
	}
}

// mergeCausal delivers messages whose causes are delivered, until there are none. Each delivery may free others.
func (l *Layer) mergeCausal(i int, o *protocol.Out) {
	for again := true; again; {
		again = false
		for r := range l.streams {
			if l.opts.Mistake == OwnRestFirst && l.settling {
				r = (l.rank + r) % len(l.streams)
			}
			for n := l.ready(i, r); n > 0 && l.caused(i, r); n = l.ready(i, r) {
				l.deliver(i, r, n, o)
				again = l.opts.Mistake != NoRescan
			}
		}
	}
}

// caused says whether all that the first piece of a member's queue may be caused by is delivered.
func (l *Layer) caused(i, r int) bool {
	n := &l.lanes[i]
	after := n.from[r].queue.first().after
	if len(after) == 0 || l.opts.Mistake == OwnEntryOnly {
		return true
	}
	for q := range n.from {
		done := n.from[q].done
		if l.opts.Mistake == CountsAtReceipt {
			done = n.from[q].came
		}
		if q != r && done < after[q] {
			return false
		}
	}
	return true
}

// mergeTotal delivers in the order of the coordinator's places.
func (l *Layer) mergeTotal(i int, o *protocol.Out) {
	n := &l.lanes[i]
	if l.opts.Mistake == OwnFirst {
		for k := l.ready(i, l.rank); k > 0; k = l.ready(i, l.rank) {
			l.deliver(i, l.rank, k, o)
		}
	}
	for n.places.len() > 0 {
		if l.opts.Mistake == SkipsMissing {
			l.skip(i)
		}
		p := n.places.first()
		if i%2 == 1 && p.item > l.streams[0].safe && !(l.opts.Mistake == CoordinatorHurries && l.coordinates()) {
			return
		}
		k := min(l.ready(i, p.rank), p.count)
		if k == 0 {
			return
		}
		l.deliver(i, p.rank, k, o)
		if p.count -= k; p.count == 0 {
			n.places.pop()
		}
	}
}

// skip is what SkipsMissing does: the first place whose message is there comes first.
func (l *Layer) skip(i int) {
	places := l.lanes[i].places.all()
	for k, p := range places {
		if l.ready(i, p.rank) > 0 {
			copy(places[1:], places[:k])
			places[0] = p
			return
		}
	}
}

// mergeLamport delivers in the order of time stamps, as long as nobody can send anything that comes earlier.
func (l *Layer) mergeLamport(i int, o *protocol.Out) {
	for {
		r := l.earliest(i)
		if r < 0 || !l.settling && !l.allPast(l.lanes[i].from[r].queue.first().stamp, r) {
			return
		}
		n := l.ready(i, r)
		if n == 0 {
			return
		}
		l.deliver(i, r, n, o)
	}
}

// earliest is the member whose queue begins with the earliest stamp, of equal ones that of the lowest rank; -1 if all
// are empty.
func (l *Layer) earliest(i int) (first int) {
	first = -1
	var least uint64
	for r := range l.streams {
		q := &l.lanes[i].from[r].queue
		if q.len() == 0 {
			continue
		}
		if t := q.first().stamp; first < 0 || t < least || t == least && l.opts.Mistake == TiesAnyhow && r == l.rank {
			first, least = r, t
		}
	}
	return first
}

// allPast says whether all members but one have come to a time.
func (l *Layer) allPast(t uint64, but int) bool {
	for r := range l.streams {
		if r != but && r != l.rank && l.streams[r].heard < t && l.opts.Mistake != Unheard {
			return false
		}
	}
	return l.clock >= t
}

// settle delivers what belongs to a view that has ended, up to a cut: what the order of each lane still says, then the rest in
// an order that is the same for all who hold the same.
func (l *Layer) settle(upto []uint64, o *protocol.Out) {
	l.stopped, l.settling = false, true
	for i := range l.lanes {
		if l.lanes[i].from == nil { // it is not run
			continue
		}
		l.cutLane(i, upto)
		if l.opts.Mistake == DropsRest {
			continue
		}
		switch laneOf(uint8(i)).Order {
		case Total, inner:
			l.settlePlaces(i, o)
			l.mergeCausal(i, o)
		case Lamport:
			l.settleStamps(i, o)
		default:
			l.merge(i, o)
		}
	}
	l.settling = false
}

// cutLane drops what is beyond the cut.
func (l *Layer) cutLane(i int, upto []uint64) {
	n := &l.lanes[i]
	if l.opts.Mistake == KeepsBeyond {
		return
	}
	for r := range n.from {
		q := &n.from[r].queue
		kept := 0
		for k := range q.all() {
			p := &q.all()[k]
			if p.item > upto[r] {
				break
			}
			if held := upto[r] - p.item + 1; held < uint64(len(p.payloads)) {
				p.payloads = p.payloads[:held:held]
			}
			kept++
		}
		q.items = q.items[:q.head+kept]
	}
	kept := 0
	for kept < n.places.len() && n.places.all()[kept].item <= upto[0] {
		kept++
	}
	n.places.items = n.places.items[:n.places.head+kept]
}

// settlePlaces delivers in the order of the places. A place may be of a message that nobody has any more; one that such a
// message may have caused is not delivered either.
func (l *Layer) settlePlaces(i int, o *protocol.Out) {
	n := &l.lanes[i]
	for n.places.len() > 0 {
		p := n.places.pop()
		for p.count > 0 && l.ready(i, p.rank) > 0 && l.caused(i, p.rank) {
			p.count -= l.deliver(i, p.rank, p.count, o)
		}
	}
}

// settleStamps delivers in the order of the stamps, but not what lacks a cause.
func (l *Layer) settleStamps(i int, o *protocol.Out) {
	for r := l.earliest(i); r >= 0; r = l.earliest(i) {
		if l.caused(i, r) {
			l.deliver(i, r, l.ready(i, r), o)
		} else {
			l.lanes[i].from[r].queue.clear()
		}
	}
}
