package invocation

// A Mistake is a deliberate error for the tests of the checks: a check that does not notice the mistake it is meant for
// is too weak.
type Mistake uint8

// The mistakes.
const (
	NoMistake Mistake = iota

	ForgetsRunning   // no entry is kept while a call is executed
	Evicts           // a table that is a quarter full drops its oldest entry, acknowledged or not
	Renumbers        // a request that is sent again gets a new number
	AcksHighest      // the highest call that returned is acknowledged with all below it
	IgnoresRestart   // a request for a former life of the server is executed
	KeyedBySeq       // replies are found by the number alone, whatever the client's life
	SessionPerSocket // each connection begins with an empty table
	ServesOldLives   // a call of a former life of its client is executed
	ServesOldRoots   // a nested call is judged by its direct caller alone
	LeaseFromAnswer  // the client counts its lease from the arrival of the answer
	MatchesLate      // a reply that belongs to no call ends the oldest one
	RepeatsMaybe     // what is to be sent once is sent again
	Reopens          // a session that is over begins again for the same life of its client
	AbsoluteBudget   // the deadline travels as a time of the client's clock
	DeniesAll        // a call that ended at its deadline is said not to have happened

	// Those of [Layer].
	OtherServer  // a copy goes to another server
	ServesAlone  // nothing is served while a call of one's own is open
	OwnDeadline  // a nested call has a deadline of its own
	CommitsLate  // an orphan's effect is committed: the application is not told
	RepliesFirst // what is to be stored with a reply is stored after it
)
