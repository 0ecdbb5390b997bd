package node

import (
	"strings"
	"testing"

	"ciranda.dev/stacks"
)

// What is wrong with how datagrams are asked for is said in words.
func TestUDPConfig(t *testing.T) {
	group := stacks.Spec{Orders: stacks.AllOrders}
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{Spec: group}, ""},
		{Config{Spec: group, UDP: "239.7.7.7:7946", UDPInterface: "eth0"}, ""},
		{Config{Spec: group, UDPInterface: "eth0"}, "needs a multicast group"},
		{Config{UDP: "239.7.7.7:7946"}, "the nodes form none"},
		{Config{Spec: group, UDP: "10.0.0.1:7946"}, "expected an IPv4 address from 224.0.0.0"},
	} {
		err := c.config.checkUDP()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q on %q: got %v, want %q", c.config.UDP, c.config.UDPInterface, err, c.want)
		}
		if c.config.Spec.Datagrams != (c.want == "" && c.config.UDP != "") {
			t.Errorf("%q: datagrams are %v", c.config.UDP, c.config.Spec.Datagrams)
		}
	}
}
