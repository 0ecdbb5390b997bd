package pki_test

import (
	"crypto/tls"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"ciranda.dev/pki"
)

// A cluster gets an authority, its node and its operator credentials; then they connect, and the node knows who it is.
func Example() {
	home, err := os.MkdirTemp("", "pki")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(home)
	authority, err := pki.Init(filepath.Join(home, "authority"), "lab")
	if err != nil {
		log.Fatal(err)
	}
	node := credentials(authority, filepath.Join(home, "node3"), pki.Node, "3")
	ana := credentials(authority, filepath.Join(home, "ana"), pki.Operator, "ana")

	l, err := tls.Listen("tcp", "127.0.0.1:0", node.Server())
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	go tls.Dial("tcp", l.Addr().String(), ana.Client(pki.Node))

	c, err := l.Accept()
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	secure := c.(*tls.Conn)
	if err := secure.Handshake(); err != nil {
		log.Fatal(err)
	}
	who, err := pki.IdentityOf(secure.ConnectionState())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(who, who.Role.May(pki.Operator), who.Role.May(pki.Node))
	// Output: operator ana of lab true false
}

func credentials(a *pki.Authority, dir string, role pki.Role, name string) *pki.Credentials {
	if err := a.Issue(dir, pki.Request{Role: role, Name: name}); err != nil {
		log.Fatal(err)
	}
	c, err := pki.Load(dir)
	if err != nil {
		log.Fatal(err)
	}
	return c
}
