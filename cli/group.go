package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/gateway"
)

// groupFlags are the flags of group.
type groupFlags struct {
	target target
	node   uint16
	watch  bool
}

func newGroup() *cobra.Command {
	var f groupFlags
	cmd := &cobra.Command{
		Use:   "group",
		Short: "The group that the nodes form: its view, and how it came about",
		Long: "Group shows the view: who the members are, as all of them agree; who coordinates; whether the group stands still,\n" +
			"and why; and the views before. With --watch it goes on to print what changes. A node can leave the group in good\n" +
			"order, and join it again.",
		Example: "  ciranda group\n  ciranda group --node 3 --watch\n  ciranda group leave 2",
		Args:    unknownCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return f.target.with(cmd.Context(), f.run(cmd)) },
	}
	f.target.flags(cmd)
	cmd.Flags().Uint16Var(&f.node, "node", 0, "whose view; 0: that of some member")
	cmd.Flags().BoolVar(&f.watch, "watch", false, "go on to print what changes")
	cmd.AddCommand(newGroupLeave(), newGroupJoin())
	return cmd
}

func (f *groupFlags) run(cmd *cobra.Command) func(context.Context, *api.Client) error {
	return func(ctx context.Context, c *api.Client) error {
		if f.watch {
			return f.follow(cmd, ctx, c)
		}
		v, err := c.Group.View(ctx, &cirandav1.ViewRequest{Node: uint32(f.node)})
		if err != nil {
			return err
		}
		return show(cmd, groupOf(v), func(w io.Writer) { writeGroup(w, v) })
	}
}

// follow shows the view each time that it changes.
func (f *groupFlags) follow(cmd *cobra.Command, ctx context.Context, c *api.Client) error {
	node := uint32(f.node)
	l := gateway.Listener{Servers: []cirandav1.GroupServiceClient{c.Group},
		Request: &cirandav1.ListenRequest{Node: node, ViewsOnly: true},
		Note:    func(text string) { fmt.Fprintln(cmd.ErrOrStderr(), "ciranda: "+text) }}
	v, err := c.Group.View(ctx, &cirandav1.ViewRequest{Node: node})
	if err != nil {
		return err
	}
	out, was := cmd.OutOrStdout(), groupOf(v)
	if err := show(cmd, was, func(w io.Writer) { writeGroup(w, v) }); err != nil {
		return err
	}
	return l.Run(ctx, func(h *cirandav1.Happening) error {
		v, err := c.Group.View(ctx, &cirandav1.ViewRequest{Node: node})
		switch {
		case err != nil:
			return err
		case wantsJSON(cmd):
			return printJSON(out, groupOf(v))
		}
		_, err = fmt.Fprintln(out, happeningWords(h))
		return err
	})
}

// happeningWords tells of a change.
func happeningWords(h *cirandav1.Happening) string {
	switch h := h.GetKind().(type) {
	case *cirandav1.Happening_View:
		return changeWords(h.View)
	case *cirandav1.Happening_Exclusion:
		return fmt.Sprintf("out of the group after view %d: %s", h.Exclusion.GetView(), exclusionWords(h.Exclusion.GetWhy()))
	case *cirandav1.Happening_Blockade:
		return blockadeWords(h.Blockade.GetWhy())
	}
	return "something that this version does not know"
}

// changeWords tells of a view: "view 8: members 1,3,4; node 1 coordinates; gone 5".
func changeWords(c *cirandav1.ViewChange) string {
	text := viewWords(c.GetView())
	if ids := c.GetJoined(); len(ids) > 0 {
		text += "; joined " + numbers(ids)
	}
	if ids := c.GetGone(); len(ids) > 0 {
		text += "; gone " + numbers(ids)
	}
	return text
}

func viewWords(v *cirandav1.GroupView) string {
	return fmt.Sprintf("view %d: members %s; node %d coordinates", v.GetId(), numbers(memberIDs(v)), v.GetCoordinator())
}

func memberIDs(v *cirandav1.GroupView) []uint32 {
	var ids []uint32
	for _, m := range v.GetMembers() {
		ids = append(ids, m.GetNode())
	}
	return ids
}

func exclusionWords(why string) string {
	switch why {
	case "left":
		return "it left"
	case "passed":
		return "the others went on without it"
	case "lacking":
		return "it could not get all that it would have had to deliver"
	}
	return why
}

func blockadeWords(why string) string {
	if why == "" {
		return "the group goes on"
	}
	return "the group stands still: " + why
}

// groupJSON is the object of group -o json.
type groupJSON struct {
	View    *api.View  `json:"view"` // null if there was none yet
	Blocked *string    `json:"blocked"`
	History []api.View `json:"history"` // the eldest first
	Node    uint32     `json:"node"`    // who says so
	Member  bool       `json:"member"`  // whether that node is in the view now
	Board   *boardJSON `json:"board,omitempty"`
	// Datagrams say whether its messages go by IP multicast, if the nodes use that.
	Datagrams *datagramsJSON `json:"datagrams,omitempty"`
}

type datagramsJSON struct {
	Used    bool    `json:"used"`
	Why     *string `json:"why"` // they are not used; null if they are
	Sent    uint64  `json:"sent"`
	Heard   uint64  `json:"heard"`
	Pleas   uint64  `json:"pleas"`   // how often the node asked for what it lacked
	Repairs uint64  `json:"repairs"` // batches that it sent again
}

// datagramsOf are datagrams as JSON has them; nil if there are none.
func datagramsOf(d *cirandav1.Datagrams) *datagramsJSON {
	if d == nil {
		return nil
	}
	return &datagramsJSON{d.GetUsed(), orNull(d.GetWhy()), d.GetSent(), d.GetHeard(), d.GetPleas(), d.GetRepairs()}
}

// boardJSON is the notice board of that node.
type boardJSON struct {
	Ready   bool         `json:"ready"` // whether it has it: who joins gets it from the others
	Since   uint64       `json:"since"` // the view in which it began
	Count   uint64       `json:"count"`
	Hash    string       `json:"hash"`
	Notices []noticeJSON `json:"notices"` // the last ones, the eldest first
}

type noticeJSON struct {
	Sender uint32 `json:"sender"`
	Text   string `json:"text"`
}

// boardOf is a board as JSON has it; nil if there is none.
func boardOf(b *cirandav1.Board) *boardJSON {
	if b == nil {
		return nil
	}
	j := &boardJSON{Ready: b.GetReady(), Since: b.GetSince(), Count: b.GetCount(), Hash: b.GetHash(), Notices: []noticeJSON{}}
	for _, n := range b.GetNotices() {
		j.Notices = append(j.Notices, noticeJSON{n.GetSender(), string(n.GetPayload())})
	}
	return j
}

func groupOf(v *cirandav1.ViewResponse) groupJSON {
	j := groupJSON{Blocked: orNull(v.GetBlocked()), History: []api.View{}, Node: v.GetNode(), Member: v.GetMember(), Board: boardOf(v.GetBoard()),
		Datagrams: datagramsOf(v.GetBacklog().GetDatagrams())}
	if v.GetView() != nil {
		view := api.ViewOf(&cirandav1.ViewChange{View: v.GetView()})
		j.View = &view
	}
	for _, c := range v.GetHistory() {
		j.History = append(j.History, api.ViewOf(c))
	}
	return j
}

// writeGroup prints a view for people.
func writeGroup(w io.Writer, v *cirandav1.ViewResponse) {
	switch {
	case v.GetView() == nil:
		fmt.Fprintf(w, "node %d: no view yet\n", v.GetNode())
	case !v.GetMember():
		fmt.Fprintf(w, "node %d is no member now; the last view that it knows of: %s\n", v.GetNode(), viewWords(v.GetView()))
	default:
		fmt.Fprintf(w, "node %d: %s\n", v.GetNode(), viewWords(v.GetView()))
	}
	if v.GetBlocked() != "" {
		fmt.Fprintln(w, blockadeWords(v.GetBlocked()))
	}
	if b := v.GetBacklog(); b.GetSlowest() != 0 {
		fmt.Fprintf(w, "messages wait for node %d, the slowest\n", b.GetSlowest())
	}
	writeDatagrams(w, v.GetBacklog().GetDatagrams())
	writeBoard(w, v.GetBoard())
	if len(v.GetHistory()) == 0 {
		return
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "VIEW\tMEMBERS\tJOINED\tGONE")
	for _, c := range v.GetHistory() {
		cells := []string{strconv.FormatUint(c.GetView().GetId(), 10), numbers(memberIDs(c.GetView())), orDash(c.GetJoined()), orDash(c.GetGone())}
		fmt.Fprintln(table, strings.Join(cells, "\t"))
	}
	table.Flush()
}

// writeDatagrams says whether messages go by IP multicast, if the nodes use that.
func writeDatagrams(w io.Writer, d *cirandav1.Datagrams) {
	switch {
	case d == nil:
	case d.GetUsed():
		fmt.Fprintf(w, "messages go by IP multicast: %d datagrams sent, %d heard, %d batches sent again\n", d.GetSent(), d.GetHeard(), d.GetRepairs())
	default:
		fmt.Fprintf(w, "messages go over connections, not by IP multicast: %s\n", d.GetWhy())
	}
}

// writeBoard prints the last notices of a board, if there is one.
func writeBoard(w io.Writer, b *cirandav1.Board) {
	if b == nil {
		return
	}
	fmt.Fprintf(w, "board: %d notices since view %d, hash %s", b.GetCount(), b.GetSince(), b.GetHash())
	if !b.GetReady() {
		fmt.Fprint(w, "; it does not have the state of the others yet")
	}
	fmt.Fprintln(w)
	for _, n := range b.GetNotices() {
		fmt.Fprintf(w, "  node %d: %.70q\n", n.GetSender(), n.GetPayload())
	}
}

// orDash names nodes; none are a dash.
func orDash(ids []uint32) string {
	if len(ids) == 0 {
		return "-"
	}
	return numbers(ids)
}

func newGroupLeave() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use: "leave NODE", Short: "Have a node leave the group in good order",
		Long:    "Leave has a node leave the group. What it has sent is delivered by all, nobody waits for a timeout, and it goes on as a\nnode. It comes back when it is told to join.",
		Example: "  ciranda group leave 2", Args: arguments(1, 1, "a node"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := nodeArgument(args[0])
			if err != nil {
				return err
			}
			return t.with(cmd.Context(), func(ctx context.Context, c *api.Client) error {
				a, err := c.Group.Leave(ctx, &cirandav1.LeaveRequest{Node: id})
				if err != nil {
					return err
				}
				return show(cmd, leaveJSON{a.GetNode(), a.GetView()}, func(w io.Writer) {
					fmt.Fprintf(w, "node %d has left the group; view %d was its last\n", a.GetNode(), a.GetView())
				})
			})
		},
	}
	t.flags(cmd)
	return cmd
}

// leaveJSON is the object of group leave -o json.
type leaveJSON struct {
	Node uint32 `json:"node"`
	View uint64 `json:"view"` // the last that it was in
}

func newGroupJoin() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use: "join NODE", Short: "Have a node that has left join the group again",
		Long:    "Join has a node that has left come back, as another member. It returns as soon as that begins.",
		Example: "  ciranda group join 2", Args: arguments(1, 1, "a node"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := nodeArgument(args[0])
			if err != nil {
				return err
			}
			return t.with(cmd.Context(), func(ctx context.Context, c *api.Client) error {
				a, err := c.Group.Join(ctx, &cirandav1.JoinRequest{Node: id})
				if err != nil {
					return err
				}
				return show(cmd, joinJSON{a.GetNode()}, func(w io.Writer) { fmt.Fprintf(w, "node %d joins the group\n", a.GetNode()) })
			})
		},
	}
	t.flags(cmd)
	return cmd
}

// joinJSON is the object of group join -o json.
type joinJSON struct {
	Node uint32 `json:"node"`
}

func nodeArgument(text string) (uint32, error) {
	id, err := strconv.ParseUint(text, 10, 16)
	if err != nil || id == 0 {
		return 0, mistake{fmt.Sprintf("NODE: found %.40q; expected a number such as 3", text), ""}
	}
	return uint32(id), nil
}

// errEnough ends a stream of which enough was seen.
var errEnough = errors.New("enough")
