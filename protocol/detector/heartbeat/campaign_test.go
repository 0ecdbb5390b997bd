package heartbeat_test

import (
	"testing"
	"time"

	"ciranda.dev/protocol/detector/detectortest"
)

// calm is longer than any suspicion takes to come or to go.
const calm = time.Second

// Whatever happens, in the end the suspected are those that are down.
func TestCampaign(t *testing.T) {
	for seed := range uint64(600) {
		if broken := detectortest.Campaign(detectortest.Kit(build), 5, seed, calm); broken != "" {
			t.Fatalf("seed %d: %s", seed, broken)
		}
	}
}

// Each of these mistakes shows in some run.
func TestCampaignFindsMistakes(t *testing.T) {
	for _, mistake := range []string{"deaf", "late-watch", "reset-without-timer"} {
		broken, seeds := "", uint64(0)
		for ; broken == "" && seeds < 300; seeds++ {
			broken = detectortest.Campaign(detectortest.Kit(build), 5, seeds, calm, mistake)
		}
		if broken == "" {
			t.Errorf("%s: not found in %d runs", mistake, seeds)
			continue
		}
		t.Logf("%s: found in run %d: %s", mistake, seeds, broken)
	}
}
