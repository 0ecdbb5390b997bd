package socket

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	cirandav1 "ciranda.dev/api/ciranda/v1"
)

// pipes is a listener without a network, for tests in which no time passes.
type pipes struct {
	made chan net.Conn
	over chan struct{}
}

func newPipes() pipes { return pipes{make(chan net.Conn), make(chan struct{})} }

func (p pipes) dial(t *testing.T) *talk {
	ours, theirs := net.Pipe()
	t.Cleanup(func() { ours.Close() })
	p.made <- theirs
	return &talk{ours, bufio.NewReader(ours)}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.made:
		return c, nil
	case <-p.over:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error   { close(p.over); return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// inNoTime tells a story about a server in virtual time.
func inNoTime(t *testing.T, o Options, transfer func(context.Context, *cirandav1.TransferRequest) (*cirandav1.TransferResponse, error),
	story func(*testing.T, *Server, pipes)) {
	synctest.Test(t, func(t *testing.T) {
		s, l := newServer(o, transfer), newPipes()
		go s.Serve(l)
		story(t, s, l)
		s.Close(t.Context())
		synctest.Wait()
		for _, b := range []*budget{s.arriving, s.leaving} {
			if n := b.left.Load(); n != maxHeld {
				t.Errorf("in the end %d bytes are left of a budget; expected all %d", n, maxHeld)
			}
		}
	})
}

func drip(w io.Writer, text string, every time.Duration) {
	for i := range len(text) {
		time.Sleep(every)
		if _, err := io.WriteString(w, text[i:i+1]); err != nil {
			return
		}
	}
}

const ping, pong = `{"id":1,"call":"echo.echo"}`, `{"id":1,"result":{"payload":""}}`

// A client that sends a byte a second is told so after ten seconds. One that is idle is not cut off, and one whose bytes
// come in time gets its answer, again and again.
func TestSlowLoris(t *testing.T) {
	inNoTime(t, Options{}, refuses, func(t *testing.T, s *Server, l pipes) {
		idle, slow, fair := l.dial(t), l.dial(t), l.dial(t)
		go drip(slow, ping+"\n", time.Second)
		began := time.Now()
		if got := slow.line(); !strings.Contains(got, `"code":"deadline_exceeded"`) || time.Since(began) != lineTime+time.Second {
			t.Errorf("after %v: got %s", time.Since(began), got)
		}
		for range 3 {
			go drip(fair, ping+"\n", lineTime/time.Duration(len(ping)+1))
			if got := fair.line(); got != pong {
				t.Errorf("in time: got %s", got)
			}
			time.Sleep(3 * lineTime)
		}
		time.Sleep(24 * time.Hour)
		if got := idle.ask(ping); got != pong {
			t.Errorf("after a day: got %s", got)
		}
	})
}

// The time for the first line begins with the connection, and what comes before its end gains none.
func TestSilentStrangers(t *testing.T) {
	inNoTime(t, Options{Enter: withToken, NeedsToken: true}, refuses, func(t *testing.T, s *Server, l pipes) {
		for name, text := range map[string]string{"silent": "", "blank": strings.Repeat("\n", 100), "slow": strings.Repeat("x", 100)} {
			began := time.Now()
			k := l.dial(t)
			go drip(k, text, time.Second)
			if got := k.line(); !strings.Contains(got, `"code":"deadline_exceeded"`) || time.Since(began) != lineTime {
				t.Errorf("%s: after %v: got %s", name, time.Since(began), got)
			}
		}
		k := l.dial(t)
		io.WriteString(k, `{"tok`)
		time.Sleep(lineTime / 2)
		if got := k.ask(`en":"sesame"}`); got != `{"result":{}}` {
			t.Errorf("in two parts: got %s", got)
		}
		time.Sleep(time.Hour) // inside there is time
		if got := k.ask(ping); got != pong {
			t.Errorf("after an hour: got %s", got)
		}
	})
}

// A client that does not read is cut off, and meanwhile does not keep others from their calls.
func TestSlowReaders(t *testing.T) {
	var refused atomic.Int32
	inNoTime(t, Options{Refused: func(net.Addr, string) { refused.Add(1) }}, refuses, func(t *testing.T, s *Server, l pipes) {
		for range 2 * maxCalls {
			go io.WriteString(l.dial(t), ping+"\n"+ping+"\n")
		}
		synctest.Wait()
		if n := len(s.slots); n != 0 {
			t.Errorf("%d calls are under way; expected none", n)
		}
		if got := l.dial(t).ask(ping); got != pong {
			t.Errorf("meanwhile: got %s", got)
		}
		time.Sleep(answerTime)
		synctest.Wait()
		if n := refused.Load(); n != 2*maxCalls {
			t.Errorf("%d of %d were cut off", n, 2*maxCalls)
		}
	})
}

// Beyond so many calls at a time others wait, and are told in time that nothing happened.
func TestCallsAtATime(t *testing.T) {
	var under atomic.Int32
	transfer := func(ctx context.Context, r *cirandav1.TransferRequest) (*cirandav1.TransferResponse, error) {
		under.Add(1)
		return blocks(ctx, r)
	}
	inNoTime(t, Options{}, transfer, func(t *testing.T, s *Server, l pipes) {
		first := make(chan string, maxCalls)
		for range maxCalls {
			k := l.dial(t)
			go func() { first <- k.ask(`{"call":"bank.transfer"}`) }()
		}
		synctest.Wait()
		began := time.Now()
		if got := l.dial(t).ask(`{"call":"bank.transfer","deadline_ms":1500}`); !strings.Contains(got, "resource_exhausted") ||
			!strings.Contains(got, "did not happen") || time.Since(began) != 1500*time.Millisecond {
			t.Errorf("after %v: got %s", time.Since(began), got)
		}
		for range maxCalls { // without a deadline of their own
			if got := <-first; !strings.Contains(got, "deadline_exceeded") || time.Since(began) != Deadline {
				t.Errorf("after %v: got %s", time.Since(began), got)
			}
		}
		if under.Load() != maxCalls {
			t.Errorf("%d calls were done", under.Load())
		}
		if got := l.dial(t).ask(ping); got != pong {
			t.Errorf("afterwards: got %s", got)
		}
	})
}

// Long requests that do not end take no more memory than there is for all of them.
func TestAllLinesTogether(t *testing.T) {
	inNoTime(t, Options{}, refuses, func(t *testing.T, s *Server, l pipes) {
		told := make(chan string)
		many := 2 * maxHeld / MaxLine
		for range many {
			k := l.dial(t)
			go func() {
				go io.WriteString(k, `{"call":"`+strings.Repeat("x", MaxLine-100))
				told <- k.line()
			}()
		}
		exhausted := 0
		if got := l.dial(t).ask(ping); got != pong {
			t.Errorf("meanwhile: got %s", got)
		}
		for range many {
			if strings.Contains(<-told, "resource_exhausted") {
				exhausted++
			}
		}
		if exhausted < many/4 || exhausted == many {
			t.Errorf("%d of %d were turned away", exhausted, many)
		}
	})
}

// A server that closes ends the idle, lets calls under way be answered, and drops what it has not begun.
func TestClose(t *testing.T) {
	inNoTime(t, Options{}, blocks, func(t *testing.T, s *Server, l pipes) {
		idle, busy, part := l.dial(t), l.dial(t), l.dial(t)
		io.WriteString(part, ping)
		go io.WriteString(busy, `{"id":7,"call":"bank.transfer","deadline_ms":2000}`+"\n"+ping+"\n")
		synctest.Wait()
		closed := make(chan time.Duration)
		began := time.Now()
		go func() { s.Close(t.Context()); closed <- time.Since(began) }()
		for name, want := range map[*talk]string{idle: "", part: "", busy: "deadline_exceeded"} {
			if got := name.line(); !strings.Contains(got, want) || (want == "") != (got == "") {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		if got := busy.line(); got != "" {
			t.Errorf("then got %s", got)
		}
		if took := <-closed; took != 2*time.Second {
			t.Errorf("it took %v", took)
		}
	})
	inNoTime(t, Options{}, blocks, func(t *testing.T, s *Server, l pipes) {
		busy := l.dial(t)
		io.WriteString(busy, `{"call":"bank.transfer"}`+"\n")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		s.Close(ctx)
		if took := time.Since(began); took != time.Second || busy.line() != "" {
			t.Errorf("in a hurry it took %v", took)
		}
	})
}

// A connection holds little while it is idle, also after a long line.
func TestIdleBuffers(t *testing.T) {
	r, w := io.Pipe()
	l := lines{from: r, budget: newBudget(maxHeld)}
	go func() {
		for _, n := range []int{10, keptBuffer - 10, MaxLine, 10, 0, 1000} {
			fmt.Fprintln(w, strings.Repeat("x", n))
		}
		w.Close()
	}()
	for _, n := range []int{10, keptBuffer - 10, MaxLine, 10, 0, 1000} {
		if line, err := l.next(MaxLine); err != nil || len(line) != n {
			t.Fatalf("got %d bytes, %v; want %d", len(line), err, n)
		}
	}
	if _, err := l.next(MaxLine); err != io.EOF || cap(l.buffer) > keptBuffer || l.charged != 0 {
		t.Errorf("got %v; it holds %d bytes, %d of them charged", err, cap(l.buffer), l.charged)
	}
}
