package disk

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"ciranda.dev/protocol"
)

// history is what was handed over: the values after each mark, from 0.
type history []map[string]string

// run lets a life on a file system append steps, some of several records, slowly enough for single blocks and fast
// enough for shared ones, and be written anew now and then.
func run(t *testing.T, m *memory, steps int) history {
	t.Helper()
	s, err := Open("memory", Options{Cluster: "c", Node: 1, FS: m})
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	m.durable, s.small = s.Durable, 200
	s.mu.Unlock()
	now := map[string]string{}
	all := history{layers(s.recovered)}
	for key, value := range all[0] {
		now[key] = value
	}
	for i := range steps {
		var records []protocol.Record
		for j := range i%3 + 1 {
			key := fmt.Sprintf("layer/%d", (i+j)%5)
			now[key] = fmt.Sprintf("%d of %d", i, s.Incarnation())
			records = append(records, protocol.Record{Key: key, Value: []byte(now[key])})
		}
		mark := s.Append(records...)
		all = append(all, copyOf(now))
		for i%4 != 0 && s.Durable() < mark { // else the next step shares a block
			<-s.Changed()
		}
	}
	if err := s.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	m.log(op{kind: "end"})
	return all
}

func copyOf(values map[string]string) map[string]string {
	c := map[string]string{}
	for k, v := range values {
		c[k] = v
	}
	return c
}

func layers(values map[string][]byte) map[string]string {
	c := map[string]string{}
	for k, v := range values {
		if strings.Contains(k, "/") {
			c[k] = string(v)
		}
	}
	return c
}

// recovers checks what a crash left: the store opens in a later life, with a state that was handed over, and none
// before what had been promised.
func recovers(left state, all history, promised uint64, begun bool) error {
	s, err := open("memory", Options{Cluster: "c", Node: 1, FS: newMemory(left)})
	if err != nil {
		return err
	}
	if begun && s.Incarnation() < 2 {
		return errors.New("a life has been forgotten")
	}
	got := layers(s.recovered)
	for mark := len(all) - 1; mark >= 0; mark-- {
		if equal(got, all[mark]) {
			if uint64(mark) < promised {
				return fmt.Errorf("recovered mark %d; promised %d", mark, promised)
			}
			return nil
		}
	}
	return fmt.Errorf("recovered %v, which was never handed over", got)
}

func equal(a, b map[string]string) bool { return fmt.Sprint(a) == fmt.Sprint(b) }

// crashEverywhere gives the first crash that is not recovered from as it should be, and how many there were.
func crashEverywhere(m *memory, all history) (crashes int, err error) {
	for n := range len(m.ops) + 1 {
		promised, begun := uint64(len(all)-1), true
		if n < len(m.ops) {
			promised, begun = m.ops[n].durable, m.ops[n].begun
		}
		m.crash(n, func(left state) {
			crashes++
			if err == nil {
				if e := recovers(left, all, promised, begun); e != nil {
					err = fmt.Errorf("after %d of %d operations: %w", n, len(m.ops), e)
				}
			}
		})
	}
	return crashes, err
}

func TestCrashAnywhere(t *testing.T) {
	m := newMemory(nil)
	all := run(t, m, 40)
	crashes, err := crashEverywhere(m, all)
	if err != nil {
		t.Fatal(err)
	}
	if crashes < 300 {
		t.Fatalf("only %d crashes were tried", crashes)
	}
	// And once more in a second life, on what the first one left.
	left := state{}
	for name, c := range m.names {
		left[name] = c.data
	}
	m = newMemory(left)
	all = run(t, m, 20)
	if _, err := crashEverywhere(m, all); err != nil {
		t.Fatal("second life: ", err)
	}
}

// A store that left out a sync would be found out.
func TestCrashFindsMissingSync(t *testing.T) {
	for _, what := range []string{"sync records", "sync records.new", "syncdir "} {
		m := newMemory(nil)
		m.deaf = func(op string) bool { return op == what }
		all := run(t, m, 40)
		if _, err := crashEverywhere(m, all); err == nil {
			t.Errorf("%q left out: every crash was recovered from", what)
		}
	}
}
