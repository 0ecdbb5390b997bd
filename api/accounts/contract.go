// Package accounts is the bank as remote objects, and a client of the bank over them.
//
// [Serve] lets a node or a gateway be called: it offers a [Bank]. A node's bank has that node's account; a gateway's has all, and gives
// references to the nodes' accounts, which are called there directly. [Client] makes of a bank elsewhere what gRPC's client is, so
// that whatever uses the bank can use it over objects, too.
//
// A request has one id from end to end: that of the remote call, or one that the caller has given. Whoever asks again with an id
// of a caller's own, over whichever node or gateway, gets the same answer.
//
// It does not promise more than the bank: see package app/bank. Who watches an account is told of balances, not of each change,
// and no more after an error.
package accounts

import "context"

//go:generate go tool rmigen

// A Bank is the accounts that a process serves.
//
//rmi:remote
type Bank interface {
	// Account gives an account, which is at its node.
	//rmi:idempotent
	Account(ctx context.Context, number uint32) (account Account, err error)
	// State shows an account, with all that is needed to add up the money of several.
	//rmi:idempotent
	State(ctx context.Context, number uint32) (state State, err error)
	// Balances shows all accounts, in one consistent cut if there is one.
	//rmi:idempotent
	Balances(ctx context.Context) (balances Balances, err error)
	// Transfer moves money.
	Transfer(ctx context.Context, order Order) (transfer Transfer, err error)
}

// An Account is one account, at its node.
//
//rmi:remote
type Account interface {
	// Number is the account's, and its node's.
	//rmi:idempotent
	Number(ctx context.Context) (number uint32, err error)
	// Balance is what is on it, as it is on the disk.
	//rmi:idempotent
	Balance(ctx context.Context) (balance int64, err error)
	// Transfer moves money to another account. It returns when the money has left for good.
	Transfer(ctx context.Context, to Account, amount int64) (transfer Transfer, err error)
	// Watch has a watcher told of the balance whenever it has changed, until that gives an error or is gone. It gives the balance now.
	Watch(ctx context.Context, w Watcher) (balance int64, err error)
}

// A Watcher is told of a balance.
//
//rmi:remote
type Watcher interface {
	Changed(ctx context.Context, account uint32, balance int64) error
}

// An Order is for a transfer.
type Order struct {
	From   uint32 `cbor:"from"`
	To     uint32 `cbor:"to"`
	Amount int64  `cbor:"amount"` // from 1 to the balance
	Wait   bool   `cbor:"wait"`   // answer when the receiver has the money; else when it has left for good
	// Client, Number and Below are the request's id. Without a client the id is that of the call.
	Client string `cbor:"client"`
	Number uint64 `cbor:"number"`
	Below  uint64 `cbor:"below"` // the client will not ask again for its requests with numbers below
}

// A Transfer is money that moved.
type Transfer struct {
	From    uint32 `cbor:"from"`
	Serial  uint64 `cbor:"serial"` // the sender never uses it again
	To      uint32 `cbor:"to"`
	Amount  int64  `cbor:"amount"`
	Settled bool   `cbor:"settled"` // the receiver is known to have it
	Client  string `cbor:"client"`  // of the request's id
	Number  uint64 `cbor:"number"`
}

// A State is that of an account.
type State struct {
	Account    uint32     `cbor:"account"`
	Node       uint32     `cbor:"node"`
	Balance    int64      `cbor:"balance"`
	Next       uint64     `cbor:"next"`     // the serial number of the next transfer from it
	Outgoing   []Outgoing `cbor:"outgoing"` // what is not known to have arrived
	Applied    []Applied  `cbor:"applied"`  // what came from others
	OpenedWith int64      `cbor:"openedWith"`
}

// Outgoing is a transfer that is not known to have arrived.
type Outgoing struct {
	Serial uint64 `cbor:"serial"`
	To     uint32 `cbor:"to"`
	Amount int64  `cbor:"amount"`
}

// Applied are the transfers of another account that were added: all below a number, and some more.
type Applied struct {
	From  uint32   `cbor:"from"`
	Below uint64   `cbor:"below"`
	Also  []uint64 `cbor:"also"`
	Count uint64   `cbor:"count"`
}

// Balances are those of all accounts. Without a total WhyNoTotal says why there is none.
type Balances struct {
	Accounts   []AccountBalance `cbor:"accounts"`
	Total      *int64           `cbor:"total"`
	InFlight   int64            `cbor:"inFlight"`
	WhyNoTotal string           `cbor:"whyNoTotal"`
	Issued     int64            `cbor:"issued"`
}

// An AccountBalance is one of them.
type AccountBalance struct {
	Account uint32 `cbor:"account"`
	Node    uint32 `cbor:"node"`
	Balance int64  `cbor:"balance"`
}
