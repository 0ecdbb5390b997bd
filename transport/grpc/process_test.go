package grpc

import (
	"bytes"
	"os"
	"os/exec"
	"testing"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/transport"
)

// echoVariable has the address of node 1 in a process that is node 2.
const echoVariable = "CIRANDA_TEST_ECHO_TO"

// An echoer sends back what it receives.
type echoer struct {
	*listener
	tr *Transport
}

func (e *echoer) Receive(from protocol.ID, _ protocol.Incarnation, messages [][]byte) {
	for _, m := range messages {
		e.tr.Send(from, bytes.Clone(m), nil)
	}
}

// echoes is node 2 until it is killed, if the process was started for that.
func echoes() bool {
	to := os.Getenv(echoVariable)
	if to == "" {
		return false
	}
	e := &echoer{listener: newListener()}
	hello := transport.Hello{Cluster: "c", Stack: "s", Group: []protocol.ID{1, 2}, ID: 2, Incarnation: 1}
	var err error
	if e.tr, err = Open(Config{Hello: func() transport.Hello { return hello }, Handler: e, Options: quick}); err != nil {
		panic(err)
	}
	e.tr.SetPeer(1, to)
	select {}
}

// The death of a process is news at once: after what it sent, and without any timeout.
func TestKilled(t *testing.T) {
	l := newListener()
	got := make(chan string, 1)
	l.receive = func(messages [][]byte) { got <- string(messages[0]) }
	slow := Options{WriteTimeout: time.Hour, HandshakeTimeout: time.Minute}
	tr := start(t, Open, 1, l, Config{Options: slow})
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), echoVariable+"="+tr.Addr())
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Wait()
	<-l.ups
	tr.Send(2, []byte("are you there?"), nil)
	if echo := <-got; echo != "are you there?" {
		t.Errorf("echoed %q", echo)
	}
	child.Process.Kill()
	if id := <-l.downs; id != 2 {
		t.Errorf("node %d is down", id)
	}
}
