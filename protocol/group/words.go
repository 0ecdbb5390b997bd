package group

import "ciranda.dev/protocol"

// A Content is a change of the view, as it is proposed and decided.
type Content struct {
	View View
	Upto Cut // of the view before; nil if that is view 0
}

// The messages. All may be lost, doubled and late. View is the number of the view that is to be changed.
type (
	// Who asks everybody what they know; View is what the sender knows, Life the membership that it wants.
	Who struct {
		View uint64
		Life uint32
	}
	// Here answers Who: the last view known, and whether the sender is a member in it, or has left for good.
	Here struct {
		View uint64
		In   bool
		Away bool
	}
	// Enter asks a member to let the sender join.
	Enter struct{ Life uint32 }
	// Sponsor passes an Enter on to the proposer.
	Sponsor struct{ Member Member }
	// Quit tells the proposer that the sender leaves.
	Quit struct{ Life uint32 }
	// Complain tells the proposer of a member that holds the sender up.
	Complain struct{ Member Member }

	// Prepare begins a change: promise not to accept anything of an earlier ballot, stop, and say what you hold.
	Prepare struct {
		View   uint64
		Ballot Ballot
	}
	// Promise answers Prepare.
	Promise struct {
		View     uint64
		Ballot   Ballot
		Life     uint32 // of the member that the sender is; 0 if it is none
		Wants    uint32 // of the member that it wants to be; 0 if it is one, or has left
		Votes    bool
		Held     Cut     // if it is a member
		Ready    bool    // it is one and has the state of the group's application
		Last     Ballot  // of what it accepted last; zero if nothing
		Accepted Content // with that ballot
	}
	// Propose asks to accept a change.
	Propose struct {
		View    uint64
		Ballot  Ballot
		Content Content
		From    []protocol.ID // by rank of the old view, who holds its part of the cut; None if nobody who answered does
	}
	// Accept answers Propose.
	Accept struct {
		View   uint64
		Ballot Ballot
	}
	// Nack answers a Prepare or Propose with a ballot below the one that was promised.
	Nack struct {
		View     uint64
		Ballot   Ballot // of the message that it answers
		Promised Ballot
	}
	// Commit tells of a change that is decided.
	Commit struct {
		Ballot  Ballot // in which it was decided, as far as the sender knows
		Content Content
		From    []protocol.ID
	}
	// Behind says that the sender's last view is View, less than that of the message that it answers.
	Behind struct{ View uint64 }
	// Nudge asks the proposer to go on: the sender has promised, and nothing came of it.
	Nudge struct {
		View     uint64
		Promised Ballot
	}
)

var messages = []protocol.Message{Who{}, Here{}, Enter{}, Sponsor{}, Quit{}, Complain{}, Prepare{}, Promise{}, Propose{},
	Accept{}, Nack{}, Commit{}, Behind{}, Nudge{}}
