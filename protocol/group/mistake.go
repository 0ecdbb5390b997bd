package group

// A Mistake is a deliberate error, for the tests of the checks. The zero value is none.
type Mistake uint8

// The mistakes.
const (
	FoundsAmongFound Mistake = 1 + iota // a majority of those that answered founds, not of the last view
	Forgets                             // what was promised and accepted is not durable, and nobody notices
	BeginsAgain                         // after a restart the configured nodes are the last view known
	NoBeacon                            // nobody tells those that are not in the view
	SameLife                            // who was excluded comes back as the same member
	LeavesEarly                         // a leaver does not wait for the view without it
	OwnCut                              // the cut is what the proposer holds
	IgnoresAccepted                     // a proposer makes a change of its own, whatever was accepted before
	NoMajority                          // whoever is not suspected decides
	SomeFlush                           // a majority of promises is enough, though more were asked
	VotesWithAmnesia                    // a node that lost its disk votes
	TrustsAmnesia                       // a majority of nodes is enough, though some have forgotten the messages
	lastMistake      = TrustsAmnesia
)

// trusts says whether a mistake is that of TrustsAmnesia too: some do harm only then.
func (m Mistake) trusts() bool {
	return m == TrustsAmnesia || m == Forgets || m == IgnoresAccepted || m == VotesWithAmnesia
}
