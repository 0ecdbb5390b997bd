package bank

import (
	"fmt"
	"time"
)

// Options are the rules of a bank. Balance is the same at all nodes; the others may differ. The zero value is the
// default.
type Options struct {
	// Balance is what each account has at first, in units of money: 1 to 2^40. Later lives go on with what was stored.
	// Zero means 100.
	Balance int64
	// Resend is after how long a transfer that its receiver has not confirmed is sent again: 1ms to an hour. It should
	// exceed a round trip. Zero means 500ms.
	Resend time.Duration
	// Window is how many transfers to one receiver may be under way, counted from the oldest that is not confirmed:
	// 1 to 65536. It bounds what both nodes remember of each other. Zero means 1024.
	Window int
	// Remember is how many answers to requests the node remembers for clients that ask again: 1 to 2^20. Zero means
	// 4096.
	Remember int

	// Mistake is a deliberate error, for tests of the checks.
	Mistake Mistake
}

// The bounds of options.
const (
	mostBalance  = 1 << 40
	mostWindow   = 1 << 16
	mostRemember = 1 << 20
)

// WithDefaults gives the options with each zero replaced by its default.
func (p Options) WithDefaults() Options {
	if p.Balance == 0 {
		p.Balance = 100
	}
	if p.Resend == 0 {
		p.Resend = 500 * time.Millisecond
	}
	if p.Window == 0 {
		p.Window = 1024
	}
	if p.Remember == 0 {
		p.Remember = 4096
	}
	return p
}

// Validate says which option, with its default, is out of its bounds.
func (p Options) Validate() error {
	p = p.WithDefaults()
	switch {
	case p.Balance < 1 || p.Balance > mostBalance:
		return fmt.Errorf("bank: Balance is %d; it must be between 1 and %d", p.Balance, int64(mostBalance))
	case p.Resend < time.Millisecond || p.Resend > time.Hour:
		return fmt.Errorf("bank: Resend is %v; it must be between 1ms and 1h", p.Resend)
	case p.Window < 1 || p.Window > mostWindow:
		return fmt.Errorf("bank: Window is %d; it must be between 1 and %d transfers", p.Window, mostWindow)
	case p.Remember < 1 || p.Remember > mostRemember:
		return fmt.Errorf("bank: Remember is %d; it must be between 1 and %d answers", p.Remember, mostRemember)
	case p.Mistake > lastMistake:
		return fmt.Errorf("bank: there is no mistake %d", p.Mistake)
	}
	return nil
}
