package check

import (
	"fmt"
	"strings"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/dgc"
	"ciranda.dev/trace"
)

// describeReference fills in what happens to objects and references to them. A transfer is named as "2.1.7": the transfer 7 of node 2 in
// its life 1.
func describeReference(e *trace.Event, words []string) error {
	e.Kind = trace.Noted
	is := map[string]string{}
	for _, w := range words[2:] {
		key, value, _ := strings.Cut(w, ":")
		is[key] = value
	}
	object := words[1]
	var giver, to protocol.ID
	var life protocol.Incarnation
	var transfer, session, seq uint64
	fmt.Sscanf(is["from"], "%d.%d.%d", &giver, &life, &transfer)
	fmt.Sscan(is["to"], &to)
	fmt.Sscan(is["as"], &transfer)
	fmt.Sscan(is["session"], &session)
	fmt.Sscan(is["seq"], &seq)
	span, _ := time.ParseDuration(is["for"])
	var node protocol.ID
	fmt.Sscan(object, &node)
	switch words[0] {
	case "exports": // OBJECT
		e.Kind, e.Data = trace.Told, dgc.Exported{Object: object}
	case "has": // OBJECT from:2.1.7
		e.Kind, e.Data = trace.Told, dgc.Held{Object: object, Giver: giver, Life: life, Transfer: transfer}
	case "misses": // OBJECT [from:2.1.7]
		e.Kind, e.Data = trace.Told, dgc.Lost{Object: object, Giver: giver, Life: life, Transfer: transfer}
	case "collects": // OBJECT
		e.Kind, e.Data = trace.Told, dgc.Collected{Object: object}
	case "gives": // OBJECT to:3 as:7
		e.Data = dgc.Given{Object: object, To: to, Transfer: transfer}
	case "leaves": // OBJECT
		e.Data = dgc.Dropped{Object: object}
	case "leases": // OWNER for:10s
		e.Data = dgc.Leased{Owner: node, For: span}
	case "unleases": // OWNER
		e.Data = dgc.Unleased{Owner: node}
	case "applies": // CLIENT session:1 seq:1
		e.Data = dgc.Applied{Client: node, Session: session, Seq: seq}
	case "closes-lease": // CLIENT session:1
		e.Data = dgc.Ended{Client: node, Session: session}
	default:
		return fmt.Errorf("unknown event %q", words[0])
	}
	return nil
}
