package bank_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"ciranda.dev/app/bank"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/protocoltest"
)

// kit makes groups of nodes with nothing but a bank. The words after the size are options: window=2, remember=2, or
// the number of a mistake.
var kit = protocoltest.Kit{
	Build: func(self protocol.Self, words []string) (*protocol.Stack, error) {
		opts := bank.Options{}
		for _, word := range words {
			name, value, _ := strings.Cut(word, "=")
			n, err := strconv.Atoi(value)
			switch name {
			case "window":
				opts.Window = n
			case "remember":
				opts.Remember = n
			case "mistake":
				opts.Mistake = bank.Mistake(n)
			default:
				err = fmt.Errorf("unknown option %q", word)
			}
			if err != nil {
				return nil, err
			}
		}
		if err := opts.Validate(); err != nil {
			return nil, err
		}
		return protocol.NewStack(self, bank.New(opts))
	},
	Calls: map[string]func([]string) (any, error){
		"transfer": readTransfer,
		"balance":  func([]string) (any, error) { return bank.Balance{}, nil },
	},
	Questions: map[string]any{"account": bank.Query{}},
}

// readTransfer reads "AMOUNT TO [CLIENT/NUMBER[/BELOW]] [wait]".
func readTransfer(args []string) (any, error) {
	if len(args) < 2 {
		return nil, fmt.Errorf("expected an amount and a node")
	}
	amount, err := strconv.ParseInt(args[0], 10, 64)
	if err != nil {
		return nil, err
	}
	to, err := strconv.ParseUint(args[1], 10, 16)
	if err != nil {
		return nil, err
	}
	t := bank.Transfer{To: protocol.ID(to), Amount: amount}
	for _, word := range args[2:] {
		if word == "wait" {
			t.Wait = true
			continue
		}
		if t.Request, err = readRequest(strings.Split(word, "/")); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func readRequest(parts []string) (r bank.Request, err error) {
	r.Client = parts[0]
	for i, field := range []*uint64{&r.Number, &r.Below} {
		if len(parts) > i+1 && err == nil {
			*field, err = strconv.ParseUint(parts[i+1], 10, 64)
		}
	}
	return r, err
}

func TestTranscripts(t *testing.T) { kit.Run(t, "testdata/*.txt") }

func TestValidate(t *testing.T) {
	for want, opts := range map[string]bank.Options{
		"": {Balance: 1, Resend: time.Millisecond, Window: 1, Remember: 1},
		"bank: Balance is -1; it must be between 1 and 1099511627776":     {Balance: -1},
		"bank: Resend is 1µs; it must be between 1ms and 1h":              {Resend: time.Microsecond},
		"bank: Window is 65537; it must be between 1 and 65536 transfers": {Window: 1<<16 + 1},
		"bank: Remember is -5; it must be between 1 and 1048576 answers":  {Remember: -5},
		"bank: there is no mistake 99":                                    {Mistake: 99},
	} {
		got := ""
		if err := opts.Validate(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
