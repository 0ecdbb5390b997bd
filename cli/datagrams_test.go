package cli

import (
	"encoding/json"
	"strings"
	"testing"

	cirandav1 "ciranda.dev/api/ciranda/v1"
)

// Group says whether messages go by IP multicast, and why if they do not; nothing if the nodes do not use that.
func TestGroupShowsDatagrams(t *testing.T) {
	for _, c := range []struct {
		is         *cirandav1.Datagrams
		text, data string
	}{
		{nil, "", "null"},
		{&cirandav1.Datagrams{Used: true, Sent: 7, Heard: 13, Pleas: 1, Repairs: 2},
			"messages go by IP multicast: 7 datagrams sent, 13 heard, 2 batches sent again\n",
			`{"used":true,"why":null,"sent":7,"heard":13,"pleas":1,"repairs":2}`},
		{&cirandav1.Datagrams{Why: "found no answer"},
			"messages go over connections, not by IP multicast: found no answer\n",
			`{"used":false,"why":"found no answer","sent":0,"heard":0,"pleas":0,"repairs":0}`},
	} {
		var text strings.Builder
		writeDatagrams(&text, c.is)
		if text.String() != c.text {
			t.Errorf("got %q, want %q", text.String(), c.text)
		}
		if data, err := json.Marshal(datagramsOf(c.is)); err != nil || string(data) != c.data {
			t.Errorf("got %s %v, want %s", data, err, c.data)
		}
	}
}
