package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
)

// sent is what is sent of an input: the lines, with | between requests, and how it ended.
func sent(t *testing.T, from io.Reader) (string, error) {
	t.Helper()
	f := multicastFlags{orders: []string{"total"}, uniform: true}
	var requests []string
	err := f.pass(t.Context(), readLines(t.Context(), from), func(r *cirandav1.MulticastStreamRequest) error {
		if r.GetOrder() != "total" || !r.GetUniform() {
			t.Errorf("got %v", r)
		}
		var lines []string
		for _, p := range r.GetPayloads() {
			if len(p) > 100 {
				p = fmt.Appendf(nil, "%d bytes", len(p))
			}
			lines = append(lines, string(p))
		}
		requests = append(requests, strings.Join(lines, ","))
		return nil
	})
	return strings.Join(requests, "|"), err
}

// Lines become messages, those that are at hand together.
func TestLinesOfInput(t *testing.T) {
	large := strings.Repeat("x", 40<<10)
	for _, c := range []struct{ input, want string }{
		{"", ""}, {"\n", ""}, {"a", "a"}, {"a\n", "a"}, {"a\r\nb\n\nc", "a,b,,c"}, {"\x00\xff\n", "\x00\xff"},
		{large + "\n" + large + "\n" + large + "\nd\n", "40960 bytes|40960 bytes|40960 bytes,d"},
		{strings.Repeat("x", largestMessage) + "\n", "245760 bytes"},
	} {
		if got, err := sent(t, strings.NewReader(c.input)); got != c.want || err != nil {
			t.Errorf("%.20q: got %s, %v; want %s", c.input, got, err, c.want)
		}
	}
	for _, ending := range []string{"", "\n"} {
		got, err := sent(t, strings.NewReader("a\n"+strings.Repeat("x", largestMessage+1)+ending))
		var m mistake
		if want := "line 2 of the input: found"; got != "a" || !errors.As(err, &m) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %s, %v; want %s", got, err, want)
		}
	}
	broken := errors.New("the pipe broke")
	if got, err := sent(t, io.MultiReader(strings.NewReader("a\n"), failing{broken})); got != "a" || !errors.Is(err, broken) {
		t.Errorf("got %s, %v", got, err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// What is typed is sent line by line, and Ctrl-C ends the reading.
func TestLinesThatAreTyped(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	in, out := io.Pipe()
	defer in.Close()
	sent, ended := make(chan string), make(chan error)
	go func() {
		f := multicastFlags{}
		ended <- f.pass(ctx, readLines(ctx, in), func(r *cirandav1.MulticastStreamRequest) error {
			sent <- string(r.GetPayloads()[0])
			return nil
		})
	}()
	for _, line := range []string{"one", "two"} {
		fmt.Fprintln(out, line)
		if got := <-sent; got != line {
			t.Errorf("got %s, want %s", got, line)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("got %v", err)
	}
}

// What a message says cannot command a terminal.
func TestPayloadsInWords(t *testing.T) {
	for _, p := range []struct{ payload, want string }{
		{"hello", "hello"}, {"olá ✓", "olá ✓"}, {"", ""}, {"\x1b[2J", `"\x1b[2J"`}, {"a\nb", `"a\nb"`}, {"\u202e", `"\u202e"`},
		{"\xff\x00", `2 bytes that are no text: "\xff\x00"`},
	} {
		for m := range api.Messages(&cirandav1.Delivery{Payloads: [][]byte{[]byte(p.payload)}}) {
			if got := payloadWords(m); got != p.want {
				t.Errorf("%q: got %s, want %s", p.payload, got, p.want)
			}
		}
	}
}

// The flags of a listener name lanes.
func TestLanesToListenTo(t *testing.T) {
	for args, want := range map[string]string{
		"":                              "[]",
		"--order total":                 `[order:"total" order:"total" uniform:true]`,
		"--uniform":                     "[uniform:true]",
		"--uniform=false":               "[]", // see below
		"--order fifo,causal --uniform": `[order:"fifo" uniform:true order:"causal" uniform:true]`,
	} {
		var f multicastFlags
		cmd := newMulticast()
		if err := cmd.ParseFlags(strings.Fields(args)); err != nil {
			t.Fatal(err)
		}
		f.orders, _ = cmd.Flags().GetStringSlice("order")
		f.uniform, _ = cmd.Flags().GetBool("uniform")
		lanes := f.lanes(cmd)
		got := strings.Join(strings.Fields(fmt.Sprint(lanes)), " ") // how many spaces there are is not the same in all builds
		if args == "--uniform=false" {
			if len(lanes) != 1 || lanes[0].GetUniform() || lanes[0].GetOrder() != "" {
				t.Errorf("%s: got %s", args, got)
			}
			continue
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", args, got, want)
		}
	}
}
