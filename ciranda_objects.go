package ciranda

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"

	"ciranda.dev/protocol/invocation"
	"ciranda.dev/rmi"
)

// openNames makes ready what [Member.Objects] gives.
func (m *Member) openNames(c *Config) error {
	is, err := m.node.Status()
	if err != nil {
		return fmt.Errorf("ciranda: %w", err)
	}
	m.names.Attach(m.node, m.id, is.Self.Incarnation)
	m.rmi = rmi.Options{ID: invocation.NodeClient(uint16(m.id)), Life: uint64(is.Self.Incarnation), Credentials: c.Credentials,
		Names: m.names, SessionOver: m.names.SessionOver, Log: c.Log}
	if c.Credentials == nil {
		key := hmac.New(sha256.New, c.Secret)
		key.Write([]byte("ciranda objects"))
		m.rmi.Secret = key.Sum(nil)
	}
	return nil
}

// Objects are options for rmi.Listen, which gives this member a place among those who call remote objects: it is known by its number
// there, has the names that the group keeps, and admits whoever has the group's Credentials or Secret. What it binds to a name leaves
// with its membership. If members call objects of each other the program adds a Resolve that knows where they listen for that. It is an
// error without a Group.
func (m *Member) Objects() (rmi.Options, error) {
	if m.names == nil {
		return rmi.Options{}, errors.New("ciranda: there is no Group, and names are a group's")
	}
	return m.rmi, nil
}
