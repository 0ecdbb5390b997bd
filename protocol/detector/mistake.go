package detector

// A Mistake is a deliberate error of a detector. It is there for the tests of the checks, which must notice it. The
// zero Mistake is none.
type Mistake uint8

// The mistakes that any detector can make.
const (
	HintIsProof       Mistake = iota + 1 // a closed connection is taken as a death, without a probe
	OldHint                              // a closed connection to a former life is held against the present one
	VerifyAnyway                         // a message does not void a hint
	ResetWithoutTimer                    // after a Reset nothing is awaited
	OldLife                              // a packet of an older life counts
	NoSelfCheck                          // who stood still suspects the others

	FirstOwn Mistake = 16 // from here on they are those of one detector
)
