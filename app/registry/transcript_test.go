package registry_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"ciranda.dev/app/registry"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/invocation"
	"ciranda.dev/protocol/multicast"
	"ciranda.dev/protocol/protocoltest"
)

// ground takes the place of the group's layer and of the links: it lets the views pass that a test makes up.
type ground struct{ protocol.Base }

func (ground) String() string { return "" }
func (*ground) Traits() protocol.Traits {
	return protocol.Traits{Channel: "ground", Gives: protocol.FIFO | protocol.NoLoss | protocol.Views,
		Requests: []any{group.Held{}, group.Gathered{}, group.Exclude{}}}
}
func (*ground) Request(r any, _ *protocol.Out) bool {
	switch r.(type) {
	case group.Held, group.Gathered, group.Exclude:
		return true
	}
	return false
}

// kit makes nodes with a registry over real multicasts. The events are views: "view 7 1,2#2,3", where 2#2 is node 2 in its second life, and
// "next" in place of "view" where the node goes on from the view before. Calls are "bind NAME OWNER#LIFE OBJECT [REQUEST]", rebind alike,
// "unbind NAME [REQUEST]" and "lookup NAME".
var kit = protocoltest.Kit{
	Build: func(self protocol.Self, words []string) (*protocol.Stack, error) {
		return protocol.NewStack(self, &ground{}, multicast.New(multicast.Options{Inner: true}), registry.New(registry.Options{}))
	},
	Events: map[string]func([]string) (protocol.Event, error){
		"view": func(args []string) (protocol.Event, error) { return readView(args, true) },
		"next": func(args []string) (protocol.Event, error) { return readView(args, false) },
	},
	Calls: map[string]func([]string) (any, error){
		"bind": func(args []string) (any, error) {
			e, id, err := readEntry(args)
			return registry.Bind{Request: id, Entry: e}, err
		},
		"rebind": func(args []string) (any, error) {
			e, id, err := readEntry(args)
			return registry.Rebind{Request: id, Entry: e}, err
		},
		"unbind": func(args []string) (any, error) {
			id, err := readRequest(args[1:])
			return registry.Unbind{Request: id, Name: args[0]}, err
		},
		"lookup": func(args []string) (any, error) { return registry.Lookup{Name: args[0]}, nil },
	},
	Questions: map[string]any{"table": registry.Query{}},
}

func readView(args []string, first bool) (protocol.Event, error) {
	id, err := strconv.ParseUint(args[0], 10, 64)
	e := group.Installed{View: group.View{ID: id}, First: first}
	for _, name := range strings.Split(args[1], ",") {
		node, life, err := readLife(name)
		if err != nil {
			return nil, err
		}
		e.View.Members = append(e.View.Members, group.Member{Node: protocol.ID(node), Incarnation: protocol.Incarnation(life), Life: 1})
	}
	return e, err
}

func readLife(name string) (node, life uint64, err error) {
	if !strings.Contains(name, "#") {
		name += "#1"
	}
	_, err = fmt.Sscanf(name, "%d#%d", &node, &life)
	return node, life, err
}

func readEntry(args []string) (e registry.Entry, id invocation.RID, err error) {
	if len(args) < 3 {
		return e, id, fmt.Errorf("usage: NAME OWNER#LIFE OBJECT [REQUEST]")
	}
	node, life, err := readLife(args[1])
	if err != nil {
		return e, id, err
	}
	object, err := strconv.ParseUint(args[2], 10, 8)
	if err != nil {
		return e, id, err
	}
	e = registry.Entry{Name: args[0], Ref: invocation.Ref{Owner: invocation.NodeClient(uint16(node)), Incarnation: life,
		Object: invocation.ObjectID{byte(object)}, Interface: "Account"}}
	id, err = readRequest(args[3:])
	return e, id, err
}

func readRequest(args []string) (id invocation.RID, err error) {
	if len(args) == 0 {
		return id, nil
	}
	id = invocation.RID{Client: invocation.NodeClient(9), Incarnation: 1}
	id.Seq, err = strconv.ParseUint(args[0], 10, 64)
	return id, err
}

func TestTranscripts(t *testing.T) { kit.Run(t, "testdata/*.txt") }
