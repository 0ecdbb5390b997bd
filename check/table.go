package check

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"ciranda.dev/trace"
)

// A Spec describes a property.
type Spec struct {
	Name   string
	Doc    string // what it demands, in a sentence
	Params []Param
	Basis  Basis       // on what its verdict rests
	Needs  Needs       // of the cluster
	Level  trace.Level // the least at which a verdict other than violated is given
	Calm   bool        // it is judged only after the network is calm
	build  func(b base, values []time.Duration) Property
}

// A Param is a parameter of a property: a length of time from 0 to an hour.
type Param struct {
	Name  string
	Doc   string // its meaning and default
	value func(*Setup) time.Duration
}

// MaxParam is the longest time that a parameter may have.
const MaxParam = time.Hour

// Needs is what a property needs of a cluster.
type Needs uint32

// The needs. A set of them is their sum.
const (
	NeedsElection Needs = 1 << iota
	NeedsTerms          // an election that numbers its reigns
	NeedsStable         // an election with the option stable
	NeedsRank           // an election without the option stable: the highest node leads
	NeedsQuorum         // an election with the option quorum
	NeedsDetector
	NeedsTimeout // a detector with timers
	NeedsBank
	NeedsLink // a link layer that notes what it carries
	UsesLink  // its notes, where there are any
	NeedsSnapshot
	NeedsGroup
	NeedsCasts   // a group with a layer for multicast
	NeedsStreams // one that notes what it holds
	NeedsTransfer
	NeedsBoard
	NeedsCalls   // a layer for calls between nodes
	NeedsCounter // counters that calls increment
	NeedsRegistry
	NeedsReferences // objects whose references travel
)

var within = Param{Name: "within", Doc: "the time allowed from the moment of calm; default 2T + 2s, rounded up to whole seconds",
	value: (*Setup).electionBound}

var detectedWithin = Param{Name: "within",
	Doc:   "the time allowed from the moment of calm; default T + η + 2Δ (on a ring 2T + 21η + 4Δ), rounded up to whole seconds",
	value: (*Setup).detectionBound}

var linkWithin = Param{Name: "within", Doc: "the time allowed from the sending, or from the moment of calm if that is later; default 3s",
	value: func(*Setup) time.Duration { return 3 * time.Second }}

var appliedWithin = Param{Name: "within",
	Doc:   "the time allowed from the debit or the moment of calm; default ten times the bank's resend interval, rounded up to whole seconds",
	value: (*Setup).bankBound}

var endsWithin = Param{Name: "within", Doc: "the time allowed from the begin, on the clock of the node that was asked; default what the layer allows, 10s",
	value: func(s *Setup) time.Duration { return s.Snapshot.Within }}

var completesWithin = Param{Name: "within", Doc: "for how long it must have been calm; default T + η + 2Δ (on a ring 2T + 21η + 4Δ), rounded up to whole seconds",
	value: (*Setup).detectionBound}

var groupWithin = Param{Name: "within", Doc: "the time allowed from the moment of calm; default T + η + 2Δ (on a ring 2T + 21η + 4Δ), rounded up to whole seconds, and 2s",
	value: (*Setup).groupBound}

var forgottenWithin = Param{Name: "within", Doc: "for how long it must have been calm and nothing cast; default 3s",
	value: func(*Setup) time.Duration { return 3 * time.Second }}

var castWithin = Param{Name: "within", Doc: "the time allowed from the casting, or from the moment of calm if that is later; default 3s",
	value: func(*Setup) time.Duration { return 3 * time.Second }}

var readyWithin = Param{Name: "within", Doc: "the time allowed from the joining, or from the moment of calm if that is later; default 5s",
	value: func(*Setup) time.Duration { return 5 * time.Second }}

var callWithin = Param{Name: "within", Doc: "the time allowed from the call, or from the moment of calm if that is later; default 5s",
	value: func(*Setup) time.Duration { return 5 * time.Second }}

var collectedWithin = Param{Name: "within",
	Doc:   "the time allowed from when nobody refers to it, or from the moment of calm if that is later; default two leases",
	value: func(s *Setup) time.Duration { return 2 * s.References.Lease }}

// Properties are all there are, in the order in which reports show them.
var Properties = []Spec{
	{Name: "well-formed", Level: trace.Full, Basis: Local,
		Doc:   "the trace makes sense: events are numbered without gaps, the dead do nothing, messages are accounted for, timers fire when set",
		build: func(b base, v []time.Duration) Property { return newWellFormed(b) }},
	{Name: "no-creation", Level: trace.Full, Basis: Order,
		Doc:   "nothing is received that was not sent to that node, and nothing more often than it was sent or duplicated",
		build: func(b base, v []time.Duration) Property { return newNoCreation(b) }},
	{Name: "clock-condition", Level: trace.Full, Basis: Order,
		Doc:   "Lamport stamps rise along happened-before, across the lives of a node too; in the simulator by exactly one, or past the stamp received",
		build: func(b base, v []time.Duration) Property { return &clockCondition{base: b} }},
	{Name: "incarnations-rise", Level: trace.Protocol, Basis: Order,
		Doc:   "each life of a node has a greater incarnation than the one before, and receives nothing that was meant for another",
		build: func(b base, v []time.Duration) Property { return &incarnationsRise{base: b} }},
	{Name: "durable-first", Level: trace.Full, Basis: Order,
		Doc:   "what a step persists is durable before its messages leave, and nobody receives what was sent in a step that a crash undid",
		build: func(b base, v []time.Duration) Property { return &durableFirst{base: b} }},
	{Name: "suspicions-alternate", Level: trace.Protocol, Basis: Order, Needs: NeedsDetector,
		Doc:   "about one life of a node, suspicion and restoration alternate, suspicion first",
		build: func(b base, v []time.Duration) Property { return &suspicionsAlternate{base: b} }},
	{Name: "detector-lives", Level: trace.Protocol, Basis: Order, Needs: NeedsDetector,
		Doc:   "a detector never goes back to an older life of a node, and tells the end of a trusted life before it tells of the next",
		build: func(b base, v []time.Duration) Property { return &detectorLives{base: b} }},
	{Name: "hints-verified", Level: trace.Full, Basis: Local, Needs: NeedsDetector | NeedsTimeout,
		Doc:   "a suspicion for a closed connection follows a hint about that very life, and silence until it was verified or hinted again",
		build: func(b base, v []time.Duration) Property { return &hintsVerified{base: b} }},
	{Name: "reset-answered", Level: trace.Full, Basis: Local, Needs: NeedsDetector | NeedsTimeout,
		Params: []Param{{Name: "within", Doc: "the time allowed from the restoration; default T (on a ring T + η + 2Δ)", value: (*Setup).resetBound}},
		Doc:    "a node that is trusted again is heard of, or suspected again in time",
		build:  func(b base, v []time.Duration) Property { return &resetAnswered{base: b, within: int64(v[0])} }},
	{Name: "detector-complete", Level: trace.Protocol, Basis: Global, Calm: true, Params: []Param{detectedWithin},
		Needs: NeedsDetector | NeedsTimeout,
		Doc:   "every node that crashed is suspected by every living one in time, and for good",
		build: func(b base, v []time.Duration) Property { return &detectorComplete{base: b, within: int64(v[0])} }},
	{Name: "detector-accurate", Level: trace.Protocol, Basis: Global, Calm: true, Params: []Param{detectedWithin},
		Needs: NeedsDetector | NeedsTimeout,
		Doc:   "once calm has lasted for a while, no living node is suspected by a living one",
		build: func(b base, v []time.Duration) Property { return &detectorAccurate{base: b, within: int64(v[0])} }},
	{Name: "no-false-suspicion", Level: trace.Protocol, Basis: Global, Needs: NeedsDetector,
		Doc:   "nobody is suspected before its life is over, whatever happens: only a network with known bounds allows that",
		build: func(b base, v []time.Duration) Property { return &noFalseSuspicion{base: b} }},
	{Name: "one-leader-per-term", Level: trace.Protocol, Basis: Order, Needs: NeedsElection | NeedsTerms,
		Doc:   "no two nodes, and no two lives of a node, lead in the same term; with a quorum, in terms of the same counter",
		build: func(b base, v []time.Duration) Property { return &oneLeaderPerTerm{base: b} }},
	{Name: "one-leader-at-a-time", Level: trace.Protocol, Basis: Global, Needs: NeedsElection,
		Params: []Param{{Name: "overlap", Doc: "for how long two may lead, beside the pauses of the one with the lower term; default 0"}},
		Doc:    "reigns of different nodes do not overlap, or for no longer than allowed",
		build:  func(b base, v []time.Duration) Property { return &oneLeaderAtATime{base: b, allowed: int64(v[0])} }},
	{Name: "leader-agreed", Level: trace.Protocol, Basis: Global, Calm: true, Needs: NeedsElection, Params: []Param{within},
		Doc: "all living nodes come to hold the same living leader and term in time, and keep to it until the end",
		build: func(b base, v []time.Duration) Property {
			return &leaderAgreed{base: b, within: int64(v[0]), since: never}
		}},
	{Name: "highest-leads", Level: trace.Protocol, Basis: Global, Calm: true, Needs: NeedsElection | NeedsRank, Params: []Param{within},
		Doc: "the leader that all come to hold is the highest living node",
		build: func(b base, v []time.Duration) Property {
			return &leaderAgreed{base: b, within: int64(v[0]), since: never, highest: true}
		}},
	{Name: "leader-stable", Level: trace.Protocol, Basis: Global, Calm: true, Needs: NeedsElection, Params: []Param{within},
		Doc: "once calm has lasted for a while and all agree on a leader, nobody changes its mind until the next fault",
		build: func(b base, v []time.Duration) Property {
			return &leaderStable{base: b, within: int64(v[0]), since: never}
		}},
	{Name: "election-ends", Level: trace.Protocol, Basis: Global, Calm: true, Needs: NeedsElection, Params: []Param{within},
		Doc:   "after an election has begun, every living node gets a leader in time, or has one that leads",
		build: func(b base, v []time.Duration) Property { return &electionEnds{base: b, within: int64(v[0])} }},
	{Name: "terms-never-decrease", Level: trace.Protocol, Basis: Order, Needs: NeedsElection | NeedsTerms,
		Doc:   "the terms that a node tells never go back, across its lives too, as long as its disk is not lost",
		build: func(b base, v []time.Duration) Property { return &termsNeverDecrease{base: b} }},
	{Name: "stable-return", Level: trace.Protocol, Basis: Global, Needs: NeedsElection | NeedsStable,
		Doc:   "a node that stands holds no leader, or one that it suspects, that is silent or gave up; or it was asked to",
		build: func(b base, v []time.Duration) Property { return &stableReturn{base: b} }},
	{Name: "majority-granted", Level: trace.Protocol, Basis: Order, Needs: NeedsElection | NeedsQuorum,
		Doc:   "who leads was granted its counter by a majority of the configured nodes, and nobody grants one counter to two",
		build: func(b base, v []time.Duration) Property { return &majorityGranted{base: b} }},
	{Name: "link-order", Level: trace.Protocol, Basis: Order, Needs: NeedsLink,
		Doc:   "what a life delivers of a link is the beginning of what the other life sent to it, in the same order",
		build: func(b base, v []time.Duration) Property { return &linkOrder{base: b} }},
	{Name: "link-delivers", Level: trace.Protocol, Basis: Global, Calm: true, Needs: NeedsLink, Params: []Param{linkWithin},
		Doc:   "once it is calm, what a living node sent to a living life over a link is delivered in time, unless one ejected the other",
		build: func(b base, v []time.Duration) Property { return &linkDelivers{base: b, within: int64(v[0])} }},
	{Name: "no-overdraft", Level: trace.Protocol, Basis: Order, Needs: NeedsBank,
		Doc:   "no account has a balance below zero",
		build: func(b base, v []time.Duration) Property { return &noOverdraft{base: b} }},
	{Name: "applied-once", Level: trace.Protocol, Basis: Order, Needs: NeedsBank,
		Doc:   "no transfer is applied twice, over all lives of all nodes",
		build: func(b base, v []time.Duration) Property { return &appliedOnce{base: b} }},
	{Name: "applied-after-debit", Level: trace.Protocol, Basis: Order, Needs: NeedsBank,
		Doc:   "a transfer that is applied was debited before, with the same amount and receiver",
		build: func(b base, v []time.Duration) Property { return &appliedAfterDebit{base: b} }},
	{Name: "request-once", Level: trace.Protocol, Basis: Order, Needs: NeedsBank,
		Doc:   "a client's request is debited once, however often it is made, and the next lives know what the client was told",
		build: func(b base, v []time.Duration) Property { return &requestOnce{base: b} }},
	{Name: "debits-applied", Level: trace.Protocol, Basis: Global, Calm: true, Needs: NeedsBank, Params: []Param{appliedWithin},
		Doc:   "what was debited is applied in time, if both nodes run",
		build: func(b base, v []time.Duration) Property { return &arrival{base: b, within: int64(v[0])} }},
	{Name: "none-acknowledged-lost", Level: trace.Protocol, Basis: Global, Calm: true, Needs: NeedsBank, Params: []Param{appliedWithin},
		Doc: "a transfer of which a client was told that it is done is applied in time, if both nodes run",
		build: func(b base, v []time.Duration) Property {
			return &arrival{base: b, within: int64(v[0]), acknowledged: true}
		}},
	{Name: "money-conserved", Level: trace.Protocol, Basis: Order, Needs: NeedsBank,
		Doc:   "in every consistent cut that is drawn, and at the end, all money is in accounts or on its way",
		build: func(b base, v []time.Duration) Property { return &moneyConserved{base: b} }},
	{Name: "snapshot-consistent", Level: trace.Protocol, Basis: Order, Needs: NeedsSnapshot | UsesLink,
		Doc:   "a complete snapshot has a state of each node, recorded once, and in it nothing is received that was not sent",
		build: func(b base, v []time.Duration) Property { return &snapshotConsistent{base: b} }},
	{Name: "snapshot-channels", Level: trace.Protocol, Basis: Order, Needs: NeedsSnapshot | UsesLink,
		Doc:   "a complete snapshot has on each channel what was sent before the sender's cut and came after the receiver's, in order",
		build: func(b base, v []time.Duration) Property { return &snapshotChannels{base: b} }},
	{Name: "snapshot-conserved", Level: trace.Protocol, Basis: Order, Needs: NeedsSnapshot | NeedsBank,
		Doc:   "in every complete snapshot all money is in accounts or on its way",
		build: func(b base, v []time.Duration) Property { return &snapshotConserved{base: b} }},
	{Name: "snapshot-ends", Level: trace.Protocol, Basis: Local, Needs: NeedsSnapshot, Params: []Param{endsWithin},
		Doc:   "a snapshot is over in time, complete or not, unless the node that was asked crashes",
		build: func(b base, v []time.Duration) Property { return &snapshotEnds{base: b, within: int64(v[0])} }},
	{Name: "snapshot-completes", Level: trace.Protocol, Basis: Global, Calm: true, Needs: NeedsSnapshot, Params: []Param{completesWithin},
		Doc:   "once calm has lasted for a while and all nodes are up, every snapshot is complete",
		build: func(b base, v []time.Duration) Property { return &snapshotCompletes{base: b, within: int64(v[0])} }},
	{Name: "group-one-view", Level: trace.Protocol, Basis: Order, Needs: NeedsGroup,
		Doc:   "views of one number have the same members, at all nodes and over all their lives",
		build: func(b base, v []time.Duration) Property { return &oneView{base: b} }},
	{Name: "group-self", Level: trace.Protocol, Basis: Order, Needs: NeedsGroup,
		Doc:   "a node is a member of the views that it installs, in its present life",
		build: func(b base, v []time.Duration) Property { return &inItsViews{base: b} }},
	{Name: "group-no-gap", Level: trace.Protocol, Basis: Order, Needs: NeedsGroup,
		Doc:   "a member installs one view after the other, and tells truly who came and went",
		build: func(b base, v []time.Duration) Property { return &noGap{base: b} }},
	{Name: "group-settles", Level: trace.Protocol, Basis: Global, Calm: true, Needs: NeedsGroup, Params: []Param{groupWithin},
		Doc:   "once it is calm, all live nodes that did not leave are in one view, and nobody else; too few for that say that they stand still",
		build: func(b base, v []time.Duration) Property { return &groupSettles{base: b, within: int64(v[0])} }},
	{Name: "group-excluded-silent", Level: trace.Protocol, Basis: Order, Needs: NeedsGroup,
		Doc:   "who is out of the group is silent there until it is back as another member",
		build: func(b base, v []time.Duration) Property { return &excludedSilent{base: b} }},
	{Name: "group-same-set", Level: trace.Protocol, Basis: Order, Needs: NeedsCasts,
		Doc:   "who goes on from one view to the next has delivered the same in the first",
		build: func(b base, v []time.Duration) Property { return &sameSet{base: b} }},
	{Name: "group-own-view", Level: trace.Protocol, Basis: Order, Needs: NeedsCasts,
		Doc:   "a message is delivered in the view in which it was cast",
		build: func(b base, v []time.Duration) Property { return &ownView{base: b} }},
	{Name: "multicast-once", Level: trace.Protocol, Basis: Order, Needs: NeedsCasts,
		Doc:   "a message is delivered once at each node, and not before it was cast",
		build: func(b base, v []time.Duration) Property { return &castOnce{base: b} }},
	{Name: "multicast-agreement", Level: trace.Protocol, Basis: Global, Calm: true, Needs: NeedsCasts, Params: []Param{castWithin},
		Doc:   "what a member casts is delivered by all that go on, unless it crashes or is excluded; once it is calm, in time",
		build: func(b base, v []time.Duration) Property { return &castArrives{base: b, within: int64(v[0])} }},
	{Name: "multicast-uniform", Level: trace.Protocol, Basis: Order, Needs: NeedsCasts,
		Doc:   "what any member delivers uniformly, even one that dies next, is delivered by all that go on",
		build: func(b base, v []time.Duration) Property { return &uniformly{base: b} }},
	{Name: "multicast-fifo", Level: trace.Protocol, Basis: Order, Needs: NeedsCasts,
		Doc:   "the messages of one sender are delivered in the order in which it cast them",
		build: func(b base, v []time.Duration) Property { return &inOrder{base: b} }},
	{Name: "multicast-causal", Level: trace.Protocol, Basis: Order, Needs: NeedsCasts,
		Doc:   "no message is delivered before one that its sender had delivered when it cast it",
		build: func(b base, v []time.Duration) Property { return &causeFirst{base: b} }},
	{Name: "multicast-total", Level: trace.Protocol, Basis: Order, Needs: NeedsCasts,
		Doc:   "what the members of a view deliver is one sequence, or the beginning of it",
		build: func(b base, v []time.Duration) Property { return &sameOrder{base: b} }},
	{Name: "multicast-safe", Level: trace.Protocol, Basis: Order, Needs: NeedsCasts | NeedsStreams,
		Doc:   "a uniform message is delivered when more than half of the view hold it",
		build: func(b base, v []time.Duration) Property { return &heldFirst{base: b} }},
	{Name: "multicast-one-place", Level: trace.Protocol, Basis: Order, Needs: NeedsCasts | NeedsStreams,
		Doc:   "only the coordinator gives messages places in the total order, each message one and each place one message",
		build: func(b base, v []time.Duration) Property { return &onePlace{base: b} }},
	{Name: "multicast-held-by-all", Level: trace.Protocol, Basis: Order, Needs: NeedsCasts | NeedsStreams,
		Doc:   "a node forgets only what all members of its view hold",
		build: func(b base, v []time.Duration) Property { return &heldByAll{base: b} }},
	{Name: "multicast-forgotten", Level: trace.Protocol, Basis: Global, Calm: true, Needs: NeedsCasts | NeedsStreams, Params: []Param{forgottenWithin},
		Doc:   "when nothing has been cast for a while, and it is calm, no messages are kept",
		build: func(b base, v []time.Duration) Property { return &allForgotten{base: b, within: int64(v[0])} }},
	{Name: "transfer-same-state", Level: trace.Protocol, Basis: Order, Needs: NeedsTransfer,
		Doc:   "all that keep or load the state of one view have the same, and what is loaded was kept",
		build: func(b base, v []time.Duration) Property { return &sameState{base: b} }},
	{Name: "transfer-one-history", Level: trace.Protocol, Basis: Order, Needs: NeedsTransfer | NeedsBoard,
		Doc:   "members that load the board of others and go on have each notice once, in the order of all, as if they had never been away",
		build: func(b base, v []time.Duration) Property { return &oneHistory{base: b} }},
	{Name: "transfer-ends", Level: trace.Protocol, Basis: Global, Calm: true, Needs: NeedsTransfer, Params: []Param{readyWithin},
		Doc:   "once it is calm, every member has the state in time after it joined",
		build: func(b base, v []time.Duration) Property { return &stateComes{base: b, within: int64(v[0])} }},
	{Name: "call-at-most-once", Level: trace.Protocol, Basis: Order, Needs: NeedsCalls,
		Doc:   "an at-most-once call is executed once or not at all, over all lives of all servers",
		build: func(b base, v []time.Duration) Property { return &callAtMostOnce{base: b} }},
	{Name: "call-true-result", Level: trace.Protocol, Basis: Order, Needs: NeedsCalls,
		Doc:   "what a call returns is what an execution of it gave before",
		build: func(b base, v []time.Duration) Property { return &callTrueResult{base: b} }},
	{Name: "call-true-word", Level: trace.Protocol, Basis: Order, Needs: NeedsCalls,
		Doc:   "a call is executed if its caller is told so, and never if it is told that it is not",
		build: func(b base, v []time.Duration) Property { return &callTrueWord{base: b} }},
	{Name: "call-maybe-once", Level: trace.Protocol, Basis: Order, Needs: NeedsCalls,
		Doc:   "the request of a maybe call is sent once",
		build: func(b base, v []time.Duration) Property { return &callMaybeOnce{base: b} }},
	{Name: "call-ends", Level: trace.Protocol, Basis: Global, Calm: true, Needs: NeedsCalls, Params: []Param{callWithin},
		Doc:   "once it is calm, calls between living nodes are over in time, and those without a deadline are executed",
		build: func(b base, v []time.Duration) Property { return &callEnds{base: b, within: int64(v[0])} }},
	{Name: "call-reply-kept", Level: trace.Protocol, Basis: Order, Needs: NeedsCalls,
		Doc:   "a reply is kept until its call is over at the caller, or the session is",
		build: func(b base, v []time.Duration) Property { return &callReplyKept{base: b} }},
	{Name: "call-no-orphans", Level: trace.Protocol, Basis: Order, Needs: NeedsCalls,
		Doc:   "nothing is executed, nor has an effect, for a former life of a client, once its server knows of a newer one",
		build: func(b base, v []time.Duration) Property { return &callNoOrphans{base: b} }},
	{Name: "call-in-time", Level: trace.Protocol, Basis: Local, Needs: NeedsCalls,
		Doc:   "no call returns a result after its deadline, and no execution begins with a longer budget than its caller waits",
		build: func(b base, v []time.Duration) Property { return &callInTime{base: b} }},
	{Name: "call-one-id", Level: trace.Protocol, Basis: Order, Needs: NeedsCalls,
		Doc:   "all that happens to a call has the id under which it was made, and calls within calls name the first of their chain",
		build: func(b base, v []time.Duration) Property { return &callOneID{base: b} }},
	{Name: "call-nested-in-time", Level: trace.Protocol, Basis: Local, Needs: NeedsCalls,
		Doc:   "a call within a call waits no longer than the outer one has left",
		build: func(b base, v []time.Duration) Property { return &callNestedInTime{base: b} }},
	{Name: "session-lease", Level: trace.Protocol, Basis: Global, Needs: NeedsCalls,
		Doc:   "no server ends a session while its client counts on it",
		build: func(b base, v []time.Duration) Property { return &sessionLease{base: b} }},
	{Name: "session-over", Level: trace.Protocol, Basis: Order, Needs: NeedsCalls,
		Doc:   "nothing is executed, nor has an effect, for a session that is over",
		build: func(b base, v []time.Duration) Property { return &sessionOver{base: b} }},
	{Name: "counted-once", Level: trace.Protocol, Basis: Order, Needs: NeedsCounter,
		Doc:   "no increment of a counter is made twice",
		build: func(b base, v []time.Duration) Property { return &countedOnce{base: b} }},
	{Name: "registry-agree", Level: trace.Protocol, Basis: Order, Needs: NeedsRegistry,
		Doc:   "members have the same names at the same revision, those that joined too",
		build: func(b base, v []time.Duration) Property { return &oneTable{base: b} }},
	{Name: "registry-no-orphans", Level: trace.Protocol, Basis: Order, Needs: NeedsRegistry,
		Doc:   "no name outlasts its owner's membership, or that of the node which keeps its owner's session",
		build: func(b base, v []time.Duration) Property { return &noOrphans{base: b} }},
	{Name: "references-safe", Level: trace.Protocol, Basis: Global, Needs: NeedsReferences,
		Doc:   "no object is collected while a living node that counts on its lease refers to it, or a reference to it travels",
		build: func(b base, v []time.Duration) Property { return &referencesSafe{base: b} }},
	{Name: "references-collected", Level: trace.Protocol, Basis: Global, Calm: true, Needs: NeedsReferences, Params: []Param{collectedWithin},
		Doc:   "once it is calm, an object to which nobody refers any more is collected in time",
		build: func(b base, v []time.Duration) Property { return &referencesCollected{base: b, within: int64(v[0])} }},
	{Name: "references-kept", Level: trace.Protocol, Basis: Order, Needs: NeedsReferences,
		Doc:   "no node loses an object to which it refers, unless the object's owner dies",
		build: func(b base, v []time.Duration) Property { return &referencesKept{base: b} }},
	{Name: "references-in-order", Level: trace.Protocol, Basis: Order, Needs: NeedsReferences,
		Doc:   "the updates of a session are applied once and in order, and none after its end",
		build: func(b base, v []time.Duration) Property { return &referencesInOrder{base: b} }},
}

// Lookup finds a property by its name; nil if there is none.
func Lookup(name string) *Spec {
	for i := range Properties {
		if Properties[i].Name == name {
			return &Properties[i]
		}
	}
	return nil
}

// Names are those of all properties, in alphabetical order.
func Names() []string {
	var names []string
	for i := range Properties {
		names = append(names, Properties[i].Name)
	}
	slices.Sort(names)
	return names
}

// Refuses says why such a cluster cannot exercise the property; nil if it can.
func (s *Spec) Refuses(setup Setup) error {
	expected := ""
	e, d := setup.Election, setup.Detector
	switch {
	case s.Needs&NeedsElection != 0 && e == nil:
		expected = "a cluster with an election"
	case s.Needs&NeedsTerms != 0 && e.Classic:
		expected = "an election with terms, and the classic one has none"
	case s.Needs&NeedsStable != 0 && !e.Stable:
		expected = "an election with the option stable"
	case s.Needs&NeedsRank != 0 && e.Stable:
		expected = "an election without the option stable, which lets a lower leader stay"
	case s.Needs&NeedsQuorum != 0 && !e.Quorum:
		expected = "an election with the option quorum"
	case s.Needs&NeedsDetector != 0 && d == nil:
		expected = "a cluster with a failure detector"
	case s.Needs&NeedsBank != 0 && setup.Bank == nil:
		expected = "a cluster with a bank"
	case s.Needs&NeedsSnapshot != 0 && setup.Snapshot == nil:
		expected = "a cluster with a layer for snapshots: an app"
	case s.Needs&(NeedsGroup|NeedsCasts) != 0 && setup.Group == nil:
		expected = "a cluster with a group, such as orders: all"
	case s.Needs&NeedsCasts != 0 && !setup.Group.Casts:
		expected = "a group with a layer for multicast"
	case s.Needs&NeedsStreams != 0 && !setup.Group.Notes:
		expected = "a group that notes what its members hold: on: [sim]"
	case s.Needs&NeedsTransfer != 0 && !setup.Transfer:
		expected = "a cluster that brings its state to those who join, such as app: board"
	case s.Needs&(NeedsCalls|NeedsCounter) != 0 && !setup.Calls:
		expected = "a cluster whose nodes call one another, such as app: counter"
	case s.Needs&NeedsBoard != 0 && !setup.Board:
		expected = "a cluster with a board: app: board"
	case s.Needs&NeedsRegistry != 0 && !setup.Registry:
		expected = "a group with a registry of names: registry: true"
	case s.Needs&NeedsReferences != 0 && setup.References == nil:
		expected = "a cluster whose nodes refer to objects of one another: app: references"
	case s.Needs&NeedsLink != 0 && !setup.Link:
		expected = "a cluster with a link layer that notes what it carries: an app, and on: [sim]"
	default:
		return nil
	}
	return fmt.Errorf("found %s; expected %s", s.Name, expected)
}

// blind says why the property cannot be judged on a run of that kind; empty if it can.
func (s *Spec) blind(setup *Setup) string {
	switch {
	case setup.Level < trace.Protocol:
		return "nothing is recorded at trace level off"
	case s.Basis != Order && setup.Engine == Untimed && s.Name != "well-formed":
		return "it speaks of time, and the run has none"
	case s.Needs&NeedsTimeout != 0 && setup.Detector.Timeout == 0:
		return "the failure detector has no timers"
	case setup.Level < s.Level && s.Name != "clock-condition" && s.Name != "well-formed":
		return "it needs messages, and trace level protocol leaves them out"
	}
	return ""
}

func (s *Spec) checkParams(params Params) error {
	var names []string
	for _, p := range s.Params {
		names = append(names, p.Name)
		if d := params[p.Name]; d < 0 || d > MaxParam {
			return fmt.Errorf("%s: found %s: %s; expected 0s to %s", s.Name, p.Name, d, MaxParam)
		}
	}
	for name := range params {
		if !slices.Contains(names, name) {
			expected := "no parameters"
			if len(names) > 0 {
				expected = strings.Join(names, ", ")
			}
			return fmt.Errorf("%s: found the parameter %q; expected %s", s.Name, name, expected)
		}
	}
	return nil
}
