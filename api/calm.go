package api

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// How often a warning is logged.
const (
	calmBurst = 20              // so many times at once
	calmPause = 5 * time.Second // then once in that time
	calmKinds = 64              // different ones that are told apart
)

// Calm gives a logger that lets through a warning of the same text 20 times, and then once in five seconds; that one
// tells how many were left out. Strangers cause warnings, and could fill the disk with them.
func Calm(log *slog.Logger) *slog.Logger {
	if _, ok := log.Handler().(calm); ok {
		return log
	}
	return slog.New(calm{log.Handler(), &moods{kinds: map[string]*mood{}}})
}

type calm struct {
	slog.Handler
	moods *moods
}

// A mood is what is left of a warning's right to be logged.
type mood struct {
	left    int
	since   time.Time // of which left is true
	leftOut int
}

type moods struct {
	mu    sync.Mutex
	kinds map[string]*mood
}

// Handle implements [slog.Handler].
func (c calm) Handle(ctx context.Context, r slog.Record) error {
	if r.Level == slog.LevelWarn {
		leftOut, ok := c.moods.allow(r.Message, r.Time)
		if !ok {
			return nil
		}
		if leftOut > 0 {
			r = r.Clone()
			r.Add("left out", leftOut)
		}
	}
	return c.Handler.Handle(ctx, r)
}

// WithAttrs implements [slog.Handler].
func (c calm) WithAttrs(a []slog.Attr) slog.Handler { return calm{c.Handler.WithAttrs(a), c.moods} }

// WithGroup implements [slog.Handler].
func (c calm) WithGroup(name string) slog.Handler { return calm{c.Handler.WithGroup(name), c.moods} }

// allow says whether a warning is to be logged now, and how many like it were left out before.
func (m *moods) allow(text string, now time.Time) (leftOut int, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.kinds[text]
	if k == nil {
		if len(m.kinds) >= calmKinds {
			text = "" // all the others are one
		}
		if k = m.kinds[text]; k == nil {
			k = &mood{left: calmBurst, since: now}
			m.kinds[text] = k
		}
	}
	if n := int(now.Sub(k.since) / calmPause); n > 0 {
		k.left = min(calmBurst, k.left+n)
		k.since = k.since.Add(time.Duration(n) * calmPause)
	}
	if k.left == 0 {
		k.leftOut++
		return 0, false
	}
	k.left--
	leftOut, k.leftOut = k.leftOut, 0
	return leftOut, true
}
