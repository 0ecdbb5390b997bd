package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
)

func newWatch() *cobra.Command {
	var t target
	r := &cirandav1.WatchRequest{}
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "The stream of events",
		Long: "Watch prints what happens as it happens: in words, or with -o json one event of the trace a line.\n" +
			"It ends with the cluster.",
		Example: "  ciranda watch\n  ciranda watch --without bank.\n  ciranda watch --from start --at-hand -o json",
		Args:    arguments(0, 0, "none"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p := printer{out: cmd.OutOrStdout(), notes: cmd.ErrOrStderr(), json: wantsJSON(cmd)}
			return t.with(cmd.Context(), func(ctx context.Context, c *api.Client) error { return p.follow(ctx, c, r) })
		},
	}
	t.flags(cmd)
	cmd.Flags().StringVar(&r.Cursor, "from", "", "where to begin: \"start\" is the oldest event that is kept; else at the next one")
	cmd.Flags().StringSliceVar(&r.Without, "without", nil, "leave out the kinds of events that begin so, such as bank.")
	cmd.Flags().BoolVar(&r.AtHand, "at-hand", false, "print what has happened and end")
	return cmd
}

// How often and how long a broken stream is taken up again.
const (
	resumeEvery = 100 * time.Millisecond
	resumeTries = 20
)

// watch gives the events behind a cursor to print, and takes a stream that broke up again where it ended.
func watch(ctx context.Context, c *api.Client, r *cirandav1.WatchRequest, print func(*cirandav1.Event) error) error {
	for tries := 0; ; tries++ {
		cursor := r.Cursor
		err := watchOnce(ctx, c, r, print)
		if r.Cursor != cursor {
			tries = 0 // it went on for a while
		}
		if code(err) != codes.Unavailable || r.Cursor == "" || tries == resumeTries {
			return err
		}
		select {
		case <-time.After(resumeEvery):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func watchOnce(ctx context.Context, c *api.Client, r *cirandav1.WatchRequest, print func(*cirandav1.Event) error) error {
	stream, err := c.Events.Watch(ctx, r)
	if err != nil {
		return err
	}
	for {
		answer, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for i, e := range answer.GetEvents() {
			if i == 0 {
				e.Lost += answer.GetLost()
			}
			if err := print(e); err != nil {
				return err
			}
		}
		r.Cursor = answer.GetCursor()
	}
}

// A printer prints events: JSON as trace files have it, or sentences with the time since the first of them.
type printer struct {
	out, notes io.Writer
	json       bool
	zero       int64
}

// follow prints the events behind a cursor: sentences by time, JSON as it arrives.
func (p *printer) follow(ctx context.Context, c *api.Client, r *cirandav1.WatchRequest) error {
	if c.Insecure() {
		fmt.Fprintln(p.notes, "ciranda: "+insecureWords)
	}
	if p.json {
		return watch(ctx, c, r, p.print)
	}
	o := ordered{print: p.print, ends: r.GetAtHand()}
	err := watch(ctx, c, r, o.add)
	if failed := o.close(); err == nil {
		err = failed
	}
	return err
}

func (p *printer) print(e *cirandav1.Event) error {
	if e.GetLost() > 0 {
		fmt.Fprintf(p.notes, "ciranda: %d events before the next line were lost to this stream\n", e.GetLost())
	}
	if p.json {
		_, err := fmt.Fprintf(p.out, "{\"i\":%d,%s\n", e.GetPosition(), e.GetJson()[1:])
		return err
	}
	if e.GetText() == "" {
		return nil
	}
	if p.zero == 0 {
		p.zero = e.GetTime()
	}
	_, err := fmt.Fprintf(p.out, "%9.3fs  %s\n", time.Duration(e.GetTime()-p.zero).Seconds(), e.GetText())
	return err
}
