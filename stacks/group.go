package stacks

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"ciranda.dev/app/registry"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/multicast"
)

// AllOrders stands for every order of multicast in [Spec.Orders].
const AllOrders = "all"

// OrderNames are the orders that a group may run.
var OrderNames = func() (names []string) {
	for r := multicast.Reliable; r <= multicast.Lamport; r++ {
		names = append(names, r.String())
	}
	return names
}()

// orders are those that the spec names; nil stands for all.
func (s Spec) orders() (orders []multicast.Order, err error) {
	if s.Orders == "" || s.Orders == AllOrders {
		return nil, nil
	}
	for name := range strings.SplitSeq(s.Orders, "+") {
		r, err := multicast.ParseOrder(name)
		if err != nil || slices.Contains(orders, r) {
			return nil, fmt.Errorf("found the orders %q; expected %s, or different ones of %s, joined by +", s.Orders, AllOrders,
				strings.Join(OrderNames, ", "))
		}
		orders = append(orders, r)
	}
	return orders, nil
}

// Group are the rules of the spec's group: rounds have time for a round trip.
func (s Spec) Group() group.Options {
	patience := max(200*ms, 2*s.patience())
	return group.Options{Traffic: true, Seek: patience, Attempt: patience, Found: max(500*ms, 2*patience)}.WithDefaults()
}

// Multicast are the rules of the spec's multicasts.
func (s Spec) Multicast() multicast.Options {
	orders, _ := s.orders() // Validate has seen them
	return multicast.Options{Orders: orders, Patience: max(2*time.Second, 4*s.patience()), Credit: s.App == Hosted,
		Datagrams: s.Datagrams, Inner: s.Registry, Trace: s.Notes}.WithDefaults()
}

// groupLayers are a group and its messages.
func (s Spec) groupLayers() []protocol.Layer {
	if s.Orders == "" {
		return nil
	}
	layers := []protocol.Layer{group.New(s.Group()), multicast.New(s.Multicast())}
	if s.Registry {
		layers = append(layers, registry.New(registry.Options{Patience: max(5*time.Second, 10*s.patience())}))
	}
	return layers
}

// groupBounds are those of views, for a crash and a silence that are noticed after so long.
func (s Spec) groupBounds(crash, silence time.Duration) []Bound {
	if s.Orders == "" {
		return nil
	}
	d := s.Filled().Profile.Delay
	change := 7 * d
	return []Bound{
		{"view change", fmt.Sprintf("7*delay = 7*%s (promise, fetch, vote: two each; and the news)", d), change,
			"from the last suspicion until all others have the next view, if a majority is left and little is to be fetched"},
		{ViewAfter, CrashNoticed + " + view change", crash + change, "from a crash of a member until all others have the view without it"},
		{ViewSilent, SilentNoticed + " + view change", silence + change, "from a pause or a cut of a member until all others have the view without it"},
	}
}
