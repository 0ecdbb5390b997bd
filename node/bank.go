package node

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/app/bank"
	"ciranda.dev/engine/live"
	"ciranda.dev/protocol"
)

// mostCalls is how many calls of clients a bank serves at once.
const mostCalls = 4096

// A teller is the bank as a node serves it: its own account.
type teller struct {
	*Node
	places chan struct{} // taken by calls
}

// bank is the node's service of the bank; nil if it has none.
func (n *Node) bank() api.Bank {
	if n.cfg.Spec.App != "bank" {
		return nil
	}
	return teller{n, make(chan struct{}, mostCalls)}
}

// Transfer moves money from the node's account. If ctx ends before there is an answer, the error says whether the
// transfer may have been made.
func (t teller) Transfer(ctx context.Context, r *cirandav1.TransferRequest) (*cirandav1.TransferResponse, error) {
	r, err := api.Keyed(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := t.owns("from", r.GetFrom(), r.GetFrom() == uint32(t.cfg.ID)); err != nil {
		return nil, err
	}
	if r.GetTo() > 65535 {
		return nil, unknownAccount("to", r.GetTo(), t.group)
	}
	if id := r.GetId(); id != nil && id.GetClient() == "" {
		return nil, api.Wrong("id.client", "found no name of a client; expected 1 to 64 bytes, or no id at all")
	}
	reply, err := t.call(ctx, bank.Transfer{Request: request(r.GetId()), To: protocol.ID(r.GetTo()), Amount: r.GetAmount(), Wait: r.GetWait()})
	if err != nil {
		return nil, fromBank(err)
	}
	switch reply := reply.(type) {
	case bank.Transferred:
		return &cirandav1.TransferResponse{From: uint32(reply.TID.Node), Number: reply.TID.Number, To: uint32(reply.To),
			Amount: reply.Amount, Settled: reply.Settled, Id: r.GetId()}, nil
	case bank.Forgotten:
		e := refusal(codes.Unknown, reply.Why)
		e.Hint = "a new request needs a new number"
		return nil, e
	}
	return nil, fmt.Errorf("node: the bank answers %T", reply)
}

// Account shows the node's account, as it is on the disk.
func (t teller) Account(ctx context.Context, r *cirandav1.AccountRequest) (*cirandav1.AccountResponse, error) {
	id := r.GetAccount()
	if err := t.owns("account", id, id == 0 || id == uint32(t.cfg.ID)); err != nil {
		return nil, err
	}
	reply, err := t.call(ctx, bank.Balance{})
	switch {
	case errors.Is(err, live.ErrMaybe): // to ask changes nothing
		return nil, unavailable("the node does not answer")
	case err != nil:
		return nil, fromBank(err)
	}
	a, ok := reply.(bank.Account)
	if !ok {
		return nil, fmt.Errorf("node: the bank answers %T", reply)
	}
	return &cirandav1.AccountResponse{Account: EncodeAccount(a, t.cfg.Spec.Bank().Balance)}, nil
}

// Balances is for gateways.
func (teller) Balances(context.Context, *cirandav1.BalancesRequest) (*cirandav1.BalancesResponse, error) {
	return nil, &api.Error{Code: codes.Unimplemented, Text: "a node knows its own account only", Hint: "ask a gateway"}
}

// call asks the node's bank, unless too many do.
func (t teller) call(ctx context.Context, body any) (any, error) {
	select {
	case t.places <- struct{}{}:
		defer func() { <-t.places }()
		return t.live.Call(ctx, body)
	default:
		return nil, &api.Error{Code: codes.ResourceExhausted, Text: fmt.Sprintf("%d calls wait already; it did not happen", cap(t.places)),
			Hint: "ask again later"}
	}
}

// owns says in words that an account is not this node's.
func (t teller) owns(field string, id uint32, its bool) error {
	if its {
		return nil
	}
	if id <= 65535 && t.known(protocol.ID(id)) {
		return &api.Error{Code: codes.NotFound, Field: field, Hint: "ask that node, or a gateway",
			Text: fmt.Sprintf("account %d is at node %d; this is node %d", id, id, t.cfg.ID)}
	}
	return unknownAccount(field, id, t.group)
}

func unknownAccount(field string, id uint32, group []protocol.ID) error {
	return &api.Error{Code: codes.NotFound, Field: field, Text: fmt.Sprintf("there is no account %d; expected one of %s", id, ranges(group))}
}

func request(id *cirandav1.RequestID) bank.Request {
	return bank.Request{Client: id.GetClient(), Number: id.GetNumber(), Below: id.GetBelow()}
}

// fromBank turns the error of a call to the bank into one for clients.
func fromBank(err error) error {
	var refused live.Refused
	switch {
	case errors.As(err, &refused):
		return refusal(kindOf(refused.Why), refused.Why)
	case errors.Is(err, live.ErrMaybe):
		return &api.Error{Code: codes.Unknown, Text: "the node gave no answer; it may have been done", Hint: "ask again with the same id"}
	case errors.Is(err, live.ErrStopped):
		return unavailable("the node has stopped")
	case errors.Is(err, context.Canceled):
		return &api.Error{Code: codes.Canceled, Text: "cancelled before it was begun; it did not happen"}
	case errors.Is(err, context.DeadlineExceeded):
		return &api.Error{Code: codes.DeadlineExceeded, Text: "the node did not take it in time; it did not happen"}
	}
	return err
}

func unavailable(text string) error {
	return &api.Error{Code: codes.Unavailable, Text: text + "; it did not happen"}
}

// kindOf says what kind of error a refusal is. What may be possible later is FailedPrecondition.
func kindOf(why string) codes.Code {
	switch {
	case strings.HasPrefix(why, "to: there is no account"):
		return codes.NotFound
	case strings.Contains(why, "at most the balance"), strings.Contains(why, "under way"), !strings.Contains(why, ": "):
		return codes.FailedPrecondition
	}
	return codes.InvalidArgument
}

// fields are the request's, by the names that the bank gives them.
var fields = map[string]string{"to": "to", "amount": "amount",
	"request.client": "id.client", "request.number": "id.number", "request.below": "id.below"}

// refusal is an answer of the bank as an error. The bank's reasons begin with the field that is wrong.
func refusal(code codes.Code, why string) *api.Error {
	name, text, found := strings.Cut(why, ": ")
	if field := fields[name]; found && field != "" {
		return &api.Error{Code: code, Field: field, Text: text}
	}
	return &api.Error{Code: code, Text: why}
}

// EncodeAccount writes an account that began with some money as the API carries it.
func EncodeAccount(a bank.Account, openedWith int64) *cirandav1.Account {
	m := &cirandav1.Account{Id: uint32(a.Node), Node: uint32(a.Node), Balance: a.Balance, Next: a.Next, OpenedWith: openedWith}
	for _, o := range a.Outgoing {
		m.Outgoing = append(m.Outgoing, &cirandav1.Account_Outgoing{Number: o.Number, To: uint32(o.To), Amount: o.Amount})
	}
	for _, s := range a.Applied {
		m.Applied = append(m.Applied, &cirandav1.Account_Applied{From: uint32(s.From), Below: s.Below, Also: s.Also, Count: s.Count})
	}
	return m
}

// DecodeAccount reads an account that the API carried.
func DecodeAccount(m *cirandav1.Account) (bank.Account, error) {
	a := bank.Account{Node: protocol.ID(m.GetId()), Balance: m.GetBalance(), Next: m.GetNext()}
	highest := m.GetId()
	for _, o := range m.GetOutgoing() {
		highest = max(highest, o.GetTo())
		a.Outgoing = append(a.Outgoing, bank.Outgoing{Number: o.GetNumber(), To: protocol.ID(o.GetTo()), Amount: o.GetAmount()})
	}
	for _, s := range m.GetApplied() {
		highest = max(highest, s.GetFrom())
		a.Applied = append(a.Applied, bank.Applied{From: protocol.ID(s.GetFrom()), Below: s.GetBelow(), Also: s.GetAlso(), Count: s.GetCount()})
	}
	if highest > 65535 {
		return bank.Account{}, fmt.Errorf("node: found account %d; expected one from 1 to 65535", highest)
	}
	return a, nil
}
