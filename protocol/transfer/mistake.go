package transfer

// A Mistake is a deliberate error for the tests of the checks: a check that does not notice the mistake it is meant for
// is too weak.
type Mistake uint8

// The mistakes.
const (
	NoMistake Mistake = iota

	AsksLate      // the state is asked for a while after the view has begun
	LiveState     // the state that is handed over is the one of the moment at which it is fetched
	DeliversEarly // what is delivered before the state is there is passed on
	ResumesAnyhow // the rest of a state is taken from another member, whatever its root
	DropsHeld     // what waits for the state is dropped at the next view
	KeepsOlder    // what is in a state that was taken later is applied once more
	ReadyAtOnce   // a node says that it has the state before it has
	StaysWithDead // a member that is gone is waited for

	lastMistake = StaysWithDead
)
