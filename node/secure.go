package node

import (
	"crypto/tls"
	"fmt"

	"ciranda.dev/api"
	"ciranda.dev/pki"
	"ciranda.dev/protocol"
)

// checkAccess says whether the node may be who it is said to be.
func (c *Config) checkAccess() error {
	if err := c.Access.Validate(); err != nil {
		return err
	}
	if c.Access.Insecure() {
		return nil
	}
	want := pki.Identity{Cluster: c.Cluster, Role: pki.Node, Name: c.ID.String()}
	if is := c.Access.Credentials.Identity(); is != want {
		e := api.Wrong("credentials", "the credentials are those of %s; expected those of %s", is, want)
		e.Hint = fmt.Sprintf("ciranda pki issue --role node %s makes them", c.ID)
		return e
	}
	return nil
}

// peerTLS are the settings for both ends of a connection between nodes: both show the certificate of a node.
func peerTLS(c *pki.Credentials) *tls.Config {
	both := c.Server()
	trusted := both.VerifyConnection
	both.VerifyConnection = func(s tls.ConnectionState) error {
		if err := trusted(s); err != nil {
			return err
		}
		id, err := pki.IdentityIn(s.PeerCertificates[0])
		if err == nil && id.Role != pki.Node {
			err = fmt.Errorf("refused %s: only nodes may join", id)
		}
		return err
	}
	both.InsecureSkipVerify = true // of names of hosts; VerifyConnection checks all else
	both.GetClientCertificate = c.Client().GetClientCertificate
	return both
}

// identifyPeer says which node has made a connection of peerTLS.
func identifyPeer(s tls.ConnectionState) (protocol.ID, error) {
	id, err := pki.IdentityOf(s)
	return id.Node(), err
}
