package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"

	"ciranda.dev/api"
	"ciranda.dev/api/accounts"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/cluster"
	"ciranda.dev/gateway"
)

func newBank() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bank",
		Short: "Move money between the nodes' accounts",
		Long: "Bank asks the gateways of a cluster: those of --name, or those at --addr. Each node has one account, with its\n" +
			"number. If one gateway does not answer another one is asked.",
		Example: "  ciranda bank balances\n  ciranda bank transfer 1 2 30 --via rmi\n  ciranda bank load --for 30s\n  ciranda bank watch 2",
		Args:    unknownCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newBalances(), newTransfer(), newLoad(), newBankWatch())
	return cmd
}

// A tier is the gateways that a command asks.
type tier struct {
	target
	via string // how they are called
}

// bankVias are the ways to call a bank.
var bankVias = []string{"grpc", "rmi"}

func (t *tier) flags(cmd *cobra.Command) {
	t.nameFlag(cmd)
	cmd.Flags().StringVar(&t.address, "addr", "", "the gRPC ports of gateways, HOST:PORT,…; else $CIRANDA_ADDR, else those of --name")
	t.accessFlags.flags(cmd)
	cmd.Flags().StringVar(&t.via, "via", bankVias[0], "how they are called: "+strings.Join(bankVias, " or "))
}

// banks are the gateways' banks, as they are called. close ends the connections.
func (t *tier) banks() (all []cirandav1.BankServiceClient, close func(), err error) {
	switch t.via {
	case "grpc":
		clients, close, err := t.clients()
		for _, c := range clients {
			all = append(all, c.Bank)
		}
		return all, close, err
	case "rmi":
		return t.objects()
	}
	return nil, nil, mistake{fmt.Sprintf("found --via %q; expected %s", t.via, strings.Join(bankVias, " or ")), didYouMean(t.via, bankVias, "")}
}

// objects are the gateways' banks as remote objects.
func (t *tier) objects() (all []cirandav1.BankServiceClient, close func(), err error) {
	addresses, err := t.addresses()
	if err != nil {
		return nil, nil, err
	}
	access, err := t.local(t.name)
	if err != nil {
		return nil, nil, err
	}
	n, err := newObjects(access)
	if err != nil {
		return nil, nil, err
	}
	for _, address := range addresses {
		all = append(all, accounts.NewClient(n, address))
	}
	return all, n.Close, nil
}

// clients makes a client of each gateway. close ends them.
func (t *tier) clients() (all []*api.Client, close func(), err error) {
	close = func() {
		for _, c := range all {
			c.Close()
		}
	}
	addresses, err := t.addresses()
	if err != nil {
		return nil, close, err
	}
	access, err := t.local(t.name)
	if err != nil {
		return nil, close, err
	}
	for _, address := range addresses {
		c, err := api.Dial(address, access)
		if err != nil {
			close()
			return nil, close, err
		}
		all = append(all, c)
	}
	return all, close, nil
}

// addresses are those of --addr, else of $CIRANDA_ADDR, else of the gateways of the cluster of that name.
func (t *tier) addresses() ([]string, error) {
	if t.address = cmp.Or(t.address, os.Getenv("CIRANDA_ADDR")); t.address != "" {
		all, err := api.Addresses(t.address)
		if err != nil {
			return nil, mistake{err.Error(), ""}
		}
		return all, nil
	}
	e, err := cluster.Find(t.name)
	if err != nil {
		return nil, err
	}
	t.endpoint = e
	var all []string
	for _, g := range e.Gateways {
		all = append(all, g.GRPC)
	}
	if len(all) == 0 {
		return nil, &api.Error{Text: "the cluster " + t.name + " has no gateway", Hint: "up --gateways 1 starts it with one"}
	}
	return all, nil
}

// explain says that no gateway answers, if that is what an error means.
func (t *tier) explain(err error) error {
	e := api.AsError(err)
	if e == nil || e.Code != codes.Unavailable || errors.As(err, new(*api.Error)) {
		return err
	}
	if t.endpoint.PID == 0 {
		return &api.Error{Code: e.Code, Text: "no gateway answers at " + t.address, Hint: "is it the gRPC port, and is the gateway up?"}
	}
	return &api.Error{Code: e.Code, Text: "no gateway of " + t.name + " answers", Hint: "ciranda status says which are up; fault restart gateway-1 starts one"}
}

func newBalances() *cobra.Command {
	var t tier
	cmd := &cobra.Command{
		Use: "balances", Short: "Show all accounts, and all the money",
		Long: "Balances shows all accounts as they are at one moment, and what is on its way between them.\n" +
			"While a node is down, or money moves too fast to be looked at, there is no total.",
		Example: "  ciranda bank balances", Args: arguments(0, 0, "none"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, end, err := t.banks()
			if err != nil {
				return err
			}
			defer end()
			b, err := anyBalances(cmd.Context(), all)
			if err != nil {
				return t.explain(err)
			}
			return show(cmd, balancesOf(b), func(w io.Writer) { writeBalances(w, b) })
		},
	}
	t.flags(cmd)
	return cmd
}

// anyBalances asks one gateway after the other until one answers.
func anyBalances(ctx context.Context, banks []cirandav1.BankServiceClient) (b *cirandav1.BalancesResponse, err error) {
	for _, bank := range banks {
		inTime, cancel := context.WithTimeout(ctx, transferTime)
		b, err = bank.Balances(inTime, &cirandav1.BalancesRequest{})
		cancel()
		if err == nil || ctx.Err() != nil {
			break
		}
	}
	return b, err
}

// balancesJSON is the object of bank balances -o json.
type balancesJSON struct {
	Total      *int64        `json:"total"`
	Accounts   []balanceJSON `json:"accounts"`
	InFlight   *int64        `json:"in_flight"`
	Issued     int64         `json:"issued"`
	WhyNoTotal *string       `json:"why_no_total"`
}

type balanceJSON struct {
	ID      uint32 `json:"id"`
	Node    uint32 `json:"node"`
	Balance int64  `json:"balance"`
}

func balancesOf(b *cirandav1.BalancesResponse) balancesJSON {
	j := balancesJSON{Total: b.Total, Accounts: []balanceJSON{}, Issued: b.GetIssued(), WhyNoTotal: orNull(b.GetWhyNoTotal())}
	if b.Total != nil {
		j.InFlight = &b.InFlight
	}
	for _, a := range b.GetAccounts() {
		j.Accounts = append(j.Accounts, balanceJSON{a.GetId(), a.GetNode(), a.GetBalance()})
	}
	return j
}

func writeBalances(w io.Writer, b *cirandav1.BalancesResponse) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(what string, amount int64) { fmt.Fprintf(table, "%s\t%d\t\n", what, amount) }
	fmt.Fprintln(table, "ACCOUNT\tBALANCE\t")
	for _, a := range b.GetAccounts() {
		row(strconv.FormatUint(uint64(a.GetId()), 10), a.GetBalance())
	}
	if b.Total != nil {
		row("on its way", b.GetInFlight())
		row("total", b.GetTotal())
	}
	table.Flush()
	if b.Total == nil {
		fmt.Fprintf(w, "There is no total: %s.\n", b.GetWhyNoTotal())
	}
}

// transferTime is how long a transfer is tried unless the user says otherwise.
const transferTime = 10 * time.Second

// transferFlags are the flags of bank transfer.
type transferFlags struct {
	tier    tier
	wait    bool
	id      string
	timeout time.Duration
}

func newTransfer() *cobra.Command {
	var f transferFlags
	cmd := &cobra.Command{
		Use: "transfer FROM TO AMOUNT", Short: "Move money from one account to another",
		Long: "Transfer moves money, once, however often it has to ask. It is done when the money has left for good;\n" +
			"with --wait, when the other account has it.\n" +
			"If it is not known in the end whether it was done, it says with which --id to ask again: a request with an id\n" +
			"that was used before is not done again.",
		Example: "  ciranda bank transfer 1 2 30\n  ciranda bank transfer 1 2 30 --wait --id ana/1",
		Args:    arguments(3, 3, "two accounts and an amount"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := f.request(args)
			if err != nil {
				return err
			}
			all, end, err := f.tier.banks()
			if err != nil {
				return err
			}
			defer end()
			a, err := f.do(cmd.Context(), gateway.NewTeller("cli", all...), r)
			if err != nil {
				return err
			}
			return show(cmd, transferOf(a), func(w io.Writer) { writeTransfer(w, a) })
		},
	}
	f.tier.flags(cmd)
	cmd.Flags().BoolVar(&f.wait, "wait", false, "until the other account has the money")
	cmd.Flags().StringVar(&f.id, "id", "", "the request's id, CLIENT/NUMBER, to ask for the same again (default: a new one)")
	cmd.Flags().DurationVar(&f.timeout, "timeout", transferTime, "how long to try")
	return cmd
}

// request reads the arguments.
func (f *transferFlags) request(args []string) (*cirandav1.TransferRequest, error) {
	r := &cirandav1.TransferRequest{Wait: f.wait}
	for i, into := range []*uint32{&r.From, &r.To} {
		id, err := strconv.ParseUint(args[i], 10, 16)
		if err != nil {
			return nil, mistake{fmt.Sprintf("%s: found %.40q; expected the number of an account", []string{"FROM", "TO"}[i], args[i]), ""}
		}
		*into = uint32(id)
	}
	var err error
	if r.Amount, err = strconv.ParseInt(args[2], 10, 64); err != nil {
		return nil, mistake{fmt.Sprintf("AMOUNT: found %.40q; expected a whole number", args[2]), ""}
	}
	if f.timeout <= 0 {
		return nil, mistake{fmt.Sprintf("found --timeout %s; expected a time above 0", f.timeout), ""}
	}
	r.Id, err = readID(f.id)
	return r, err
}

// readID reads CLIENT/NUMBER.
func readID(text string) (*cirandav1.RequestID, error) {
	if text == "" {
		return nil, nil
	}
	i := strings.LastIndexByte(text, '/')
	number, err := strconv.ParseUint(text[i+1:], 10, 62)
	if i < 1 || i > 64 || err != nil || number == 0 {
		return nil, mistake{fmt.Sprintf("--id: found %.80q; expected CLIENT/NUMBER, such as ana/1", text), ""}
	}
	return &cirandav1.RequestID{Client: text[:i], Number: number}, nil
}

// do makes the transfer, and turns what is not an answer into words.
func (f *transferFlags) do(ctx context.Context, t *gateway.Teller, r *cirandav1.TransferRequest) (a *cirandav1.TransferResponse, err error) {
	inTime, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	if r.Id != nil {
		a, err = t.Again(inTime, r)
	} else {
		a, err = t.Transfer(inTime, r.GetFrom(), r.GetTo(), r.GetAmount(), r.GetWait())
	}
	var failed *gateway.Failure
	if f.wait && errors.Is(err, gateway.ErrUnknown) && errors.As(err, &failed) && ctx.Err() == nil {
		failed.Request.Wait = false // it may be done and only not arrived
		briefly, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if a, again := t.Again(briefly, failed.Request); again == nil {
			return a, nil
		}
	}
	return a, f.tier.failure(err)
}

// failure says how a transfer failed.
func (t *tier) failure(err error) error {
	var f *gateway.Failure
	if !errors.As(err, &f) {
		return err
	}
	e := *f.Cause
	switch {
	case errors.Is(err, gateway.ErrUnknown):
		id := f.Request.GetId()
		e.Text = "it is not known whether it was done: " + e.Text
		e.Hint = fmt.Sprintf("the same command with --id %s/%d finds out", id.GetClient(), id.GetNumber())
	case errors.Is(err, gateway.ErrUnavailable):
		if !strings.Contains(e.Text, "it did not happen") {
			e.Text = "it did not happen: " + e.Text
		}
	case e.Field != "":
		e.Text = e.Field + ": " + e.Text
	}
	return &e
}

// transferJSON is the object of bank transfer -o json.
type transferJSON struct {
	Transfer string `json:"transfer"` // its name, FROM:NUMBER
	From     uint32 `json:"from"`
	To       uint32 `json:"to"`
	Amount   int64  `json:"amount"`
	Settled  bool   `json:"settled"` // the other account has it
	ID       string `json:"id"`      // the request's, CLIENT/NUMBER
}

func transferOf(a *cirandav1.TransferResponse) transferJSON {
	return transferJSON{transferName(a), a.GetFrom(), a.GetTo(), a.GetAmount(), a.GetSettled(),
		fmt.Sprintf("%s/%d", a.GetId().GetClient(), a.GetId().GetNumber())}
}

func transferName(a *cirandav1.TransferResponse) string {
	return fmt.Sprintf("%d:%d", a.GetFrom(), a.GetNumber())
}

func writeTransfer(w io.Writer, a *cirandav1.TransferResponse) {
	if a.GetSettled() {
		fmt.Fprintf(w, "%d went from account %d to account %d, which has it (transfer %s)\n", a.GetAmount(), a.GetFrom(), a.GetTo(), transferName(a))
		return
	}
	fmt.Fprintf(w, "%d left account %d for good and is on its way to account %d (transfer %s)\n", a.GetAmount(), a.GetFrom(), a.GetTo(), transferName(a))
}
