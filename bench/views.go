package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"slices"
	"sync"
	"time"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/cluster"
	"ciranda.dev/node"
	"ciranda.dev/protocol"
)

// A ViewsResult says what the death of a member under load costs the others, in a cluster of real processes. Times are from
// just before the kill, as clients of the others see it, in milliseconds.
type ViewsResult struct {
	Members   int     `json:"members"`
	Order     string  `json:"order"`
	Uniform   bool    `json:"uniform"`
	TLS       bool    `json:"tls"`
	Kills     int     `json:"kills"`  // every other time of the coordinator
	P50       float64 `json:"p50_ms"` // until the last of the others has the view without it
	P99       float64 `json:"p99_ms"`
	Max       float64 `json:"max_ms"`
	PauseP50  float64 `json:"pause_p50_ms"` // the longest time without a delivery at one of the others
	PauseP99  float64 `json:"pause_p99_ms"`
	PauseMax  float64 `json:"pause_max_ms"`
	Delivered uint64  `json:"delivered"`                  // messages, at all listeners together
	Rate      float64 `json:"delivered_per_s_per_member"` // delivered a second and member
	Compared  int     `json:"compared"`                   // ends of views that two members went through together
	Wrong     int     `json:"wrong"`                      // messages lost, doubled or in another order, of those
	First     string  `json:"first_wrong,omitempty"`
}

// ViewsOptions say what is measured.
type ViewsOptions struct {
	Shape    cluster.Shape
	Order    string // total if empty
	Uniform  bool
	Kills    int
	Size     int // bytes of a message; 1024 if zero
	Progress func(done, of int)
}

// ordered says whether all members deliver in the same order.
func (o ViewsOptions) ordered() bool { return o.Order == "total" || o.Order == "lamport" }

// Each sender sends so many messages at once, so often.
const (
	viewsBatch = 8
	viewsEvery = 2 * time.Millisecond
)

// Views starts a cluster of its own, measures and ends it.
func Views(ctx context.Context, o ViewsOptions) (result ViewsResult, err error) {
	o.Order, o.Size = cmp.Or(o.Order, "total"), cmp.Or(o.Size, 1024)
	name := fmt.Sprintf("bench-%d", os.Getpid())
	dir, err := cluster.Dir(name)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := cluster.Open(ctx, cluster.Config{Name: name, Shape: o.Shape, Fresh: true})
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	client, _, err := cluster.Connect(name)
	if err != nil {
		return result, err
	}
	defer client.Close()
	ctx, cancel := context.WithCancel(ctx)
	m := &views{o: o, client: client, dir: s.Group().Dir, ends: map[[2]uint64]*ending{}, ears: map[protocol.ID]*ear{}}
	defer m.tasks.Wait()
	defer cancel()
	if err := m.measure(ctx); err != nil {
		return result, err
	}
	return m.result(), nil
}

// A views measurement goes on.
type views struct {
	o      ViewsOptions
	client *api.Client
	dir    node.Directory
	tasks  sync.WaitGroup

	mu       sync.Mutex
	ears     map[protocol.ID]*ear
	ends     map[[2]uint64]*ending
	began    time.Time
	took     []float64
	pauses   []float64
	heard    uint64
	compared int
	wrong    int
	first    string
}

// An ear listens to a node.
type ear struct {
	members []uint32
	view    uint64
	whole   bool // the view from its beginning
	last    time.Time
	gap     time.Duration
	next    map[uint32]uint64
	digest  uint64
	count   uint64
}

// An ending is what was heard in a view by the first who went on to a certain next.
type ending struct {
	digest, count uint64
	by            protocol.ID
}

func (m *views) measure(ctx context.Context) error {
	members := m.dir.Members()
	for _, n := range members {
		id := protocol.ID(n.Known.Id)
		m.ears[id] = &ear{}
		m.tasks.Go(func() { m.listen(ctx, id) })
		m.tasks.Go(func() { m.send(ctx, id) })
	}
	if err := m.until(ctx, func() bool { return m.all(len(members)) }); err != nil {
		return err
	}
	m.mu.Lock()
	m.began, m.heard = time.Now(), 0
	m.mu.Unlock()
	for i := range m.o.Kills {
		if m.o.Progress != nil {
			m.o.Progress(i, m.o.Kills)
		}
		if err := m.round(ctx, i, len(members)); err != nil {
			return fmt.Errorf("bench: round %d: %w", i+1, err)
		}
	}
	return nil
}

// round kills a member, waits for the view without it, and brings it back.
func (m *views) round(ctx context.Context, i, size int) error {
	if !pass(ctx, time.Second) { // some time of plain load between two kills
		return context.Cause(ctx)
	}
	m.mu.Lock()
	order := slices.Clone(m.ears[1].members)
	m.mu.Unlock()
	victim := order[0]
	if i%2 == 1 {
		victim = order[1+i/2%(len(order)-1)]
	}
	name := fmt.Sprint(victim)
	m.mark(victim)
	from := time.Now()
	if _, err := m.client.Supervisor.Kill(ctx, &cirandav1.KillRequest{Nodes: name}); err != nil {
		return err
	}
	if err := m.until(ctx, func() bool { return m.without(victim) }); err != nil {
		return err
	}
	took := time.Since(from)
	if !pass(ctx, 300*time.Millisecond) {
		return context.Cause(ctx)
	}
	m.mu.Lock()
	m.took = append(m.took, float64(took)/1e6)
	m.pauses = append(m.pauses, float64(m.longest(victim))/1e6)
	m.mu.Unlock()
	if _, err := m.client.Supervisor.Restart(ctx, &cirandav1.RestartRequest{Nodes: name}); err != nil {
		return err
	}
	return m.until(ctx, func() bool { return m.all(size) })
}

// pass waits. It says whether nothing came between.
func pass(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// until looks again and again, often enough not to count.
func (m *views) until(ctx context.Context, holds func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("the members do not agree on a view"))
	defer cancel()
	for {
		m.mu.Lock()
		done := holds()
		m.mu.Unlock()
		if done {
			return nil
		}
		if !pass(ctx, time.Millisecond/2) {
			return context.Cause(ctx)
		}
	}
}

// all says whether everybody is in the same view of that many members.
func (m *views) all(size int) bool {
	for _, e := range m.ears {
		if len(e.members) != size || e.view != m.ears[1].view {
			return false
		}
	}
	return true
}

// without says whether all others are in a view that a node is not in.
func (m *views) without(victim uint32) bool {
	for id, e := range m.ears {
		if uint32(id) != victim && (len(e.members) == 0 || slices.Contains(e.members, victim)) {
			return false
		}
	}
	return true
}

// mark begins to look for the longest time without a delivery.
func (m *views) mark(victim uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.ears {
		e.gap = 0
	}
	*m.ears[protocol.ID(victim)] = ear{}
}

func (m *views) longest(victim uint32) (gap time.Duration) {
	for id, e := range m.ears {
		if uint32(id) != victim {
			gap = max(gap, e.gap, time.Since(e.last))
		}
	}
	return gap
}

// clientOf is the client of a node as it is now.
func (m *views) clientOf(id protocol.ID) *api.Client {
	for _, n := range m.dir.Members() {
		if protocol.ID(n.Known.Id) == id {
			return n.Client
		}
	}
	return nil
}

// listen listens to a node in all its lives.
func (m *views) listen(ctx context.Context, id protocol.ID) {
	for ctx.Err() == nil {
		if c := m.clientOf(id); c != nil {
			m.listenTo(ctx, id, c)
		}
		pass(ctx, 5*time.Millisecond)
	}
}

func (m *views) listenTo(ctx context.Context, id protocol.ID, c *api.Client) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.Group.Listen(ctx, &cirandav1.ListenRequest{Lanes: []*cirandav1.Lane{{Order: m.o.Order, Uniform: m.o.Uniform}}})
	for err == nil {
		var r *cirandav1.ListenResponse
		if r, err = stream.Recv(); err == nil {
			m.take(id, r.GetHappenings(), time.Now())
		}
	}
}

func (m *views) take(id protocol.ID, happenings []*cirandav1.Happening, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.ears[id]
	for _, h := range happenings {
		switch h := h.GetKind().(type) {
		case *cirandav1.Happening_Listening:
			*e = ear{view: h.Listening.GetView(), last: now, next: map[uint32]uint64{}}
			if e.view > 0 {
				m.tasks.Go(func() { m.lookUp(id) })
			}
		case *cirandav1.Happening_Delivery:
			m.deliver(id, e, h.Delivery, now)
		case *cirandav1.Happening_View:
			m.change(id, e, h.View.GetView())
		case *cirandav1.Happening_Exclusion:
			*e = ear{last: now, next: map[uint32]uint64{}}
		}
	}
}

// lookUp asks for the members of a view that began before this listened.
func (m *views) lookUp(id protocol.ID) {
	c := m.clientOf(id)
	if c == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	r, err := c.Group.View(ctx, &cirandav1.ViewRequest{})
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.ears[id]; err == nil && e.view == r.GetView().GetId() && e.members == nil {
		e.members = numbersOf(r.GetView())
	}
}

func numbersOf(v *cirandav1.GroupView) (all []uint32) {
	for _, n := range v.GetMembers() {
		all = append(all, n.GetNode())
	}
	return all
}

// deliver checks the numbers of each sender, and adds to the digest of the order.
func (m *views) deliver(id protocol.ID, e *ear, d *cirandav1.Delivery, now time.Time) {
	e.gap, e.last = max(e.gap, now.Sub(e.last)), now
	m.heard += uint64(len(d.GetPayloads()))
	if !e.whole {
		return
	}
	if want := e.next[d.GetSender()] + 1; d.GetFirst() != want {
		m.fault("node %d gets message %d of %d in view %d, and expected %d", id, d.GetFirst(), d.GetSender(), d.GetView(), want)
	}
	for i := range d.GetPayloads() {
		h := fnv.New64a()
		if m.o.ordered() {
			fmt.Fprint(h, e.digest, d.GetSender(), d.GetFirst()+uint64(i))
			e.digest = h.Sum64()
		} else { // what was heard counts, in whatever order
			fmt.Fprint(h, d.GetSender(), d.GetFirst()+uint64(i))
			e.digest += h.Sum64()
		}
	}
	e.count += uint64(len(d.GetPayloads()))
	e.next[d.GetSender()] = d.GetFirst() + uint64(len(d.GetPayloads())) - 1
}

// change compares what was heard in a view with what others heard that go on to the same next.
func (m *views) change(id protocol.ID, e *ear, v *cirandav1.GroupView) {
	if e.whole {
		step := [2]uint64{e.view, v.GetId()}
		if other := m.ends[step]; other == nil {
			m.ends[step] = &ending{e.digest, e.count, id}
		} else if m.compared++; other.digest != e.digest || other.count != e.count {
			m.fault("in view %d nodes %d and %d got different things: %d and %d messages", e.view, other.by, id, other.count, e.count)
		}
	}
	e.view, e.members, e.whole = v.GetId(), numbersOf(v), true
	e.digest, e.count, e.next = 0, 0, map[uint32]uint64{}
}

func (m *views) fault(format string, args ...any) {
	if m.wrong++; m.first == "" {
		m.first = fmt.Sprintf(format, args...)
	}
}

// send keeps a node busy in all its lives.
func (m *views) send(ctx context.Context, id protocol.ID) {
	for ctx.Err() == nil {
		if c := m.clientOf(id); c != nil {
			m.sendTo(ctx, c)
		}
		pass(ctx, 20*time.Millisecond)
	}
}

func (m *views) sendTo(ctx context.Context, c *api.Client) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.Group.MulticastStream(ctx)
	r := &cirandav1.MulticastStreamRequest{Order: m.o.Order, Uniform: m.o.Uniform}
	for range viewsBatch {
		r.Payloads = append(r.Payloads, make([]byte, m.o.Size))
	}
	for err == nil && pass(ctx, viewsEvery) {
		err = stream.Send(r)
	}
}

func (m *views) result() ViewsResult {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := ViewsResult{Members: len(m.ears), Order: m.o.Order, Uniform: m.o.Uniform, TLS: !m.o.Shape.Insecure, Kills: len(m.took),
		Delivered: m.heard, Rate: float64(m.heard) / time.Since(m.began).Seconds() / float64(len(m.ears)),
		Compared: m.compared, Wrong: m.wrong, First: m.first}
	slices.Sort(m.took)
	slices.Sort(m.pauses)
	r.P50, r.P99, r.Max = percentile(m.took, 0.5), percentile(m.took, 0.99), percentile(m.took, 1)
	r.PauseP50, r.PauseP99, r.PauseMax = percentile(m.pauses, 0.5), percentile(m.pauses, 0.99), percentile(m.pauses, 1)
	return r
}
