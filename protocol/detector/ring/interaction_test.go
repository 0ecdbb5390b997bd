package ring_test

import (
	"fmt"
	"testing"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
	"ciranda.dev/protocol/detector/detectortest"
	"ciranda.dev/protocol/detector/ring"
)

var mistakes = map[string]detector.Mistake{
	"hint-is-proof": detector.HintIsProof, "old-hint": detector.OldHint, "verify-anyway": detector.VerifyAnyway,
	"reset-without-timer": detector.ResetWithoutTimer, "old-life": detector.OldLife,
	"no-self-check": detector.NoSelfCheck, "not-closed": ring.NotClosed, "no-news": ring.NoNews,
	"timed-from-before": ring.TimedFromBefore, "no-round": ring.NoRound, "no-reproach": ring.NoReproach,
	"no-send-me": ring.NoSendMe,
}

// A transcript's options are a mistake, or "k1" for one neighbour.
func build(options []string) (protocol.Layer, error) {
	opts := ring.Options{}
	for _, word := range options {
		m, isMistake := mistakes[word]
		switch {
		case isMistake:
			opts.Mistake = m
		case word == "k1":
			opts.K = 1
		default:
			return nil, fmt.Errorf("unknown option %q", word)
		}
	}
	return ring.New(opts), opts.Validate()
}

func TestTranscripts(t *testing.T) {
	detectortest.Kit(build).Run(t, "testdata/*.txt")
}
