package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/gateway"
)

// hear prints what is delivered: deliveries on standard output, and how the view changes beside it.
func (f *multicastFlags) hear(ctx context.Context, cmd *cobra.Command, c *api.Client) error {
	note := func(text string) { fmt.Fprintln(cmd.ErrOrStderr(), "ciranda: "+text) }
	l := gateway.Listener{Servers: []cirandav1.GroupServiceClient{c.Group}, Note: note,
		Request: &cirandav1.ListenRequest{Node: uint32(f.node), Lanes: f.lanes(cmd)}}
	var lines bytes.Buffer
	left := f.count // 0 is never reached then
	err := l.Run(ctx, func(h *cirandav1.Happening) error {
		if h.GetDelivery() == nil {
			note(happeningWords(h))
			return nil
		}
		lines.Reset() // a write for each message would be slow
		for m := range api.Messages(h.GetDelivery()) {
			if err := writeDelivered(&lines, wantsJSON(cmd), m); err != nil {
				return err
			}
			if left--; left == 0 {
				break
			}
		}
		_, err := cmd.OutOrStdout().Write(lines.Bytes())
		if err == nil && left == 0 && f.count > 0 {
			err = errEnough
		}
		return err
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// lanes are those that are listened to; none: all of them.
func (f *multicastFlags) lanes(cmd *cobra.Command) []*cirandav1.Lane {
	kinds := []bool{false, true}
	orders := f.orders
	switch chosen := cmd.Flags().Changed("uniform"); {
	case chosen:
		kinds = []bool{f.uniform}
	case len(orders) == 0:
		return nil
	}
	if len(orders) == 0 {
		orders = []string{""}
	}
	var lanes []*cirandav1.Lane
	for _, o := range orders {
		for _, uniform := range kinds {
			lanes = append(lanes, &cirandav1.Lane{Order: o, Uniform: uniform})
		}
	}
	return lanes
}

// writeDelivered prints a message: as a line of JSON, or as "total 12 from node 1: hello".
func writeDelivered(w io.Writer, asJSON bool, m api.Delivered) error {
	if asJSON {
		return printJSON(w, m)
	}
	_, err := fmt.Fprintf(w, "%s %d from node %d: %s\n", laneWords(m.Order, m.Uniform), m.Seq, m.Sender, payloadWords(m))
	return err
}

// payloadWords shows a message on a line; what could command a terminal stands as in Go's source.
func payloadWords(m api.Delivered) string {
	if m.Payload == nil {
		return fmt.Sprintf("%d bytes that are no text: %.60q", len(m.Bytes), m.Bytes)
	}
	if strings.IndexFunc(*m.Payload, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 {
		return strconv.Quote(*m.Payload)
	}
	return *m.Payload
}
