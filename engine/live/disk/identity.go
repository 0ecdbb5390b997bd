package disk

import (
	"encoding/json"
	"errors"
	"fmt"

	"ciranda.dev/protocol"
)

const identityName = "identity.json"

var errLocked = errors.New("another process uses this directory")

// An identity is written once, so that nobody takes another node's memory for its own.
type identity struct {
	Cluster string      `json:"cluster"`
	Node    protocol.ID `json:"node"`
	Shape   string      `json:"shape,omitempty"`
}

// claim makes the directory the node's, or checks that it is.
func claim(dir FS, o Options) error {
	mine := identity{o.Cluster, o.Node, o.Shape}
	b, err := readIfThere(dir, identityName)
	if err != nil {
		return err
	}
	if b == nil {
		if b, err = json.Marshal(mine); err != nil {
			return err
		}
		return replace(dir, identityName, append(b, '\n'))
	}
	var found identity
	if err := json.Unmarshal(b, &found); err != nil {
		return fmt.Errorf("%s: found %.60q; expected whose directory it is", identityName, b)
	}
	if found.Cluster != mine.Cluster || found.Node != mine.Node {
		return fmt.Errorf("the directory is of node %d of cluster %q; expected node %d of cluster %q",
			found.Node, found.Cluster, mine.Node, mine.Cluster)
	}
	if found.Shape != mine.Shape {
		return fmt.Errorf("what is stored is of a cluster with %s; expected %s", named(found.Shape), named(mine.Shape))
	}
	return nil
}

func named(shape string) string {
	if shape == "" {
		return "no particular shape"
	}
	return fmt.Sprintf("%q", shape)
}
