package bench

import "context"

//go:generate go tool rmigen

// An Echoer gives back what it is sent.
//
//rmi:remote
type Echoer interface {
	Echo(ctx context.Context, payload []byte) (answer []byte, err error)
}

type echoer struct{}

func (echoer) Echo(_ context.Context, payload []byte) ([]byte, error) { return payload, nil }
