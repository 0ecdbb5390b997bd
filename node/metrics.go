package node

import (
	"context"
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"ciranda.dev/app/bank"
	"ciranda.dev/engine/live"
	"ciranda.dev/node/member"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
	"ciranda.dev/protocol/election"
	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/multicast"
	"ciranda.dev/trace"
	"ciranda.dev/transport/udp"
)

// A tally counts events by their kinds. Kinds are those of the node's own layers: nobody else can add one.
type tally struct {
	mu     sync.Mutex
	counts map[string]uint64
}

func (t *tally) add(kind string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil {
		t.counts = map[string]uint64{}
	}
	t.counts[kind]++
}

func (t *tally) of(kind string) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts[kind]
}

// What a node tells at /metrics. Counters count since the node's process began.
var (
	infoMetric = metric("node_info", "Which node this is, and what it runs; always 1.", "cluster", "node", "stack", "version")

	incarnationMetric = metric("node_incarnation", "Which of its lives the node is in, from 1.")
	frozenMetric      = metric("node_frozen", "1 while the node is made to stand still from within.")
	leaderMetric      = metric("election_leader", "The node that this one holds for the leader; 0 for none.")
	isLeaderMetric    = metric("election_is_leader", "1 while the node leads.")
	electionsMetric   = metric("elections_total", "Elections that the node has begun.")
	leadersMetric     = metric("election_leader_changes_total", "How often the node adopted a leader.")
	suspectedMetric   = metric("detector_suspected", "1 for each peer that the node suspects, else 0.", "peer")
	suspicionsMetric  = metric("detector_suspicions_total", "How often the node began to suspect a peer.")

	connectedMetric  = metric("transport_connected", "1 for each peer to which there is a connection, else 0.", "peer")
	messagesMetric   = metric("transport_messages_total", "Messages between nodes, by direction.", "direction")
	bytesMetric      = metric("transport_bytes_total", "Bytes between nodes, by direction.", "direction")
	unqueuedMetric   = metric("transport_unqueued_total", "Messages that were not queued because a peer takes too little.")
	strangersMetric  = metric("transport_refused_total", "Connections of nodes that were turned away or broken off for what they sent.")
	stepsMetric      = metric("engine_steps_total", "Handlers' runs.")
	waitingMetric    = metric("engine_outputs_waiting", "Outputs that wait for the disk.")
	latenessMetric   = metric("engine_timer_lateness_seconds", "By how much timers expired too late.")
	syncsMetric      = metric("disk_sync_seconds", "How long it took from a record to its being durable.")
	diskBytesMetric  = metric("disk_written_bytes_total", "Bytes written to the node's disk.")
	diskStallsMetric = metric("disk_stalled", "1 while a write is older than it may be, so that the node does not lead.")

	balanceMetric  = metric("bank_balance", "The money of the node's account.")
	inFlightMetric = metric("bank_in_flight", "The money that left the account and is not known to have arrived.")
	paidMetric     = metric("bank_transfers_sent_total", "Transfers from the account.")
	receivedMetric = metric("bank_transfers_received_total", "Transfers to the account.")

	viewMetric       = metric("group_view", "The number of the last view that the node installed; 0 for none.")
	membersMetric    = metric("group_members", "How many members that view has.")
	memberMetric     = metric("group_is_member", "1 while the node is a member.")
	blockedMetric    = metric("group_blocked", "1 while the group stands still at the node.")
	listenersMetric  = metric("multicast_listeners", "Who listens to what the node delivers.")
	castMetric       = metric("multicast_sent_total", "Messages that were sent through the node and delivered there, by order.", "order", "uniform")
	castBytesMetric  = metric("multicast_sent_bytes_total", "Bytes of those messages.", "order", "uniform")
	heardMetric      = metric("multicast_delivered_total", "Messages that the node delivered, by order.", "order", "uniform")
	heardBytesMetric = metric("multicast_delivered_bytes_total", "Bytes of those messages.", "order", "uniform")
	unsentMetric     = metric("multicast_waiting_bytes", "Bytes of messages that wait to be sent.")
	unstableMetric   = metric("multicast_unstable_bytes", "Bytes of the node's messages that not all members are known to hold.")
	keptMetric       = metric("multicast_kept_bytes", "Bytes of messages that are kept for members which may lack them.")
	earlyMetric      = metric("multicast_early", "Messages held that may not be delivered yet.")

	aloudMetric     = metric("multicast_broadcasting", "1 while messages go by IP multicast, 0 while they go over connections.")
	pleasMetric     = metric("multicast_pleas_total", "How often the node asked by IP multicast for what it lacked.")
	repairsMetric   = metric("multicast_repairs_total", "Batches of messages that the node sent again.")
	datagramsMetric = metric("udp_datagrams_total", "Datagrams with messages, by direction.", "direction")
	unsentUDPMetric = metric("udp_unsent_total", "Datagrams that could not be sent.")
	droppedMetric   = metric("udp_dropped_total", "Datagrams that were dropped, by reason.", "reason")
)

func metric(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("ciranda_"+name, help, labels, nil)
}

// metrics asks the node when somebody asks for its metrics; in between they cost nothing.
type metrics struct{ *Node }

// Describe names no metric: which there are depends on the stack.
func (m metrics) Describe(chan<- *prometheus.Desc) {}

// Collect gives the metrics as they are now; none of a node that has ended.
func (m metrics) Collect(to chan<- prometheus.Metric) {
	is, err := m.live.Status()
	if err != nil {
		return
	}
	s := samples{to}
	s.gauge(infoMetric, 1, m.cfg.Cluster, m.cfg.ID.String(), m.cfg.Spec.Text(), trace.Version())
	s.gauge(incarnationMetric, float64(is.Self.Incarnation))
	s.engine(&is)
	s.transport(&is)
	if m.air != nil {
		s.datagrams(m.air.Datagrams())
	}
	s.counter(electionsMetric, m.record.tally.of(election.Begun{}.Kind()))
	s.counter(leadersMetric, m.record.tally.of(election.Elected{}.Kind()))
	s.counter(suspicionsMetric, m.record.tally.of(detector.Suspect{}.Kind()))
	if !is.Frozen { // else its layers do not answer
		m.layers(s)
	}
}

// layers asks the layers. One that the stack does not have gives nothing.
func (m metrics) layers(s samples) {
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	if a, err := m.live.Ask(ctx, election.Query{}); err == nil {
		o := a.(election.Opinion)
		s.gauge(leaderMetric, float64(o.Leader))
		s.gauge(isLeaderMetric, flag(o.Leader == m.cfg.ID))
	}
	if a, err := m.live.Ask(ctx, detector.Query{}); err == nil {
		s.suspicions(m.group, m.cfg.ID, a.(detector.Opinion).Suspects)
	}
	if a, err := m.live.Ask(ctx, bank.Query{}); err == nil {
		s.account(a.(bank.Account))
		s.counter(paidMetric, m.record.tally.of(bank.Debited{}.Kind()))
		s.counter(receivedMetric, m.record.tally.of(bank.Credited{}.Kind()))
	}
	if a, err := m.live.Ask(ctx, group.Query{}); err == nil {
		s.group(a.(group.Status))
	}
	if a, err := m.live.Ask(ctx, multicast.Query{}); err == nil {
		s.backlog(a.(multicast.Status))
		s.broadcasts(a.(multicast.Status).Broadcasts)
		s.gauge(listenersMetric, float64(m.member.Listeners()))
		s.lanes(castMetric, castBytesMetric, m.member.Sent())
		s.lanes(heardMetric, heardBytesMetric, m.member.Delivered())
	}
}

// samples writes metrics.
type samples struct{ to chan<- prometheus.Metric }

func (s samples) gauge(d *prometheus.Desc, value float64, labels ...string) {
	s.to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

func (s samples) counter(d *prometheus.Desc, value uint64, labels ...string) {
	s.to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
}

func flag(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func (s samples) engine(is *live.Status) {
	s.gauge(frozenMetric, flag(is.Frozen))
	s.gauge(waitingMetric, float64(is.Waiting))
	s.gauge(diskStallsMetric, flag(is.DiskStalled))
	s.counter(stepsMetric, is.Stats.Steps)
	s.counter(diskBytesMetric, is.Disk.Bytes)
	s.to <- prometheus.MustNewConstSummary(latenessMetric, is.Stats.Fired, is.Stats.Late.Seconds(), nil)
	s.to <- prometheus.MustNewConstSummary(syncsMetric, is.Disk.Syncs, is.Disk.Took.Seconds(), nil)
}

func (s samples) transport(is *live.Status) {
	for _, p := range is.Peers {
		s.gauge(connectedMetric, flag(p.Connected), p.ID.String())
	}
	t := is.Transport
	s.counter(messagesMetric, t.MessagesSent, "sent")
	s.counter(messagesMetric, t.MessagesReceived, "received")
	s.counter(bytesMetric, t.BytesSent, "sent")
	s.counter(bytesMetric, t.BytesReceived, "received")
	s.counter(unqueuedMetric, t.Full)
	s.counter(strangersMetric, is.Stats.Refused)
}

func (s samples) datagrams(d udp.Stats) {
	s.counter(datagramsMetric, d.Sent, "sent")
	s.counter(datagramsMetric, d.Received, "received")
	s.counter(unsentUDPMetric, d.Failed)
	for reason, n := range d.Dropped {
		s.counter(droppedMetric, n, reason)
	}
}

func (s samples) broadcasts(b *multicast.Broadcasts) {
	if b != nil {
		s.gauge(aloudMetric, flag(b.Is))
		s.counter(pleasMetric, b.Pleas)
		s.counter(repairsMetric, b.Repairs)
	}
}

func (s samples) suspicions(group []protocol.ID, self protocol.ID, suspects []protocol.ID) {
	suspected := map[protocol.ID]bool{}
	for _, id := range suspects {
		suspected[id] = true
	}
	for _, id := range group {
		if id != self {
			s.gauge(suspectedMetric, flag(suspected[id]), strconv.Itoa(int(id)))
		}
	}
}

func (s samples) account(a bank.Account) {
	onItsWay := int64(0)
	for _, out := range a.Outgoing {
		onItsWay += out.Amount
	}
	s.gauge(balanceMetric, float64(a.Balance))
	s.gauge(inFlightMetric, float64(onItsWay))
}

func (s samples) group(g group.Status) {
	s.gauge(viewMetric, float64(g.View.ID))
	s.gauge(membersMetric, float64(len(g.View.Members)))
	s.gauge(memberMetric, flag(g.Member))
	s.gauge(blockedMetric, flag(g.Blocked != ""))
}

func (s samples) backlog(m multicast.Status) {
	s.gauge(unsentMetric, float64(m.Waiting))
	s.gauge(unstableMetric, float64(m.Unstable))
	s.gauge(keptMetric, float64(m.Kept))
	s.gauge(earlyMetric, float64(m.Early))
}

// lanes writes how many messages there were, and their bytes.
func (s samples) lanes(messages, bytes *prometheus.Desc, counts []member.Count) {
	for _, c := range counts {
		uniform := strconv.FormatBool(c.Uniform)
		s.counter(messages, c.Messages, c.Order.String(), uniform)
		s.counter(bytes, c.Bytes, c.Order.String(), uniform)
	}
}
