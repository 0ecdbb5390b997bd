package link

// A Mistake is a deliberate error for the tests of the checks: a check that does not notice the mistake it is meant for
// is too weak.
type Mistake uint8

// The mistakes.
const (
	NoMistake Mistake = iota

	Overflows   // what the backlog has no room for is dropped without a word
	CountsTwice // an acknowledgement that comes again moves the window again
	KeepsCount  // a new life of the sender is expected to go on with the numbers of the old one
	Renumbers   // what is sent again gets a new number
	Readdresses // what was sent to a life that is over is sent to the next one
	AnyLife     // what is addressed to a former life is taken
	AcksHeld    // what is only held, because something before it is missing, is acknowledged
	Forgetful   // what came before is not acknowledged again
	Trusts      // while the engine vouches for a link nothing is ever sent again, nor after that

	lastMistake = Trusts
)
