package api

import (
	"context"
	"crypto/rand"
	"strconv"
	"strings"
	"sync"
)

// A Feed keeps the last events of a stream, so that readers can come late and come again. It never waits for a reader.
type Feed[T any] struct {
	mu    sync.Mutex
	life  string        // names this feed: cursors of another one are none of its own
	ring  []T           // event p is at (p-1) mod len
	next  uint64        // the position of the next event, from 1
	moved chan struct{} // closed at the next event
	ended bool          // nothing will follow
}

// NewFeed makes a feed that keeps the last size events.
func NewFeed[T any](size int) *Feed[T] {
	return &Feed[T]{life: rand.Text()[:8], ring: make([]T, size), next: 1, moved: make(chan struct{})}
}

// Append adds the event that make gives for its position.
func (f *Feed[T]) Append(make func(position uint64) T) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return
	}
	f.ring[(f.next-1)%uint64(len(f.ring))] = make(f.next)
	f.next++
	f.wake()
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
	if n := uint64(len(f.ring)); f.next > n {
		return f.next - n
	}
	return 1
}

// FromStart is the cursor of the oldest event that is kept.
const FromStart = "start"

// batch is the most events that a reader is given at a time.
const batch = 256

// Read gives the events behind a cursor to send, in batches and each with the cursor behind it, until ctx ends or send
// fails or the feed is closed; if atHand, only until there are no more. The first batch comes at once and may be empty. lost counts events
// before the batch that were not kept; those of a former feed cannot be counted, and all of this one are given.
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

// take copies up to a batch of events from a position on.
func (f *Feed[T]) take(at uint64) (events []T, from, lost uint64, moved <-chan struct{}, ended bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	from = max(at, f.first())
	for p := from; p < f.next && len(events) < batch; p++ {
		events = append(events, f.ring[(p-1)%uint64(len(f.ring))])
	}
	return events, from, from - at, f.moved, f.ended
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

// earlier is the cursor so many events before another.
func earlier(cursor string, events int) string {
	life, number, _ := strings.Cut(cursor, ".")
	at, err := strconv.ParseUint(number, 10, 64)
	if err != nil || at < uint64(events) {
		return cursor
	}
	return life + "." + strconv.FormatUint(at-uint64(events), 10)
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
