package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/gateway"
)

// How many bytes of lines go into one request, about, and how many lines.
const (
	requestBytes = 60 << 10
	requestLines = 4096
)

// lastWait is how long is waited for the answer to a stream after Ctrl-C.
const lastWait = 5 * time.Second

// sendLines sends each line of standard input as a message. Ctrl-C ends the reading; what was read is sent.
func (f *multicastFlags) sendLines(ctx context.Context, cmd *cobra.Command, c *api.Client) error {
	inTime, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stream, err := gateway.OpenStream(inTime, c.Group)
	if err != nil {
		return err
	}
	lines := readLines(ctx, cmd.InOrStdin())
	unread := f.pass(ctx, lines, stream.Send)
	if ctx.Err() != nil {
		defer time.AfterFunc(lastWait, cancel).Stop()
	}
	a, err := stream.Close()
	if err != nil {
		return err
	}
	if unread != nil {
		return sayDelivered(unread, a.GetCount())
	}
	if err := show(cmd, linesJSON{orNull(a.GetNode()), f.order(), f.uniform, orNull(a.GetView()), a.GetCount()}, func(w io.Writer) {
		if a.GetCount() == 0 {
			fmt.Fprintln(w, "there was nothing to send")
			return
		}
		fmt.Fprintf(w, "node %d has sent and delivered %d %s messages\n", a.GetNode(), a.GetCount(), laneWords(f.order(), f.uniform))
	}); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return errInterrupted
	}
	return nil
}

// sayDelivered is why the input could not be read to its end, and how much of it was delivered.
func sayDelivered(err error, count uint64) error {
	before := fmt.Sprintf("; the %d messages before it were delivered", count)
	var m mistake
	if errors.As(err, &m) {
		return mistake{m.text + before, m.hint}
	}
	return fmt.Errorf("%w%s", err, before)
}

// linesJSON is the object of multicast - -o json.
type linesJSON struct {
	Node    *uint32 `json:"node"` // the sender; null if there was nothing to send
	Order   string  `json:"order"`
	Uniform bool    `json:"uniform"`
	View    *uint64 `json:"view"` // in which the last one was delivered
	Count   uint64  `json:"count"`
}

// A row is lines that were there at the same time, or why there are no more.
type row struct {
	lines [][]byte
	bytes int
	err   error // io.EOF after the last
}

// readLines reads lines, and gives those that are at hand together.
func readLines(ctx context.Context, from io.Reader) <-chan row {
	rows := make(chan row)
	go func() {
		defer close(rows)
		in := bufio.NewReaderSize(from, largestMessage+2)
		number := 0
		for {
			var r row
			for r.err == nil {
				var line []byte
				line, r.err = readLine(in)
				if number++; r.err == nil {
					r.lines, r.bytes = append(r.lines, line), r.bytes+len(line)
				} else if !errors.Is(r.err, io.EOF) {
					r.err = atLine(number, r.err)
				}
				if in.Buffered() == 0 || r.bytes > requestBytes || len(r.lines) == requestLines {
					break
				}
			}
			select {
			case rows <- r:
			case <-ctx.Done():
				return
			}
			if r.err != nil {
				return
			}
		}
	}()
	return rows
}

// atLine says where an error is.
func atLine(number int, err error) error {
	var m mistake
	if errors.As(err, &m) {
		return mistake{fmt.Sprintf("line %d of the input: %s", number, m.text), m.hint}
	}
	return fmt.Errorf("line %d of the input: %w", number, err)
}

// readLine reads a line without its end. The last one need not have any.
func readLine(in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, mistake{fmt.Sprintf("found more than %d bytes; expected a message of at most that", largestMessage), ""}
	case err != nil && (!errors.Is(err, io.EOF) || len(line) == 0):
		return nil, err
	}
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
	if len(line) > largestMessage {
		return nil, mistake{fmt.Sprintf("found %d bytes; expected a message of at most %d", len(line), largestMessage), ""}
	}
	return append([]byte{}, line...), nil
}

// pass sends rows until there are no more, or ctx ends.
func (f *multicastFlags) pass(ctx context.Context, rows <-chan row, send func(*cirandav1.MulticastStreamRequest) error) error {
	for {
		var r row
		select {
		case r = <-rows:
		case <-ctx.Done():
			return nil
		}
		for len(r.lines) > 0 {
			n := fits(r.lines)
			request := &cirandav1.MulticastStreamRequest{Node: uint32(f.node), Order: f.order(), Uniform: f.uniform, Payloads: r.lines[:n]}
			if err := send(request); errors.Is(err, io.EOF) {
				return nil // the answer says why
			} else if err != nil {
				return err
			}
			r.lines = r.lines[n:]
		}
		if errors.Is(r.err, io.EOF) {
			return nil
		}
		if r.err != nil {
			return r.err
		}
	}
}

// fits is how many of some lines go into one request; at least one.
func fits(lines [][]byte) int {
	size := 0
	for n, l := range lines {
		if size += len(l); n > 0 && size > requestBytes {
			return n
		}
	}
	return len(lines)
}
