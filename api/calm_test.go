package api

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Warnings that strangers can cause at will do not fill a disk.
func TestWarningsAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		log := Calm(Calm(slog.New(slog.NewTextHandler(&text, nil))))
		for range 1000 {
			log.Warn("turned away", "from", "a stranger")
			log.With("a", 1).Warn("turned away", "from", "another")
		}
		log.Error("this is said")
		if n := strings.Count(text.String(), "turned away"); n != calmBurst || !strings.Contains(text.String(), "this is said") {
			t.Errorf("got %d lines, want %d", n, calmBurst)
		}
		text.Reset()
		time.Sleep(calmPause)
		log.Warn("turned away")
		if want := fmt.Sprint(`"left out"=`, 2000-calmBurst); !strings.Contains(text.String(), want) {
			t.Errorf("got %q, want %s in it", text.String(), want)
		}
		for i := range 10 * calmKinds {
			log.Warn(fmt.Sprint("something new ", i))
		}
		if n := strings.Count(text.String(), "something new"); n > calmKinds+calmBurst {
			t.Errorf("got %d lines of different texts", n)
		}
	})
}
