package accounts

import cirandav1 "ciranda.dev/api/ciranda/v1"

// What objects carry, and the messages of the contract of the network API, are turned into each other here.

func stateOf(a *cirandav1.Account) State {
	s := State{Account: a.GetId(), Node: a.GetNode(), Balance: a.GetBalance(), Next: a.GetNext(), OpenedWith: a.GetOpenedWith()}
	for _, o := range a.GetOutgoing() {
		s.Outgoing = append(s.Outgoing, Outgoing{o.GetNumber(), o.GetTo(), o.GetAmount()})
	}
	for _, p := range a.GetApplied() {
		s.Applied = append(s.Applied, Applied{p.GetFrom(), p.GetBelow(), p.GetAlso(), p.GetCount()})
	}
	return s
}

func (s *State) message() *cirandav1.Account {
	a := &cirandav1.Account{Id: s.Account, Node: s.Node, Balance: s.Balance, Next: s.Next, OpenedWith: s.OpenedWith}
	for _, o := range s.Outgoing {
		a.Outgoing = append(a.Outgoing, &cirandav1.Account_Outgoing{Number: o.Serial, To: o.To, Amount: o.Amount})
	}
	for _, p := range s.Applied {
		a.Applied = append(a.Applied, &cirandav1.Account_Applied{From: p.From, Below: p.Below, Also: p.Also, Count: p.Count})
	}
	return a
}

func balancesOf(b *cirandav1.BalancesResponse) Balances {
	all := Balances{Total: nil, InFlight: b.GetInFlight(), WhyNoTotal: b.GetWhyNoTotal(), Issued: b.GetIssued()}
	if b != nil && b.Total != nil {
		total := b.GetTotal()
		all.Total = &total
	}
	for _, a := range b.GetAccounts() {
		all.Accounts = append(all.Accounts, AccountBalance{a.GetId(), a.GetNode(), a.GetBalance()})
	}
	return all
}

func (b *Balances) message() *cirandav1.BalancesResponse {
	m := &cirandav1.BalancesResponse{Total: b.Total, InFlight: b.InFlight, WhyNoTotal: b.WhyNoTotal, Issued: b.Issued}
	for _, a := range b.Accounts {
		m.Accounts = append(m.Accounts, &cirandav1.BalancesResponse_Balance{Id: a.Account, Node: a.Node, Balance: a.Balance})
	}
	return m
}

func transferOf(t *cirandav1.TransferResponse) Transfer {
	return Transfer{From: t.GetFrom(), Serial: t.GetNumber(), To: t.GetTo(), Amount: t.GetAmount(), Settled: t.GetSettled(),
		Client: t.GetId().GetClient(), Number: t.GetId().GetNumber()}
}

func (t *Transfer) message() *cirandav1.TransferResponse {
	m := &cirandav1.TransferResponse{From: t.From, Number: t.Serial, To: t.To, Amount: t.Amount, Settled: t.Settled}
	if t.Client != "" {
		m.Id = &cirandav1.RequestID{Client: t.Client, Number: t.Number}
	}
	return m
}
