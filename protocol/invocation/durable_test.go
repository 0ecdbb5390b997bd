package invocation

import (
	"bytes"
	"testing"
	"time"
)

// A server that restarts with its tables is the same life: it answers copies as before, does not know how far it came with what it
// was executing, and still knows which sessions are over.
func TestRestore(t *testing.T) {
	s := NewServer(1, Options{})
	done := hello(s, ClientID{1}, Life(1, 0))
	running := done
	running.RID.Seq = 2
	hello(s, ClientID{2}, Life(1, 0))
	s.Signal(0, Signal{Kind: Bye, RID: RID{ClientID{2}, Life(1, 0), 0}, Session: 2}, nil)
	s.Request(0, &done, nil)
	s.Done(done.RID, OK, []byte("result"), nil)
	s.Request(0, &running, nil)

	again := NewServer(1, Options{})
	for _, id := range []ClientID{{1}, {2}} {
		if err := again.Restore(0, s.Table(id)); err != nil {
			t.Fatal(err)
		}
	}
	for rid, want := range map[RID]Status{done.RID: OK, running.RID: Orphaned} {
		request := done
		request.RID = rid
		out := again.Request(time.Second, &request, nil)
		if len(out) != 1 || out[0].Kind != SendReply || out[0].Reply.Status != want {
			t.Errorf("%s: got %+v, want %s", rid, out, want)
		}
	}
	if out := again.Signal(0, Signal{Kind: Hello, RID: RID{ClientID{2}, Life(1, 0), 0}}, nil); out[0].Signal.Kind != Expired {
		t.Errorf("got %s, want that the session is over", out[0].Signal.Kind)
	}
}

// What is read from storage is written as the same, and nothing else is read.
func FuzzTable(f *testing.F) {
	s := NewServer(1, Options{})
	r := hello(s, ClientID{1}, Life(1, 0))
	f.Add(s.Table(ClientID{1}))
	s.Request(0, &r, nil)
	f.Add(s.Table(ClientID{1}))
	s.Done(r.RID, OK, []byte("result"), nil)
	f.Add(s.Table(ClientID{1}))
	f.Add([]byte{})
	f.Add(append([]byte{tableVersion}, make([]byte, 16)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := NewServer(1, Options{})
		if s.Restore(0, b) != nil {
			return
		}
		id := ClientID(b[1:17])
		table := s.Table(id)
		again := NewServer(1, Options{})
		if err := again.Restore(0, table); err != nil || !bytes.Equal(again.Table(id), table) {
			t.Errorf("%x is read, and written as %x: %v", b, table, err)
		}
	})
}
