package pki

import (
	"net/url"
	"strings"
	"testing"
)

func TestRoles(t *testing.T) {
	all := []Role{Observer, Client, Operator, Gateway, Node}
	for i, r := range all {
		if back, err := ParseRole(r.String()); err != nil || back != r {
			t.Errorf("%s is read as %s, %v", r, back, err)
		}
		for j, need := range all {
			if r.May(need) != (i >= j) {
				t.Errorf("%s may do what needs %s: %v", r, need, r.May(need))
			}
		}
		for _, none := range []Role{0, Node + 1} {
			if r.May(none) || none.May(r) {
				t.Errorf("%s and %s: one may do what the other may", r, none)
			}
		}
	}
	for _, text := range []string{"", "Node", "root", "role(0)"} {
		if r, err := ParseRole(text); err == nil {
			t.Errorf("%q is read as %s", text, r)
		}
	}
}

func TestIdentity(t *testing.T) {
	for text, want := range map[string]string{
		"ciranda://default/node/3":                             "node 3 of default",
		"ciranda://lesson-3/observer/ana-2":                    "observer ana-2 of lesson-3",
		"ciranda://default/gateway/supervisor":                 "gateway supervisor of default",
		"ciranda://default/node/65535":                         "node 65535 of default",
		"ciranda://default/client/" + strings.Repeat("a", 63):  "client " + strings.Repeat("a", 63) + " of default",
		"ciranda://default/node/0":                             "",
		"ciranda://default/node/03":                            "",
		"ciranda://default/node/65536":                         "",
		"ciranda://default/node/ana":                           "",
		"ciranda://default/client/" + strings.Repeat("a", 64):  "",
		"ciranda://default/client/":                            "",
		"ciranda://default/client/a/b":                         "",
		"ciranda://default/client/a?b":                         "",
		"ciranda://default/client/a?":                          "",
		"ciranda://default/client/a#b":                         "",
		"ciranda://default/client/%61":                         "",
		"ciranda://default/client/Ana":                         "",
		"ciranda://me@default/client/a":                        "",
		"ciranda://default:80/client/a":                        "",
		"ciranda://-a/client/a":                                "",
		"ciranda:///client/a":                                  "",
		"ciranda:default/client/a":                             "",
		"https://default/client/a":                             "",
		"ciranda://default":                                    "",
		"ciranda://" + strings.Repeat("d", 1000) + "/client/a": "",
		"ciranda://default/root/a":                             "",
		"ciranda://default/node/3" + strings.Repeat("/", 1000): "",
		"ciranda://default/client/a" + "%00":                   "",
		"ciranda://" + strings.Repeat("d", 33) + "/client/a":   "",
		"ciranda://" + strings.Repeat("d", 32) + "/client/a":   "client a of " + strings.Repeat("d", 32),
		"ciranda://default/client//":                           "",
		"ciranda://default//client/a":                          "",
		"CIRANDA://default/client/a":                           "client a of default", // schemes have no case
		"ciranda://DEFAULT/client/a":                           "",
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		i, err := ParseIdentity(u)
		if got := i.String(); want == "" && err == nil || want != "" && (err != nil || got != want) {
			t.Errorf("%.60s: got %s, %v; want %q", text, got, err, want)
		}
		if err == nil && (i.Node() != 0) != (i.Role == Node) {
			t.Errorf("%s has the number %d", i, i.Node())
		}
	}
}

// What is read is written in the same way, and no two names are of one identity.
func FuzzParseIdentity(f *testing.F) {
	for _, seed := range []string{"ciranda://default/node/3", "ciranda://a/observer/b", "ciranda://a:1/node/1#x", "x:%"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := url.Parse(text)
		if err != nil {
			return
		}
		i, err := ParseIdentity(u)
		if err != nil {
			if len(err.Error()) > 600 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		if i.URI().String() != u.String() || i.check() != nil {
			t.Errorf("%q is read as %s, which is %s", text, i, i.URI())
		}
	})
}
