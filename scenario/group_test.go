package scenario

import (
	"reflect"
	"testing"

	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/multicast"
)

// What clients ask of a group is found again by the name that it has in the steps of a run.
func TestGroupCalls(t *testing.T) {
	fifo := multicast.Lane{Order: multicast.FIFO}
	for name, want := range map[string]any{
		leaveName: group.Leave{},
		joinName:  group.Join{},
		casting{Lane: fifo, text: "a \"b\"\n", from: 7, count: 2}.name(): multicast.Cast{Order: multicast.FIFO,
			Payloads: [][]byte{[]byte("a \"b\"\n7"), []byte("a \"b\"\n8")}},
		casting{Lane: multicast.Lane{Order: multicast.Total, Uniform: true}, from: 1, count: 1, size: 4}.name(): multicast.Cast{
			Order: multicast.Total, Uniform: true, Payloads: [][]byte{[]byte("1...")}},
	} {
		if got := named(name); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
	for _, name := range []string{"multicast", "multicast fifo", "multicast fast 1 from 1 of 0 \"\"", "multicast fifo 1 from 1 of 9999999 \"\"",
		"multicast fifo 99999999 from 1 of 0 \"\"", "multicast fifo -1 from 1 of 0 \"\"", "multicast fifo 1 from 1 of -5 \"\"", "multicast fifo 1 from 1 of 0 \"\" more"} {
		if got := named(name); got != nil {
			t.Errorf("%s: got %v, want nothing", name, got)
		}
	}
}
