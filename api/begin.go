package api

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"ciranda.dev/pki"
)

// begin reads until the connection has begun in one of the ways expected, or says why it cannot any more. Of one that
// said nothing it gives neither.
func (g *guard) begin(c *guarded) (conn net.Conn, why string) {
	var head []byte
	buffer := make([]byte, 64)
	for {
		n, err := c.Read(buffer)
		if head = append(head, buffer[:n]...); len(head) == 0 && err != nil {
			return nil, ""
		}
		if len(head) > 0 && (g.tls != nil || head[0] == tlsHandshake) {
			return g.cross(&headed{c, head})
		}
		open := false
		for _, b := range g.begins {
			if bytes.HasPrefix(head, []byte(b)) {
				return &headed{c, head}, ""
			}
			open = open || strings.HasPrefix(b, string(head))
		}
		if !open || err != nil {
			return nil, "it does not speak " + g.name
		}
	}
}

// cross takes a connection over the border of TLS, if both sides are on the same one.
func (g *guard) cross(c *headed) (net.Conn, string) {
	switch begins := c.head[0] == tlsHandshake; {
	case g.tls == nil:
		return nil, c.tell("it begins TLS, and this port speaks plain text")
	case !begins:
		return nil, c.tell("it speaks plain text, and this port needs TLS and a client certificate")
	}
	return g.secure(c)
}

// secure makes the handshake of TLS, which shows who the other end is.
func (g *guard) secure(c *headed) (net.Conn, string) {
	secured := tls.Server(c, g.tls)
	if err := secured.Handshake(); err != nil {
		return nil, whyRefused(err)
	}
	id, err := pki.IdentityOf(secured.ConnectionState())
	if err != nil {
		return nil, whyRefused(err)
	}
	if !g.introduce(c.guarded, id) {
		return nil, "too many connections of " + id.String()
	}
	return secured, ""
}

// whyRefused says in words why a handshake failed.
func whyRefused(err error) string {
	text := strings.TrimPrefix(err.Error(), "pki: ")
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "its handshake took too long"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "it broke the handshake off"
	case strings.Contains(text, "didn't provide a certificate"):
		return "it shows no certificate"
	case strings.HasPrefix(text, "remote error: "):
		return "it refuses this server's certificate (" + text + ")"
	}
	return text
}

// linger is how long a connection that is turned away may take to read why.
const linger = time.Second

// tell answers in HTTP/1 why a connection is turned away, and gives that. It is what most programs say something of use
// about: curl shows it, gRPC says that the other end speaks HTTP/1, TLS that its first record is none.
func (c *headed) tell(why string) string {
	io.WriteString(c.Conn, "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\n\r\nciranda: "+why+"\n")
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		c.Conn.SetReadDeadline(time.Now().Add(linger)) // a close with bytes unread would lose the answer
		io.CopyN(io.Discard, c.Conn, strangerBytes)
	}
	return why
}
