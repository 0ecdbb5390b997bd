// Package peer has a remote interface that another package embeds and passes on.
package peer

import "context"

//go:generate go tool rmigen

// A Listener hears.
//
//rmi:remote
type Listener interface {
	Hear(ctx context.Context, what string) (heard int, err error)
	Count(ctx context.Context) (n int, err error) //rmi:idempotent
}
