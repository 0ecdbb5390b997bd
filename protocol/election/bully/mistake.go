package bully

// A Mistake is a deliberate error for the tests of the checks: a check that does not notice the mistake it is meant
// for is too weak. The names are those of the mistakes, not of what they break.
type Mistake uint8

// The mistakes. Those marked + need NoBeat: the beat heals them.
const (
	NoMistake Mistake = iota

	M1  // waits for the coordinator without a limit +
	M2  // begins an election though it stands already
	M3  // answers a lower candidate and does not stand +
	M4  // follows a lower node
	M5  // waits for answers for a fifth of Answer
	M6  // does not stand when it comes back
	M7  // does not store the counter and the term
	M8  // takes an answer after its election is over +
	M9  // does not stop waiting for answers when somebody leads +
	M10 // says that it leads once, and never again
	M11 // does not reset the detector when it follows somebody +
	M12 // does not renew a term that is too low

	SM1 // with Stable: asks who leads and stands whatever the answer
	SM2 // with Stable: tells who asks of a leader that it holds for lost
	SM3 // with Stable: takes a leader that restarted, or is silent, as good because its node is up
	SM4 // with Stable: takes another's word as a sign that the leader lives
	SM5 // with Stable: does not renew a term that is too low
	SM6 // with Stable: begins again though the leader turned out to live

	QM1 // with Quorum: does not store its grants
	QM2 // with Quorum: grants a counter twice
	QM3 // with Quorum: takes half of an even group as a majority
	QM4 // with Quorum: takes a majority of those it does not suspect
	QM5 // with Quorum: leads on when no majority echoes its beats
	QM6 // with Quorum: follows a leader whose counter is below the one it granted
	QM7 // with Quorum: dates an echo by its arrival
	QM8 // with Quorum: leads on when a higher counter was granted
	QM9 // with Quorum and Stable: raises its counter before it has sounded the others

	lastMistake = QM9
)
