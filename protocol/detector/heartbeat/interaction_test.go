package heartbeat_test

import (
	"fmt"
	"testing"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
	"ciranda.dev/protocol/detector/detectortest"
	"ciranda.dev/protocol/detector/heartbeat"
)

var mistakes = map[string]detector.Mistake{
	"hint-is-proof": detector.HintIsProof, "old-hint": detector.OldHint, "verify-anyway": detector.VerifyAnyway,
	"reset-without-timer": detector.ResetWithoutTimer, "old-life": detector.OldLife,
	"no-self-check": detector.NoSelfCheck, "deaf": heartbeat.Deaf, "no-margin": heartbeat.NoMargin,
	"late-watch": heartbeat.LateWatch,
}

// A transcript's options are a mistake, or "untimed".
func build(options []string) (protocol.Layer, error) {
	opts := heartbeat.Options{}
	for _, word := range options {
		m, isMistake := mistakes[word]
		switch {
		case isMistake:
			opts.Mistake = m
		case word == "untimed":
			opts.Untimed = true
		default:
			return nil, fmt.Errorf("unknown option %q", word)
		}
	}
	return heartbeat.New(opts), opts.Validate()
}

func TestTranscripts(t *testing.T) {
	detectortest.Kit(build).Run(t, "testdata/*.txt")
}
