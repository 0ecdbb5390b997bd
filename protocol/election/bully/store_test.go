package bully

import (
	"bytes"
	"testing"

	"ciranda.dev/protocol/election"
)

func FuzzReadTerm(f *testing.F) {
	f.Add(appendTerm(nil, election.Term{}))
	f.Add(appendTerm(nil, election.Term{Counter: 1 << 60, Leader: 7}))
	f.Add([]byte("short"))
	f.Fuzz(func(t *testing.T, b []byte) {
		term, err := readTerm(b)
		if (err == nil) != (len(b) == 10) {
			t.Fatalf("%d bytes: %v", len(b), err)
		}
		if err == nil && !bytes.Equal(appendTerm(nil, term), b) {
			t.Fatalf("%x is read as %v and written as %x", b, term, appendTerm(nil, term))
		}
	})
}
