package check

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"ciranda.dev/app/counter"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/invocation"
	"ciranda.dev/trace"
)

// describeCall fills in what happens to calls and sessions. Calls are named as "1.2.5": the call 5 of node 1 in its life 2.
func describeCall(e *trace.Event, words []string) error {
	e.Kind = trace.Noted
	is := map[string]string{}
	for _, w := range words[2:] {
		key, value, _ := strings.Cut(w, ":")
		is[key] = value
	}
	rid := callNamed(words[1])
	root := cmp.Or(is["root"], words[1])
	semantics := cmp.Or(is["sem"], atMostOnce)
	span, _ := time.ParseDuration(is["for"])
	var server protocol.ID
	fmt.Sscan(is["at"], &server)
	switch words[0] {
	case "calls": // RID at:2 [for:1s] [root:RID] [in:RID] [sem:maybe]
		e.Data = invocation.Called{RID: rid, Root: callNamed(root), Parent: callNamed(is["in"]), Server: server, Semantics: semantics, Timeout: span}
	case "repeats":
		e.Data = invocation.Again{RID: rid, Copies: 2}
	case "begins": // RID [for:1s] [root:RID] [sem:maybe]
		e.Data = invocation.Begun{RID: rid, Root: callNamed(root), Semantics: semantics, Budget: span}
	case "did": // RID [result:7]
		e.Data = invocation.Over{RID: rid, Status: callOK, Result: is["result"]}
	case "hears": // RID [status] [known:unknown] [result:7]
		e.Data = invocation.Returned{RID: rid, Status: cmp.Or(is["status"], callOK), Knowledge: strings.ReplaceAll(cmp.Or(is["known"], "executed"), "-", " "), Result: is["result"]}
	case "forgets":
		e.Data = invocation.Forgotten{RID: rid}
	case "restores": // RID [result:7]
		e.Data = invocation.Restored{RID: rid, Status: callOK, Result: is["result"]}
	case "opens":
		e.Data = invocation.Opened{Client: rid.Client, Incarnation: invocation.LifeNumber(rid.Incarnation)}
	case "closes":
		e.Data = invocation.Ended{Client: rid.Client, Incarnation: invocation.LifeNumber(rid.Incarnation)}
	case "hopes": // RID at:2 for:10s
		e.Data = invocation.Held{Server: server, Incarnation: invocation.LifeNumber(rid.Incarnation), For: span}
	case "loses": // RID at:2
		e.Data = invocation.LostSession{Server: server, Incarnation: invocation.LifeNumber(rid.Incarnation)}
	case "counts":
		e.Data = counter.Added{Mark: words[1]}
	default:
		return describeReference(e, words)
	}
	return nil
}

// callNamed reads "1.2.5", or "1.2" for a life; what is neither is no call.
func callNamed(text string) invocation.RID {
	var node uint16
	var life, seq uint64
	if n, _ := fmt.Sscanf(text, "%d.%d.%d", &node, &life, &seq); n < 2 {
		return invocation.RID{}
	}
	return invocation.RID{Client: invocation.NodeClient(node), Incarnation: invocation.Life(life, 0), Seq: seq}
}
