package node

import (
	"ciranda.dev/api"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/multicast"
	"ciranda.dev/transport"
	"ciranda.dev/transport/tcp"
	"ciranda.dev/transport/udp"
)

// checkUDP says what is wrong with how datagrams are asked for.
func (c *Config) checkUDP() error {
	switch {
	case c.UDP == "" && c.UDPInterface != "":
		return api.Wrong("udp", "an interface for datagrams needs a multicast group, such as 239.7.7.7:7946")
	case c.UDP == "":
		return nil
	case c.Spec.Orders == "":
		return api.Wrong("udp", "only the members of a group send datagrams, and the nodes form none")
	}
	if _, err := udp.ParseGroup(c.UDP); err != nil {
		return api.Wrong("udp", "%v", err)
	}
	c.Spec.Datagrams = true
	return nil
}

// agreed is what the nodes must agree on, in words.
func (n *Node) agreed() string {
	text := n.cfg.Spec.Text()
	if n.cfg.UDP != "" {
		text += " + udp(" + n.cfg.UDP + ")"
	}
	return text
}

// openAir opens the transport with the connections, and datagrams beside it.
func (n *Node) openAir(c tcp.Config, h transport.Handler) (transport.Transport, error) {
	air, err := udp.Open(udp.Config{Group: n.cfg.UDP, Interface: n.cfg.UDPInterface, Insecure: n.cfg.Access.Insecure(), Log: n.log},
		h.(transport.Hearer), c.Hello(), func(h transport.Handler) (transport.Transport, error) {
			c.Handler = h
			return n.connect(c)
		})
	if err != nil {
		return nil, err
	}
	n.air = air
	return air, nil
}

// leave takes what leaves the top of the stack. Datagrams are for the members of the view that is in force here.
func (n *Node) leave(e protocol.Event, lamport uint64) {
	n.member.Leave(e, lamport)
	n.names.Hear(e)
	if n.account != nil {
		n.tellAccount(e)
	}
	if n.air == nil {
		return
	}
	switch e := e.(type) {
	case group.Installed:
		var members []udp.Member
		for _, m := range e.View.Members {
			members = append(members, udp.Member{Node: m.Node, Incarnation: m.Incarnation})
		}
		n.air.View(e.View.ID, members)
	case group.Excluded:
		n.air.View(0, nil)
	case multicast.Broadcasting:
		if e.Is {
			n.log.Info("messages of the group go by IP multicast", "node", n.cfg.ID, "group", n.cfg.UDP)
		} else {
			n.log.Info("messages of the group go over connections", "node", n.cfg.ID, "why", e.Why)
		}
	case protocol.Carries:
		if e.Why != "" {
			n.log.Info("the network does not carry IP multicast", "node", n.cfg.ID, "why", e.Why)
		}
	}
}
