package tcp

import (
	"net"
	"testing"
	"time"

	"ciranda.dev/transport/transporttest"
)

// quick are options for tests: what depends on time comes soon.
var quick = Options{HandshakeTimeout: time.Second, RetryMin: time.Millisecond, RetryMax: 20 * time.Millisecond, Queue: 1 << 20}

func TestTransport(t *testing.T) {
	transporttest.Run(t, transporttest.Kit{
		Open: func(t testing.TB, s transporttest.Setup) transporttest.Transport {
			transport, err := Open(Config{Hello: s.Hello, Handler: s.Handler, Secret: s.Secret, Options: quick})
			if err != nil {
				t.Fatal(err)
			}
			return transport
		},
		Dial: func(address string) (net.Conn, error) { return net.Dial("tcp", address) },
	})
}
