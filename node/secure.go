package node

import (
	"fmt"

	"ciranda.dev/api"
	"ciranda.dev/pki"
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
