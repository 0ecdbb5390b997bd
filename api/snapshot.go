package api

import (
	"context"

	cirandav1 "ciranda.dev/api/ciranda/v1"
)

// Snapshots is the service that takes consistent pictures of the nodes' application.
type Snapshots interface {
	Take(context.Context, *cirandav1.TakeRequest) (*cirandav1.TakeResponse, error)
}
