package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
)

// A full is a disk without room.
type full struct{}

var errFull = errors.New("no space left")

func (full) Write(b []byte) (int, error) { return 0, errFull }

// Most who print do not ask whether it went well; the program does in the end.
func TestOutputRemembersItsFirstError(t *testing.T) {
	o := &output{Writer: io.Discard}
	fmt.Fprintln(o, "well")
	if o.failed != nil {
		t.Errorf("got %v, want none", o.failed)
	}
	o.Writer = full{}
	fmt.Fprintln(o, "lost")
	if !errors.Is(o.failed, errFull) {
		t.Errorf("got %v, want %v", o.failed, errFull)
	}
}

// Who ends a command by a signal is told of that signal, and of any other error as it is.
func TestSignalsAreNamed(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	failed := errors.New("failed")
	if got := told(ctx, context.Canceled); got != context.Canceled {
		t.Errorf("without a signal: got %v", got)
	}
	cancel(errors.New("terminated signal received"))
	if got := told(ctx, context.Canceled); got.Error() != "terminated signal received" {
		t.Errorf("got %v", got)
	}
	if got := told(ctx, failed); got != failed {
		t.Errorf("got %v, want %v", got, failed)
	}
}
