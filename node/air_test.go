package node

import (
	"strings"
	"testing"

	"ciranda.dev/protocol/multicast"
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

// What the layer counts of datagrams is told by the API, and nothing where there are none.
func TestDatagramsAreTold(t *testing.T) {
	if d := encodeBacklog(multicast.Status{}).GetDatagrams(); d != nil {
		t.Errorf("got %v without datagrams", d)
	}
	d := encodeBacklog(multicast.Status{Broadcasts: &multicast.Broadcasts{Is: true, Sent: 1, Heard: 2, Pleas: 3, Repairs: 4}}).GetDatagrams()
	if !d.GetUsed() || d.GetWhy() != "" || d.GetSent() != 1 || d.GetHeard() != 2 || d.GetPleas() != 3 || d.GetRepairs() != 4 {
		t.Errorf("got %v", d)
	}
}
