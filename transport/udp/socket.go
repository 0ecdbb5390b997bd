package udp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
)

// A Conn sends and receives datagrams of one group.
type Conn interface {
	// Read reads one datagram. What does not fit into b is lost.
	Read(b []byte) (int, error)
	// Write sends one datagram to the group.
	Write(b []byte) (int, error)
	// Close ends both; a Read that waits fails.
	Close() error
}

// A place is where datagrams go: a group, on one interface.
type place struct {
	group netip.AddrPort
	name  string // of the interface
}

// ParseGroup reads a group's address, such as "239.7.7.7:7946".
func ParseGroup(text string) (netip.AddrPort, error) {
	a, err := netip.ParseAddrPort(text)
	if err != nil || !a.Addr().Is4() || !a.Addr().IsMulticast() || a.Port() == 0 {
		return a, fmt.Errorf("found the multicast group %.60q; expected an IPv4 address from 224.0.0.0 to 239.255.255.255 and a port, such as 239.7.7.7:7946", text)
	}
	return a, nil
}

// findInterface finds an interface by its name. Without one it is the only one that is fit, if there is one only.
func findInterface(name string) (*net.Interface, error) {
	if name != "" {
		i, err := net.InterfaceByName(name)
		if err != nil {
			return nil, fmt.Errorf("found no interface %q", name)
		}
		return i, nil
	}
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var fit []*net.Interface
	names := ""
	for i := range all {
		if is := net.FlagUp | net.FlagMulticast; all[i].Flags&(is|net.FlagLoopback) == is {
			fit = append(fit, &all[i])
			names += " " + all[i].Name
		}
	}
	switch len(fit) {
	case 0:
		return nil, errors.New("found no interface that carries multicast")
	case 1:
		return fit[0], nil
	}
	return nil, fmt.Errorf("found several interfaces that carry multicast; expected the name of one of%s", names)
}

// A socket is a Conn of the system.
type socket struct {
	*net.UDPConn
	group netip.AddrPort
}

// readBuffer is how many bytes of datagrams the system should hold for a node that is busy. It may have a limit of its own.
const readBuffer = 4 << 20

// join joins the group on the interface. What is sent gets no further than its network, and reaches nodes of the same
// machine too: so the sender itself, who knows its own.
func (p place) join() (Conn, int, error) {
	i, err := findInterface(p.name)
	if err != nil {
		return nil, 0, err
	}
	group := net.UDPAddrFromAddrPort(p.group)
	c, err := net.ListenMulticastUDP("udp4", i, group)
	if err != nil {
		return nil, 0, fmt.Errorf("cannot join %s on %s: %w", p.group, i.Name, err)
	}
	_ = c.SetReadBuffer(readBuffer)
	pc := ipv4.NewPacketConn(c)
	if err := errors.Join(pc.SetMulticastTTL(1), pc.SetMulticastLoopback(true)); err != nil {
		return nil, 0, errors.Join(fmt.Errorf("cannot set up %s on %s: %w", p.group, i.Name, err), c.Close())
	}
	return &socket{c, p.group}, i.MTU, nil
}

func (s *socket) Read(b []byte) (int, error) {
	n, _, err := s.ReadFromUDPAddrPort(b)
	return n, err
}

func (s *socket) Write(b []byte) (int, error) { return s.WriteToUDPAddrPort(b, s.group) }
