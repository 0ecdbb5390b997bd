package bank_test

import (
	"fmt"

	"ciranda.dev/app/bank"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/protocoltest"
)

// Node 1 pays node 2, which crashes before it hears of that. The money is on its way until it comes back.
func ExampleNew() {
	kit := protocoltest.Kit{
		Build: func(self protocol.Self, _ []string) (*protocol.Stack, error) {
			return protocol.NewStack(self, bank.New(bank.Options{}))
		},
		Calls: map[string]func([]string) (any, error){
			"pay": func([]string) (any, error) { return bank.Transfer{To: 2, Amount: 30}, nil },
		},
	}
	group := kit.New(2)
	for _, command := range []string{"start", "crash 2", "call 1 pay", "run 1s"} {
		if _, err := group.Do(command); err != nil {
			fmt.Println(err)
		}
	}
	answer, _ := group.Stack(1).Answer(bank.Query{})
	fmt.Println(answer)
	group.Do("recover 2")
	group.Do("run 1s")
	answer, _ = group.Stack(2).Answer(bank.Query{})
	fmt.Println(answer)
	// Output:
	// {1 70 2 [{1 2 30}] []}
	// {2 130 1 [] [{1 1 [1] 1}]}
}

// All money is the same in every consistent cut. Here the transfer is applied and not yet confirmed: the entry is passed
// over, since its money is in the balance of node 2.
func ExampleTotal() {
	payer := bank.Account{Node: 1, Balance: 70, Outgoing: []bank.Outgoing{{Number: 1, To: 2, Amount: 30}}}
	before := bank.Account{Node: 2, Balance: 100}
	after := bank.Account{Node: 2, Balance: 130, Applied: []bank.Applied{{From: 1, Below: 1, Also: []uint64{1}}}}
	fmt.Println(bank.Total([]bank.Account{payer, before}), bank.Total([]bank.Account{payer, after}))
	// Output: 200 200
}

// Accounts are read one after the other while money moves. Before node 2 was read it had applied a transfer that node
// 1 had not yet made when it was read: together the two readings show money that does not exist.
func ExampleConsistent() {
	early := bank.Account{Node: 1, Balance: 100, Next: 1}
	late := bank.Account{Node: 2, Balance: 130, Next: 1, Applied: []bank.Applied{{From: 1, Below: 1, Also: []uint64{1}, Count: 1}}}
	again := bank.Account{Node: 1, Balance: 70, Next: 2}
	fmt.Println(bank.Consistent([]bank.Account{early, late}), bank.Consistent([]bank.Account{again, late}))
	// Output: false true
}

func ExampleOptions_Validate() {
	fmt.Println(bank.Options{Window: 1 << 20}.Validate())
	// Output: bank: Window is 1048576; it must be between 1 and 65536 transfers
}
