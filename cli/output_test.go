package cli

import (
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
