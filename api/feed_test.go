package api

import (
	"context"
	"errors"
	"slices"
	"testing"

	cirandav1 "ciranda.dev/api/ciranda/v1"
)

func appendEvents(f *Feed[*cirandav1.Event], n int) {
	for range n {
		f.Append(false, func(p uint64) *cirandav1.Event { return &cirandav1.Event{Position: p} })
	}
}

// read gives the positions behind a cursor, and what was lost before them.
func read(t *testing.T, f *Feed[*cirandav1.Event], from string) (positions []uint64, cursor string, lost uint64) {
	t.Helper()
	err := f.Read(t.Context(), from, true, func(at uint64, events []*cirandav1.Event, c string, l uint64) error {
		for i, e := range events {
			if e.Position != at+uint64(i) {
				t.Errorf("event %d is given at position %d", e.Position, at+uint64(i))
			}
			positions = append(positions, e.Position)
		}
		cursor, lost = c, lost+l
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return positions, cursor, lost
}

func TestFeedCountsWhatItLost(t *testing.T) {
	f := NewFeed[*cirandav1.Event](3)
	_, cursor, _ := read(t, f, "")
	appendEvents(f, 2)
	if got, _, lost := read(t, f, cursor); len(got) != 2 || lost != 0 {
		t.Errorf("two events later: got %v, %d lost", got, lost)
	}
	appendEvents(f, 3)
	got, end, lost := read(t, f, cursor)
	if len(got) != 3 || got[0] != 3 || lost != 2 {
		t.Errorf("five events later: got %v, %d lost", got, lost)
	}
	if got, _, lost := read(t, f, end); len(got) != 0 || lost != 0 {
		t.Errorf("at the end: got %v, %d lost", got, lost)
	}
	if got, _, lost := read(t, f, FromStart); len(got) != 3 || lost != 0 {
		t.Errorf("from the start: got %v, %d lost", got, lost)
	}
}

// A reader that comes with the cursor of a former life of the node gets all of this one.
func TestFeedOfAnotherLife(t *testing.T) {
	old, f := NewFeed[*cirandav1.Event](9), NewFeed[*cirandav1.Event](9)
	appendEvents(old, 7)
	appendEvents(f, 2)
	_, cursor, _ := read(t, old, FromStart)
	if got, _, _ := read(t, f, cursor); len(got) != 2 {
		t.Errorf("got %v", got)
	}
}

func TestFeedGivesMoreThanABatch(t *testing.T) {
	f := NewFeed[*cirandav1.Event](3 * batch)
	appendEvents(f, 2*batch+1)
	if got, _, _ := read(t, f, FromStart); len(got) != 2*batch+1 {
		t.Errorf("got %d events", len(got))
	}
}

func TestFeedReaderEndsWithItsContext(t *testing.T) {
	f := NewFeed[int](1)
	ctx, cancel := context.WithCancel(t.Context())
	err := f.Read(ctx, "", false, func(uint64, []int, string, uint64) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestFeedReaderEndsWithTheFeed(t *testing.T) {
	f := NewFeed[int](4)
	var got []int
	err := f.Read(t.Context(), "", false, func(_ uint64, events []int, _ string, _ uint64) error {
		if got = append(got, events...); len(got) == 0 {
			f.Append(false, func(uint64) int { return 7 })
			f.Close()
			f.Append(false, func(uint64) int { return 8 }) // too late
		}
		return nil
	})
	if err != nil || len(got) != 1 || got[0] != 7 {
		t.Errorf("got %v, %v; want the event before the end", got, err)
	}
}

func FuzzCursor(f *testing.F) {
	for _, seed := range []string{"", "start", "x.1", ".", "x.0", "x.-1", "x.18446744073709551615", "x.99999999999999999999"} {
		f.Add(seed)
	}
	feed := NewFeed[int](2)
	feed.Append(false, func(uint64) int { return 0 })
	f.Fuzz(func(t *testing.T, cursor string) {
		at, err := feed.parse(cursor)
		if err == nil && at == 0 {
			t.Errorf("%q is position 0", cursor)
		}
	})
}

func TestReached(t *testing.T) {
	for _, c := range []struct {
		cursor, goal string
		want         bool
	}{{"a.5", "a.5", true}, {"a.10", "a.9", true}, {"a.9", "a.10", false}, {"a.5", "b.5", false}, {"", "a.1", false}, {FromStart, FromStart, false}} {
		if got := Reached(c.cursor, c.goal); got != c.want {
			t.Errorf("%q of %q: got %v", c.cursor, c.goal, got)
		}
	}
}

// However many events of the many kinds come, the last of the others are still there, each at its place.
func TestFeedKeepsTheFew(t *testing.T) {
	f := NewFeed[*cirandav1.Event](3)
	few := func() { appendEvents(f, 1) }
	many := func(n int) {
		for range n {
			f.Append(true, func(p uint64) *cirandav1.Event { return &cirandav1.Event{Position: p} })
		}
	}
	few()
	many(2)
	few()
	_, cursor, _ := read(t, f, FromStart)
	many(100) // 5 to 104
	few()
	many(1)
	got, end, lost := read(t, f, FromStart)
	if want := []uint64{1, 4, 103, 104, 105, 106}; !slices.Equal(got, want) || lost != 100 {
		t.Errorf("from the start: got %v with %d lost, want %v", got, lost, want)
	}
	if got, _, lost := read(t, f, cursor); !slices.Equal(got, []uint64{103, 104, 105, 106}) || lost != 98 {
		t.Errorf("behind the fourth: got %v with %d lost", got, lost)
	}
	if got, _, lost := read(t, f, end); len(got) > 0 || lost > 0 {
		t.Errorf("at the end: got %v with %d lost", got, lost)
	}
}
