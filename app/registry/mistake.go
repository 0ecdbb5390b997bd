package registry

// A Mistake is a deliberate error for the tests of the checks: a check that does not notice the mistake it is meant for
// is too weak.
type Mistake uint8

// The mistakes.
const (
	NoMistake Mistake = iota

	LooksHere    // a lookup is answered from this node's table, which may be behind
	DeadStay     // what a dead member owned stays
	AppliesTwice // a request that is made again is done again
	BeginsEmpty  // who joins does not wait for the table of the others
	ForgetsHeld  // the table that is handed over lacks the commands that wait

	lastMistake = ForgetsHeld
)
