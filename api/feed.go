package api

import (
	"context"
	"crypto/rand"
	"sort"
	"strconv"
	"strings"
	"sync"
)

// A Feed keeps the last events of a stream, so that readers can come late and come again. It never waits for a reader.
// Events of the many and of the few kinds are kept apart: however much money moves, the last elections are still there.
type Feed[T any] struct {
	mu        sync.Mutex
	life      string // names this feed: cursors of another one are none of its own
	few, many ring[T]
	next      uint64        // the position of the next event, from 1
	moved     chan struct{} // closed at the next event
	ended     bool          // nothing will follow
}

// Many says whether events of a kind come in such numbers that they must not push out the others.
func Many(kind string) bool {
	for _, family := range []string{"bank.", "board.", "link.", "mc.", "snap."} { // snapshots may be taken back to back
		if strings.HasPrefix(kind, family) {
			return true
		}
	}
	return kind == "reply"
}

// NewFeed makes a feed that keeps the last size events of the many kinds, and as many of the others.
func NewFeed[T any](size int) *Feed[T] {
	f := &Feed[T]{life: rand.Text()[:8], next: 1, moved: make(chan struct{})}
	f.few.size, f.many.size = size, size
	return f
}

// Append adds the event, of the many kinds or not, that make gives for its position.
func (f *Feed[T]) Append(many bool, make func(position uint64) T) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return
	}
	to := &f.few
	if many {
		to = &f.many
	}
	to.push(placed[T]{f.next, make(f.next)})
	f.next++
	f.wake()
}

// A ring keeps the last events of its kinds.
type ring[T any] struct {
	size   int
	events []placed[T] // the n-th is at n mod size
	count  int         // of all that came
}

type placed[T any] struct {
	at    uint64
	event T
}

func (r *ring[T]) push(p placed[T]) {
	if len(r.events) < r.size {
		r.events = append(r.events, p)
	} else {
		r.events[r.count%r.size] = p
	}
	r.count++
}

// get is the n-th event that came, from 0. It is one of those that are kept.
func (r *ring[T]) get(n int) *placed[T] { return &r.events[n%r.size] }

// from is which event is the first that is kept at a position or behind it.
func (r *ring[T]) from(at uint64) int {
	oldest := r.count - len(r.events)
	return oldest + sort.Search(len(r.events), func(i int) bool { return r.get(oldest+i).at >= at })
}

// Close says that nothing follows: readers end when they have read what there is.
func (f *Feed[T]) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = true
	f.wake()
}

// wake is called with the lock held.
func (f *Feed[T]) wake() {
	close(f.moved)
	f.moved = make(chan struct{})
}

// first is the position of the oldest event that is kept. It is called with the lock held.
func (f *Feed[T]) first() uint64 {
	first := f.next
	for _, r := range []*ring[T]{&f.few, &f.many} {
		if len(r.events) > 0 {
			first = min(first, r.get(r.count-len(r.events)).at)
		}
	}
	return first
}

// FromStart is the cursor of the oldest event that is kept.
const FromStart = "start"

// batch is the most events that a reader is given at a time.
const batch = 256

// Read gives the events behind a cursor to send, in batches and each with the cursor behind it, until ctx ends or send
// fails or the feed is closed; if atHand, only until there are no more. The first batch comes at once and may be empty.
// lost counts events before the batch that were not kept; those of a former feed cannot be counted, and all of this one
// are given.
func (f *Feed[T]) Read(ctx context.Context, cursor string, atHand bool,
	send func(position uint64, events []T, cursor string, lost uint64) error) error {
	at, err := f.parse(cursor)
	if err != nil {
		return err
	}
	for first := true; ; first = false {
		events, from, lost, moved, ended := f.take(at)
		at = from + uint64(len(events))
		if len(events) > 0 || first {
			if err := send(from, events, f.cursor(at), lost); err != nil {
				return err
			}
			continue
		}
		if atHand || ended {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// take copies up to a batch of events from a position on, without a gap between them.
func (f *Feed[T]) take(at uint64) (events []T, from, lost uint64, moved <-chan struct{}, ended bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	few, many := f.few.from(at), f.many.from(at)
	from = f.next
	for len(events) < batch {
		p := oldest(&f.few, few, &f.many, many)
		if p == nil || len(events) > 0 && p.at != from+uint64(len(events)) {
			break
		}
		if len(events) == 0 {
			from = p.at
		}
		if events = append(events, p.event); few < f.few.count && f.few.get(few) == p {
			few++
		} else {
			many++
		}
	}
	return events, from, from - at, f.moved, f.ended
}

// oldest is the older one of the n-th event of a ring and the m-th of another; nil if there is neither.
func oldest[T any](a *ring[T], n int, b *ring[T], m int) *placed[T] {
	switch {
	case n == a.count && m == b.count:
		return nil
	case m == b.count || n < a.count && a.get(n).at < b.get(m).at:
		return a.get(n)
	default:
		return b.get(m)
	}
}

func (f *Feed[T]) cursor(position uint64) string {
	return f.life + "." + strconv.FormatUint(position, 10)
}

// Reached says whether a reader with a cursor has been given all that lies before another cursor of the same feed.
func Reached(cursor, goal string) bool {
	life, at, _ := strings.Cut(cursor, ".")
	goalLife, goalAt, _ := strings.Cut(goal, ".")
	n, err := strconv.ParseUint(at, 10, 64)
	m, goalErr := strconv.ParseUint(goalAt, 10, 64)
	return life == goalLife && err == nil && goalErr == nil && n >= m
}

// behind is the cursor behind the event at a position, in the feed of another cursor.
func behind(cursor string, position uint64) string {
	life, _, _ := strings.Cut(cursor, ".")
	return life + "." + strconv.FormatUint(position+1, 10)
}

// parse gives the position from which a cursor goes on.
func (f *Feed[T]) parse(cursor string) (uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch cursor {
	case "":
		return f.next, nil
	case FromStart:
		return f.first(), nil
	}
	life, number, ok := strings.Cut(cursor, ".")
	at, err := strconv.ParseUint(number, 10, 64)
	if !ok || err != nil || at == 0 || life == f.life && at > f.next {
		return 0, Wrong("cursor", "cursor: found %.40q; expected one that this stream gave, %q or nothing", cursor, FromStart)
	}
	if life != f.life {
		return 1, nil
	}
	return at, nil
}
