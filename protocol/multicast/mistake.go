package multicast

// A Mistake is a deliberate error for the tests of the checks: a check that does not notice the mistake it is meant for
// is too weak.
type Mistake uint8

// The mistakes.
const (
	NoMistake Mistake = iota

	TakesEarly // what comes before something that is missing is delivered at once
	NoDrain    // what was early is not taken when what was missing has come
	TakesTwice // what comes again is delivered again

	OwnEntryOnly    // causal: only the sender's own messages are waited for
	CountsAtReceipt // causal: what has come counts as delivered
	NoRescan        // causal: a delivery does not free other messages
	KeepsCounts     // causal: what was delivered in a view counts in the next

	OrdersTwice   // total: the coordinator gives messages two places
	AnybodyOrders // total: every member gives places
	SkipsMissing  // total: a message that is not there is passed over
	OwnFirst      // total: a node delivers its own messages before they have a place

	TiesAnyhow   // Lamport: of two messages of one time a node's own comes first
	Unheard      // Lamport: nobody is waited for
	HeardTooSoon // Lamport: a report counts before the messages that were sent before it
	NoMerge      // Lamport: a node's time does not pass that of what it receives
	NeverReports // reports are made on batches only

	HalfIsEnough       // uniform: half of the members are enough
	CoordinatorHurries // uniform: the coordinator does not wait until others hold its places

	CollectsEarly // what more than half hold is forgotten
	TellsHighest  // what is held beyond a gap is told as held
	OldReports    // reports of a former view count
	ForgetsCredit // who has consumed enough does not tell again what it holds

	GoesOn         // deliveries go on after Flush
	SendsOn        // sending goes on after Flush
	ReportsOn      // reports go on after Flush
	DropsRest      // at the end of a view only what was delivered before counts
	KeepsBeyond    // at the end of a view all that is held is delivered
	GathersNothing // what is missing is not fetched
	TakesOldViews  // messages of a former view are taken for those of the present one
	OwnRestFirst   // at the end of a view the rest of a total order begins with a node's own messages

	HearsItself  // broadcasts: what comes back is taken
	TakesForeign // broadcasts: a node that is no member is taken for one
	NeverPolls   // broadcasts: nobody asks when nothing moves
	Nags         // broadcasts: what is missing is asked for at once, by all, again and again

	lastMistake = Nags
)
