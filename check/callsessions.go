package check

import (
	"fmt"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/invocation"
	"ciranda.dev/trace"
)

// A clientLife is a life of a client, at a server.
type clientLife struct {
	server protocol.ID
	client invocation.ClientID
	inc    uint64
}

// callReplyKept is RPC-6: a reply is dropped when its call is over at the caller, or the session is.
type callReplyKept struct {
	base
	lives
	returned map[invocation.RID]bool
	over     map[clientLife]bool
}

func (p *callReplyKept) Kinds() Kinds { return callKinds }

func (p *callReplyKept) Step(e *trace.Event) {
	p.step(e)
	switch d := e.Data.(type) {
	case invocation.Returned:
		if p.returned == nil {
			p.returned = map[invocation.RID]bool{}
		}
		p.returned[d.RID] = true
	case invocation.Ended:
		if p.over == nil {
			p.over = map[clientLife]bool{}
		}
		p.over[clientLife{e.Node, d.Client, uint64(d.Incarnation)}] = true
	case invocation.Forgotten:
		p.examined++
		told := p.setup.exact() || p.live(protocol.ID(d.RID.Client.Node())) // else its last words may be missing
		if told && !p.returned[d.RID] && !p.over[clientLife{e.Node, d.RID.Client, d.RID.Incarnation}] {
			p.violate(fmt.Sprintf("node %d forgets its reply to %s, and the caller still waits", e.Node, d.RID), e)
		}
	}
}

func (p *callReplyKept) Result(int64) Result { return p.result("no reply was forgotten") }

// callNoOrphans is RPC-7: what a former life of a client asked for is not begun, nor has an effect, once its server knows of a newer
// life; nor what calls within that life's calls asked for. Of those that began a chain a server also hears from others.
type callNoOrphans struct {
	base
	servers []knownClients // by node
	chains  map[invocation.RID]invocation.RID
}

// knownClients are what a server knows of clients: from themselves, and as the first of chains.
type knownClients struct {
	own, told map[invocation.ClientID]newestLife
}

// A newestLife is the newest process of a client, and since when it is known.
type newestLife struct {
	process uint64
	event   *trace.Event `layer:"const"`
}

func (p *callNoOrphans) Kinds() Kinds { return callKinds }

func (p *callNoOrphans) Step(e *trace.Event) {
	p.servers = reach(p.servers, e.Node)
	k := &p.servers[e.Node]
	if begins(e) || k.own == nil {
		*k = knownClients{map[invocation.ClientID]newestLife{}, map[invocation.ClientID]newestLife{}}
	}
	switch d := e.Data.(type) {
	case invocation.Opened:
		learn(e, k.own, invocation.RID{Client: d.Client, Incarnation: uint64(d.Incarnation)})
	case invocation.Begun:
		p.examined++
		p.judge(e, "begins", d.RID, d.Root)
		learn(e, k.told, d.Root)
		if p.chains == nil {
			p.chains = map[invocation.RID]invocation.RID{}
		}
		p.chains[d.RID] = d.Root
	case invocation.Over:
		p.judge(e, "has an effect", d.RID, p.chains[d.RID])
	}
}

func learn(e *trace.Event, known map[invocation.ClientID]newestLife, of invocation.RID) {
	if process := invocation.Process(of.Incarnation); process > known[of.Client].process {
		known[of.Client] = newestLife{process, keep(e)}
	}
}

// judge demands that neither the caller nor the first of the chain is of a former life.
func (p *callNoOrphans) judge(e *trace.Event, does string, rid, root invocation.RID) {
	k := &p.servers[e.Node]
	fault := func(of invocation.RID, n newestLife) {
		if process := invocation.Process(of.Incarnation); n.process > process {
			p.violate(fmt.Sprintf("the call %s %s at node %d for life %d of %s, and it knows of life %d", rid, does, e.Node, process, of.Client, n.process),
				n.event, e)
		}
	}
	fault(rid, k.own[rid.Client])
	if root.Client != rid.Client && root.Seq != 0 {
		fault(root, k.own[root.Client])
		fault(root, k.told[root.Client])
	}
}

func (p *callNoOrphans) Result(int64) Result { return p.result(nobodyCalls) }

// sessionOver is SES-2: nothing of a session is executed, nor has an effect, after its end.
type sessionOver struct {
	base
	over map[clientLife]seen
}

func (p *sessionOver) Kinds() Kinds { return callKinds }

func (p *sessionOver) Step(e *trace.Event) {
	switch d := e.Data.(type) {
	case invocation.Ended:
		p.examined++
		if p.over == nil {
			p.over = map[clientLife]seen{}
		}
		p.over[clientLife{e.Node, d.Client, uint64(d.Incarnation)}] = seen{keep(e)}
	case invocation.Begun:
		p.judge(e, d.RID, "begins")
	case invocation.Over:
		p.judge(e, d.RID, "has an effect")
	}
}

func (p *sessionOver) judge(e *trace.Event, rid invocation.RID, does string) {
	end, over := p.over[clientLife{e.Node, rid.Client, rid.Incarnation}]
	if over && end.event.Inc == e.Inc {
		p.violate(fmt.Sprintf("the call %s %s at node %d, and its session there was over", rid, does, e.Node), end.event, e)
	}
}

func (p *sessionOver) Result(int64) Result { return p.result("no session ended") }

// sessionLease is SES-1: no server ends a session while its client counts on it.
type sessionLease struct {
	base
	lives
	delays delays
	held   map[clientLife]holding
}

// A holding is until when a client counts on a session.
type holding struct {
	until int64
	event *trace.Event `layer:"const"`
}

func (p *sessionLease) Kinds() Kinds { return callKinds }

func (p *sessionLease) Step(e *trace.Event) {
	p.step(e)
	p.delays.step(e)
	switch d := e.Data.(type) {
	case invocation.Held:
		p.examined++
		if p.held == nil {
			p.held = map[clientLife]holding{}
		}
		p.held[clientLife{d.Server, invocation.NodeClient(uint16(e.Node)), uint64(d.Incarnation)}] = holding{e.T + int64(d.For), keep(e)}
	case invocation.LostSession: // it knows better
		delete(p.held, clientLife{d.Server, invocation.NodeClient(uint16(e.Node)), uint64(d.Incarnation)})
	case invocation.Ended:
		h, known := p.held[clientLife{e.Node, d.Client, uint64(d.Incarnation)}]
		client := protocol.ID(d.Client.Node())
		if !known || p.delays.odd(e.Node) || p.delays.odd(client) || p.of(client).inc != h.event.Inc || p.of(client).state == down {
			return
		}
		if h.until > e.T+p.setup.slack() {
			p.violate(fmt.Sprintf("node %d ends its session with %s, which counts on it for another %s", e.Node, d.Client, span(h.until-e.T)), h.event, e)
		}
	}
}

func (p *sessionLease) Result(int64) Result { return p.result("no session was opened") }
