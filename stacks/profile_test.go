package stacks

import (
	"strings"
	"testing"
	"time"
)

// What a profile says of itself is read back as the same.
func TestProfileText(t *testing.T) {
	tuned := LAN
	tuned.Timeout, tuned.Beat, tuned.Silence = 3*time.Second, 70*ms, 43
	for text, want := range map[string]Profile{
		"Local":                                Local,
		"lan":                                  LAN,
		"LAN,timeout=3s,beat=70ms,silence=43":  tuned,
		"LAN,silence=43,beat=0.07s,timeout=3s": tuned,
	} {
		p, err := ParseProfile(text)
		if err != nil || p != want {
			t.Errorf("%s: got %v, %v, want %v", text, p, err, want)
		}
		if again, err := ParseProfile(p.String()); err != nil || again != p {
			t.Errorf("%s: said %s, which is read as %v, %v", text, p, again, err)
		}
	}
	if got, want := tuned.String(), "LAN,timeout=3s,beat=70ms,silence=43"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestProfileMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"Moon":              `found the profile "Moon"; expected Local`,
		"":                  `found the profile ""`,
		"Local,":            `found the setting ""; expected one of delay, interval`,
		"Local,tiemout=2s":  `found the setting "tiemout=2s"; expected one of delay, interval`,
		"Local,timeout":     `found the setting "timeout"; expected a time above 0, such as timeout=1s`,
		"Local,timeout=-1s": `expected a time above 0`,
		"Local,beat=5":      `expected a time above 0, such as beat=100ms`,
		"Local,silence=0":   `expected a number of beats above 0`,
	} {
		if p, err := ParseProfile(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, %v; want an error with %q", text, p, err, want)
		}
	}
}
