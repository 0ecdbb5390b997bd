package bank

// A Mistake is a deliberate error for the tests of the checks: a check that does not notice the mistake it is meant
// for is too weak. The names are those of the mistakes, not of what they break.
type Mistake uint8

// The mistakes.
const (
	NoMistake Mistake = iota

	M1 // debits in one step and makes the entry in the next
	M2 // does not store the number of the next transfer
	M3 // forgets a transfer once it is sent
	M4 // takes every number up to the highest applied one as applied
	M5 // confirms a transfer before the credit is durable
	M6 // does not store what it has applied
	M7 // leaves what it has applied out of the accounts that it tells, so that money on its way is counted twice
	M8 // does not store its answers to requests
	M9 // answers a request before the debit is durable

	M10 // lets a balance fall below zero
	M11 // sends a transfer before the debit is durable

	lastMistake = M11
)
