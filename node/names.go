package node

import (
	"slices"
	"strconv"
	"strings"
	"sync"

	"ciranda.dev/api"
	"ciranda.dev/protocol"
)

// A naming knows which nodes the words of a request stand for.
type naming struct {
	group  []protocol.ID
	leader func() (protocol.ID, error) // asked only if it is named
	last   protocol.ID                 // the node killed last; None if there is none
}

// resolve gives the nodes that text names, ascending: "3", "1,2", "all", "leader" or "last". field is where it stands.
func (n naming) resolve(field, text string) ([]protocol.ID, error) {
	n.leader = sync.OnceValues(n.leader) // however often it is named
	var ids []protocol.ID
	for word := range strings.SplitSeq(text, ",") {
		named, err := n.word(field, strings.TrimSpace(word))
		if err != nil {
			return nil, err
		}
		ids = append(ids, named...)
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

func (n naming) word(field, word string) ([]protocol.ID, error) {
	switch word {
	case "all":
		return n.group, nil
	case "leader":
		id, err := n.leader()
		return []protocol.ID{id}, err
	case "last":
		if n.last == protocol.None {
			return nil, api.Failed("name the node by its number", "no node was killed yet")
		}
		return []protocol.ID{n.last}, nil
	}
	if id, err := parseID(word); err == nil && slices.Contains(n.group, id) {
		return []protocol.ID{id}, nil
	}
	e := api.Wrong(field, "unknown node %.40q", word)
	e.Hint = "the nodes are " + ranges(n.group) + "; leader, last and all are understood too"
	return nil, e
}

func parseID(word string) (protocol.ID, error) {
	number, err := strconv.ParseUint(word, 10, 16)
	if err == nil && number == 0 {
		err = strconv.ErrRange
	}
	return protocol.ID(number), err
}

// one is resolve for a single node.
func (n naming) one(field, text string) (protocol.ID, error) {
	ids, err := n.resolve(field, text)
	if err == nil && len(ids) != 1 {
		err = api.Wrong(field, "found %.40q; expected one node", text)
	}
	if err != nil {
		return protocol.None, err
	}
	return ids[0], nil
}

// ranges writes ascending nodes for people: "1-3, 5".
func ranges(ids []protocol.ID) string {
	var parts []string
	for i := 0; i < len(ids); {
		j := i
		for j+1 < len(ids) && ids[j+1] == ids[j]+1 {
			j++
		}
		switch {
		case j-i >= 2:
			parts = append(parts, ids[i].String()+"-"+ids[j].String())
		case j > i:
			parts = append(parts, ids[i].String(), ids[j].String())
		default:
			parts = append(parts, ids[i].String())
		}
		i = j + 1
	}
	return strings.Join(parts, ", ")
}

// list writes nodes without blanks: "1,2".
func list(ids []protocol.ID) string {
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = id.String()
	}
	return strings.Join(words, ",")
}
