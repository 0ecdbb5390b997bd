package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	cirandav1 "ciranda.dev/api/ciranda/v1"
)

// KeyHeader is the header of an HTTP request, or the metadata of a gRPC call, in which a caller brings a key of its own: what it asks
// for with a key is done once, however often it asks. See IETF draft-ietf-httpapi-idempotency-key-header.
const KeyHeader = "Idempotency-Key"

// keyKey is where the context of an HTTP request has the caller's key.
type keyKey struct{}

// withKey gives the context of an HTTP request whose headers are these.
func withKey(ctx context.Context, keys []string) context.Context {
	if len(keys) == 0 {
		return ctx
	}
	return context.WithValue(ctx, keyKey{}, keys)
}

// Keyed gives a transfer without an id the one that follows from the key that its caller brings, if it does. Every server makes the same
// id of a caller's key, so that the caller may ask again anywhere, and keeps nothing for it. Keys of different callers are different.
func Keyed(ctx context.Context, r *cirandav1.TransferRequest) (*cirandav1.TransferRequest, error) {
	key, err := callersKey(ctx)
	if key == "" || err != nil {
		return r, err
	}
	if r.GetId() != nil {
		return nil, Wrong("id", "found an id and the header %s; expected one of them", KeyHeader)
	}
	sum := sha256.Sum256([]byte(Caller(ctx).String() + "\x00" + key))
	r = proto.CloneOf(r)
	r.Id = &cirandav1.RequestID{Client: "key." + hex.EncodeToString(sum[:16]), Number: 1, Below: 1} // it makes no other request
	return r, nil
}

// callersKey is the key that the caller of a context brings; empty if it brings none. More than one, or one that is not of 1 to 255
// bytes, is an error.
func callersKey(ctx context.Context) (string, error) {
	keys, _ := ctx.Value(keyKey{}).([]string)
	if keys == nil {
		keys = metadata.ValueFromIncomingContext(ctx, KeyHeader)
	}
	switch {
	case len(keys) == 0:
		return "", nil
	case len(keys) > 1:
		return "", Wrong(KeyHeader, "found %d of them; expected one", len(keys))
	case len(keys[0]) < 1 || len(keys[0]) > 255:
		return "", Wrong(KeyHeader, "found %d bytes; expected 1 to 255", len(keys[0]))
	}
	return keys[0], nil
}
