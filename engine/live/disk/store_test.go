package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"ciranda.dev/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var mine = Options{Cluster: "lab", Node: 3, Shape: "5 nodes, bully"}

func mustOpen(t *testing.T, path string, o Options) *Store {
	t.Helper()
	s, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustClose(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func record(key, value string) protocol.Record {
	return protocol.Record{Key: key, Value: []byte(value)}
}

// until waits for a condition of the store, which tells of each change.
func until(s *Store, condition func() bool) {
	for !condition() {
		<-s.Changed()
	}
}

func TestLives(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node", "3")
	first := mustOpen(t, path, mine)
	if first.Incarnation() != 1 || first.Recovered() {
		t.Fatalf("the first life is %d, recovered %v", first.Incarnation(), first.Recovered())
	}
	first.Append(record("bully/seen", "7"), record("bully/pair", "a"))
	first.Append(record("bully/seen", "8"))
	mustClose(t, first)

	second := mustOpen(t, path, mine)
	seen, _ := second.Stored("bully/seen")
	if _, ok := second.Stored("bully/none"); ok || second.Incarnation() != 2 || !second.Recovered() || string(seen) != "8" {
		t.Fatalf("life %d, seen %q", second.Incarnation(), seen)
	}
	mustClose(t, second)

	o := mine
	o.Forget = true
	third := mustOpen(t, path, o)
	if _, ok := third.Stored("bully/seen"); ok || third.Incarnation() != 3 || third.Recovered() {
		t.Fatalf("life %d remembers", third.Incarnation())
	}
	mustClose(t, third)
}

func TestFirstIncarnation(t *testing.T) {
	o := mine
	o.First = 1_790_000_000
	s := mustOpen(t, t.TempDir(), o)
	if s.Incarnation() != o.First {
		t.Errorf("got %d", s.Incarnation())
	}
	mustClose(t, s)
}

func TestOneProcess(t *testing.T) {
	path := t.TempDir()
	s := mustOpen(t, path, mine)
	if _, err := Open(path, mine); !errors.Is(err, errLocked) {
		t.Errorf("a second opening: %v", err)
	}
	mustClose(t, s)
	mustClose(t, mustOpen(t, path, mine))
}

func TestAnothersDirectory(t *testing.T) {
	path := t.TempDir()
	mustClose(t, mustOpen(t, path, mine))
	for want, o := range map[string]Options{
		`of node 3 of cluster "lab"; expected node 4 of cluster "lab"`:     {Cluster: "lab", Node: 4, Shape: mine.Shape},
		`of node 3 of cluster "lab"; expected node 3 of cluster "demo"`:    {Cluster: "demo", Node: 3, Shape: mine.Shape},
		`of a cluster with "5 nodes, bully"; expected "7 nodes, bully"`:    {Cluster: "lab", Node: 3, Shape: "7 nodes, bully"},
		`of a cluster with "5 nodes, bully"; expected no particular shape`: {Cluster: "lab", Node: 3},
	} {
		if _, err := Open(path, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if err := os.WriteFile(filepath.Join(path, identityName), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, mine); err == nil || !strings.Contains(err.Error(), `found "nonsense"`) {
		t.Errorf("got %v", err)
	}
}

// What was confirmed and is damaged is not taken for a torn end.
func TestDamageInTheMiddle(t *testing.T) {
	path := t.TempDir()
	s := mustOpen(t, path, mine)
	for _, value := range []string{"1", "2", "3"} {
		mark := s.Append(record("a/b", value))
		until(s, func() bool { return s.Durable() >= mark })
	}
	mustClose(t, s)
	name := filepath.Join(path, recordsName)
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for at := range whole {
		b := append([]byte(nil), whole...)
		b[at] ^= 0x10
		records, err := readRecords(b)
		last := len(whole) - headSize - len("\x03a/b\x013")
		if damaged := err != nil; damaged != (at < last) {
			t.Fatalf("byte %d of %d: error %v", at, len(whole), err)
		}
		if at >= last && string(records["a/b"]) != "2" {
			t.Fatalf("byte %d: %q", at, records["a/b"])
		}
	}
	whole[20] ^= 1
	if err := os.WriteFile(name, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, mine); err == nil || !strings.Contains(err.Error(), "the disk lost it") {
		t.Errorf("got %v", err)
	}
}

// Two appends that wait for a third one's sync share the next.
func TestGroupCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustOpen(t, "", Options{Cluster: "c", Node: 1, FS: newMemory(nil)})
		s.SetFault(Fault{Slow: 10 * time.Millisecond})
		for range 20 {
			s.Append(record("a/b", "x"))
			time.Sleep(time.Millisecond)
		}
		synctest.Wait()
		if got := s.Stats().Syncs; got > 2 {
			t.Errorf("%d syncs for 20 appends in two syncs' time", got)
		}
		mustClose(t, s)
		if s.Durable() != 20 {
			t.Errorf("closed at %d", s.Durable())
		}
	})
}

func TestStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustOpen(t, "", Options{Cluster: "c", Node: 1, FS: newMemory(nil)})
		if _, waiting := s.Oldest(); waiting {
			t.Error("something waits in a fresh store")
		}
		s.SetFault(Fault{Stall: true})
		begun := time.Now()
		s.Append(record("a/b", "1"))
		time.Sleep(time.Second)
		s.Append(record("a/b", "2"))
		synctest.Wait()
		if since, waiting := s.Oldest(); !waiting || !since.Equal(begun) || s.Durable() != 0 {
			t.Errorf("waiting %v since %v, durable %d", waiting, since, s.Durable())
		}
		s.SetFault(Fault{})
		synctest.Wait()
		if _, waiting := s.Oldest(); waiting || s.Durable() != 2 {
			t.Errorf("waiting %v, durable %d", waiting, s.Durable())
		}
		s.SetFault(Fault{Stall: true})
		s.Append(record("a/b", "3"))
		gone, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := s.Close(gone); err == nil || !strings.Contains(err.Error(), "closed before all was written") {
			t.Errorf("closing a stalled disk: %v", err)
		}
	})
}

func TestFailure(t *testing.T) {
	s := mustOpen(t, t.TempDir(), mine)
	s.SetFault(Fault{Fail: true})
	s.Append(record("a/b", "1"))
	until(s, func() bool { return s.Err() != nil })
	s.SetFault(Fault{})
	s.Append(record("a/b", "2"))
	if err := s.Close(context.Background()); !errors.Is(err, errFault) || s.Durable() != 0 {
		t.Errorf("closed with %v at %d", err, s.Durable())
	}
}

// No number is used twice, wherever the crash is.
func TestCounter(t *testing.T) {
	var left state
	used := uint64(0)
	for life := range 20 {
		m := newMemory(left)
		s := mustOpen(t, "", Options{Cluster: "c", Node: 1, FS: m})
		c := s.Counter("lamport", 16)
		if c.Start() < used {
			t.Fatalf("life %d goes on from %d; %d was used", life, c.Start(), used)
		}
		for n := c.Start() + 1; n < c.Start()+uint64(life*3); n++ {
			until(s, func() bool { return c.Covers(n) })
			used = n
		}
		gone, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.Close(gone) // as in a crash
		m.crash(len(m.ops), func(s state) { left = s })
	}
	if used < 400 {
		t.Fatalf("only %d numbers were used", used)
	}
}

// A jump is not covered before the disk knows of it.
func TestCounterJumps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustOpen(t, "", Options{Cluster: "c", Node: 1, FS: newMemory(nil)})
		c := s.Counter("lamport", 1<<16)
		s.SetFault(Fault{Stall: true})
		if c.Covers(1 << 40) {
			t.Error("covered at once")
		}
		s.SetFault(Fault{})
		synctest.Wait()
		if !c.Covers(1<<40) || !c.Covers(1<<40+1<<15) || c.Covers(1<<40+1<<16+1) {
			t.Error("the block is not what was asked for")
		}
		mustClose(t, s)
	})
}

func FuzzRecords(f *testing.F) {
	block := appendRecord(make([]byte, headSize), &protocol.Record{Key: "bully/seen", Value: []byte{7}})
	fillHead(block, 0)
	second := appendRecord(make([]byte, headSize), &protocol.Record{Key: "a/b", Value: nil})
	fillHead(second, int64(len(block)))
	f.Add([]byte{})
	f.Add(block)
	f.Add(append(append([]byte{}, block...), second...))
	f.Add(binary.LittleEndian.AppendUint32(make([]byte, 8), maxBlock))
	f.Fuzz(func(t *testing.T, file []byte) {
		records, err := readRecords(file)
		size := 0
		for key, value := range records {
			size += len(key) + len(value)
		}
		if err == nil && size > len(file) {
			t.Errorf("%d bytes of records from %d", size, len(file))
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	s, err := Open(b.TempDir(), mine)
	if err != nil {
		b.Fatal(err)
	}
	r := record("bully/seen", "12345678")
	for b.Loop() {
		s.Append(r)
	}
	if err := s.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(s.Stats().Appends)/float64(s.Stats().Syncs), "appends/sync")
}

// A step that waits for its write, as a client's call does.
func BenchmarkDurable(b *testing.B) {
	s, err := Open(b.TempDir(), mine)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		mark := s.Append(record("bully/seen", "12345678"))
		until(s, func() bool { return s.Durable() >= mark })
	}
	if err := s.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
}
