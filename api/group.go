package api

import (
	"context"
	"iter"
	"unicode/utf8"

	"connectrpc.com/connect"
	"google.golang.org/grpc"

	cirandav1 "ciranda.dev/api/ciranda/v1"
)

// A Group is the service of the group that the nodes form, or of one membership of it.
type Group interface {
	View(context.Context, *cirandav1.ViewRequest) (*cirandav1.ViewResponse, error)
	Multicast(context.Context, *cirandav1.MulticastRequest) (*cirandav1.MulticastResponse, error)
	// MulticastStream calls receive for each request until that gives [io.EOF].
	MulticastStream(ctx context.Context, receive func() (*cirandav1.MulticastStreamRequest, error)) (*cirandav1.MulticastStreamResponse, error)
	// Listen calls send for each batch until ctx ends or send fails.
	Listen(ctx context.Context, r *cirandav1.ListenRequest, send func(*cirandav1.ListenResponse) error) error
	Leave(context.Context, *cirandav1.LeaveRequest) (*cirandav1.LeaveResponse, error)
	Join(context.Context, *cirandav1.JoinRequest) (*cirandav1.JoinResponse, error)
}

type (
	grpcGroup    struct{ Group }
	connectGroup struct{ Group }
)

func (g grpcGroup) MulticastStream(s grpc.ClientStreamingServer[cirandav1.MulticastStreamRequest, cirandav1.MulticastStreamResponse]) error {
	answer, err := g.Group.MulticastStream(s.Context(), s.Recv)
	if err != nil {
		return err
	}
	return s.SendAndClose(answer)
}

func (g grpcGroup) Listen(r *cirandav1.ListenRequest, s grpc.ServerStreamingServer[cirandav1.ListenResponse]) error {
	return g.Group.Listen(s.Context(), r, s.Send)
}

func (g connectGroup) MulticastStream(ctx context.Context, s *connect.ClientStream[cirandav1.MulticastStreamRequest]) (*cirandav1.MulticastStreamResponse, error) {
	return g.Group.MulticastStream(ctx, func() (*cirandav1.MulticastStreamRequest, error) { return received(s) })
}

func (g connectGroup) Listen(ctx context.Context, r *cirandav1.ListenRequest, s *connect.ServerStream[cirandav1.ListenResponse]) error {
	return g.Group.Listen(ctx, r, s.Send)
}

// A Delivered message is how one message of a delivery is written as JSON: by multicast --listen, and to server-sent events.
type Delivered struct {
	Order   string  `json:"order"`
	Uniform bool    `json:"uniform"`
	Sender  uint32  `json:"sender"`
	Seq     uint64  `json:"seq"`
	View    uint64  `json:"view"`
	Lamport uint64  `json:"lamport"`
	Payload *string `json:"payload,omitempty"` // if it is UTF-8
	Bytes   []byte  `json:"payload_base64,omitempty"`
}

// Messages are the messages of a delivery, one by one.
func Messages(d *cirandav1.Delivery) iter.Seq[Delivered] {
	return func(yield func(Delivered) bool) {
		for i, p := range d.GetPayloads() {
			m := Delivered{Order: d.GetOrder(), Uniform: d.GetUniform(), Sender: d.GetSender(), Seq: d.GetFirst() + uint64(i),
				View: d.GetView(), Lamport: d.GetLamport(), Bytes: p}
			if utf8.Valid(p) {
				text := string(p)
				m.Payload, m.Bytes = &text, nil
			}
			if !yield(m) {
				return
			}
		}
	}
}
