package trace

import (
	"runtime/debug"
	"testing"
)

func TestVersion(t *testing.T) {
	built := []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.modified", Value: "true"}}
	for _, c := range []struct {
		version  string
		settings []debug.BuildSetting
		want     string
	}{
		{"v1.2.3", built, "v1.2.3"},
		{"(devel)", built, "0123456789ab+"},
		{"", built[:1], "0123456789ab"},
		{"(devel)", nil, "devel"},
		{"", nil, ""},
	} {
		if got := versionOf(&debug.Module{Version: c.version}, c.settings); got != c.want {
			t.Errorf("%q: got %q, want %q", c.version, got, c.want)
		}
	}
}
